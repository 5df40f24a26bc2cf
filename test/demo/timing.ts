import { spawnSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { readEntry } from './client-alone.ts';
import { DemoFailure } from './commands.ts';
import type { Bar } from './screen.ts';
import type { Home } from './home.ts';

const rounds = 40;

export interface Timing {
  readonly rounds: number;
  /** Medians of whole processes, from their start to their end. */
  readonly cached: Bar;
  readonly cat: Bar;
  readonly node: Bar;
}

/** Times the cached call beside the two things that a plugin could be, in turn, so that all meet the same machine. */
export async function timeCachedCall(home: Home): Promise<Timing> {
  const { folder, commands, env } = home;
  const { words, execInfo } = await readEntry(home);
  const witness = join(folder, 'node-was-started');
  await mkdir(join(folder, 'watched'));
  const node = `#!/bin/sh\necho "$$" >>'${witness}'\nexec '${process.execPath}' "$@"\n`;
  await writeFile(join(folder, 'watched/node'), node, { mode: 0o755 });
  const watched = {
    ...env,
    PATH: [join(folder, 'watched'), env['PATH']].join(delimiter),
    KUBERNETES_EXEC_INFO: execInfo,
  };

  const { stdout: credential } = await commands.run(words, { env: watched });
  const file = join(folder, 'credential.json');
  await writeFile(file, credential);
  await rm(witness, { force: true });

  const [cached, cat, bare]: number[][] = [[], [], []];
  for (let round = 0; round < rounds; round += 1) {
    // oxlint-disable no-await-in-loop -- one process at a time is what is measured
    // A new kubectl is a new process; the same one (here: we) asking again would mean that the server had said 401.
    await forgetWhoAsked(join(folder, 'run/kleis'));
    cached?.push(timed(words, watched, credential));
    cat?.push(timed(['sh', '-c', `cat ${file}`], watched, credential));
    if (round % 8 === 0) bare?.push(timed([process.execPath, '-e', '0'], env, ''));
    // For Ctrl-C.
    await setImmediate();
    // oxlint-enable no-await-in-loop
  }
  if (existsSync(witness)) throw new DemoFailure('a cached call started Node');
  return {
    rounds,
    cached: { label: 'kleis-credential, cached', value: median(cached) },
    cat: { label: "sh -c 'cat FILE'", value: median(cat) },
    node: { label: 'node -e 0, for comparison', value: median(bare) },
  };
}

async function forgetWhoAsked(folder: string): Promise<void> {
  const names = await readdir(folder);
  await Promise.all(names.filter((name) => name.startsWith('asked-')).map((name) => rm(join(folder, name))));
}

/** Milliseconds. Each answer is checked, so that nothing fast and wrong is measured. */
function timed(words: readonly string[], env: Readonly<Record<string, string>>, expected: string): number {
  const [program = '', ...args] = words;
  const began = performance.now();
  const { stdout } = spawnSync(program, args, {
    env,
    encoding: 'utf8',
    timeout: 10_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const took = performance.now() - began;
  if (stdout !== expected) throw new DemoFailure(`${program} gave something else when asked again`);
  return took;
}

function median(values: readonly number[] = []): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
