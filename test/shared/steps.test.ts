import { expect, it } from 'vitest';
import { finish, inTurns, type Steps } from '../../shared/steps.ts';

function* busy(steps: number, each: number): Steps<string> {
  for (let step = 0; step < steps; step += 1) {
    for (const until = performance.now() + each; performance.now() < until;);
    yield;
  }
  return 'done';
}

it('steps that are finished at once and those in turns come to the same', async () => {
  expect(finish(busy(3, 0))).toBe('done');
  expect(await inTurns(busy(3, 0), { work: 5, rest: 0 })).toBe('done');
});

it('others have their turn in between, and work takes no more than its part of the time', async () => {
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  const began = performance.now();
  await inTurns(busy(40, 1), { work: 5, rest: 10 });
  clearInterval(timer);
  expect(turns).toBeGreaterThanOrEqual(7);
  expect(performance.now() - began).toBeGreaterThan(100);
});

it('what a step throws is thrown', async () => {
  function* faulty(): Steps<never> {
    yield;
    throw new Error('no');
  }
  await expect(inTurns(faulty(), { work: 0, rest: 0 })).rejects.toThrow('no');
  expect(() => finish(faulty())).toThrow('no');
});
