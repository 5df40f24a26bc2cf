import { beforeEach, describe, expect, it } from 'vitest';
import { type Counters, createCounters } from '../../../broker/service/counters.ts';

let time: number;
let counters: Counters;

beforeEach(() => {
  time = 1_000_000;
  counters = createCounters(() => time, 100);
});

const hits = (key: string) => counters.increment(key).hits;
const flood = (many: number) => {
  for (let index = 0; index < many; index += 1) counters.increment(`flood ${index}`);
};

describe('a count', () => {
  it('is of one key alone, and begins anew after its minute', () => {
    expect([hits('a'), hits('a'), hits('b')]).toEqual([1, 2, 1]);
    time += 59_999;
    expect(hits('a')).toBe(3);
    time += 1;
    expect([hits('a'), hits('b')]).toEqual([1, 1]);
  });

  it('that is not there yet is nobody else’s, however many there are', () => {
    flood(1000);
    expect([hits('a'), hits('b'), hits('a')]).toEqual([1, 1, 2]);
  });

  it('of who keeps sending is not forgotten for all the others', () => {
    for (let round = 1; round <= 1000; round += 1) {
      expect(hits('busy')).toBe(round);
      counters.increment(`flood ${round}`);
    }
  });

  it('is over after a minute also where the clock was set back', () => {
    hits('a');
    time -= 3_600_000;
    expect(hits('a')).toBe(1);
  });

  it('says when its minute ends', () => {
    expect(counters.increment('a').resetAt).toBe(time + 60_000);
  });
});
