import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLiveCount } from '../../../broker/leases/live-count.ts';

describe('the count of live leases', () => {
  it('says of each key what a plain list of ends says, in whatever order they come, go and end', () => {
    const key = fc.constantFrom('grant a', 'grant b', 'subject c');
    const step = fc.record({
      what: fc.constantFrom('add', 'add', 'remove', 'tidy', 'wait'),
      keys: fc.uniqueArray(key, { minLength: 1 }),
      at: fc.nat({ max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const count = createLiveCount();
        const plain = new Map<string, number[]>();
        let now = 0;
        const live = (name: string) => (plain.get(name) ?? []).filter((end) => end > now);
        for (const { what, keys, at } of steps) {
          if (what === 'wait') now += at / 10;
          else if (what === 'tidy') count.tidy(now);
          else if (what === 'add') {
            count.add(keys, at);
            for (const each of keys) plain.set(each, [...(plain.get(each) ?? []), at]);
          } else {
            count.remove(keys, at);
            for (const each of keys) {
              const ends = plain.get(each) ?? [];
              const place = ends.indexOf(at);
              plain.set(each, place < 0 ? ends : ends.toSpliced(place, 1));
            }
          }
          for (const each of ['grant a', 'grant b', 'subject c']) {
            expect(count.count(each, now)).toBe(live(each).length);
            expect(count.firstEnd(each, now)).toBe(live(each).toSorted((a, b) => a - b)[0]);
          }
        }
      }),
    );
  });

  it('forgets what it removed or what ended, whole keys too', () => {
    const count = createLiveCount();
    count.add(['grant a', 'subject b'], 10);
    count.remove(['grant a', 'subject b'], 10);
    count.add(['grant a'], 20);
    expect(count.count('grant a', 19)).toBe(1);
    count.tidy(20);
    expect([count.count('grant a', 0), count.firstEnd('grant a', 0)]).toEqual([0, undefined]);
  });
});
