import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';

/** A command whose time from start to end is measured. */
export interface Contender {
  readonly name: string;
  /** The first word is a path; nothing is looked up. */
  readonly command: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** How often it runs for one sample, which is the mean of them. */
  readonly batch: number;
  /** Shell code before each run, built-ins only: it is part of what is measured. */
  readonly before?: string;
  /** Before each sample, and not measured. */
  readonly prepare?: () => void | Promise<void>;
}

/** Milliseconds for one run, a value for each round. */
export type Samples = ReadonlyMap<string, readonly number[]>;

/**
 * Runs all of them in turn, round after round, so that whatever else the machine does hits all alike. What starts them
 * is a shell, and not this process: it is small, so its fork costs little, as kubectl's does.
 *
 * @throws Error if a run ends with another code than 0: what failed has not been measured
 */
export async function race(contenders: readonly Contender[], rounds: number): Promise<Samples> {
  const samples = new Map(contenders.map(({ name }): [string, number[]] => [name, []]));
  const starters = new Map<Contender, Starter>();
  try {
    for (const contender of contenders) starters.set(contender, startStarter(contender));
    // Round 0 warms caches up and does not count.
    for (let round = 0; round <= rounds; round += 1) {
      for (const [contender, starter] of starters) {
        await contender.prepare?.();
        const took = await starter.sample();
        if (round > 0) samples.get(contender.name)?.push(took / contender.batch);
      }
    }
    return samples;
  } finally {
    await Promise.all([...starters.values()].map((starter) => starter.end()));
  }
}

interface Starter {
  /** Milliseconds for the whole batch. */
  sample(): Promise<number>;
  end(): Promise<void>;
}

const loop = `
while read -r _; do
  i=0 failed=0
  while [ "$i" -lt BATCH ]; do
    BEFORE
    "$@" </dev/null >/dev/null 2>&1 || failed=$?
    i=$((i + 1))
  done
  echo "$failed"
done`;

function startStarter({ name, command, env, batch, before = ':' }: Contender): Starter {
  const script = loop.replace('BATCH', String(batch)).replace('BEFORE', () => before);
  const shell = spawn('/bin/sh', ['-c', script, 'bench', ...command], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(shell, 'close');
  const lines = createInterface(shell.stdout)[Symbol.asyncIterator]();
  return {
    async sample() {
      const began = performance.now();
      shell.stdin.write('\n');
      const { value, done } = await lines.next();
      const took = performance.now() - began;
      if (done === true || value !== '0') throw new Error(`${name} ends with ${done === true ? 'nothing' : value}`);
      return took;
    },
    async end() {
      shell.stdin.end();
      await ended;
    },
  };
}

export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? NaN;
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
  return { median, min: at(0), max: at(sorted.length - 1) };
}

/** What one costs more than the other, compared within each round. */
export function differences(samples: Samples, one: string, other: string): number[] {
  const others = samples.get(other) ?? [];
  return (samples.get(one) ?? []).map((value, round) => value - (others[round] ?? NaN));
}
