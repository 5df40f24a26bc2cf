import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../support/run.ts';
import type { Call } from './scene.ts';

// Each has a parent of its own, as each would have a kubectl.
const script = `
i=0
while [ "$i" -lt "$COUNT" ]; do
  ( "$@" </dev/null >"$OUTPUT/$i" 2>"$OUTPUT/$i.error" || echo "code $?" >>"$OUTPUT/$i.error" ) &
  i=$((i + 1))
done
wait`;

export interface Stampede {
  /** Milliseconds until the last of them has ended. */
  readonly took: number;
  /** What each of them has printed. */
  readonly outputs: readonly string[];
}

/**
 * Starts that many processes at once.
 *
 * @throws Error if one of them fails
 */
export async function stampede({ command, env, prepare }: Call, count: number): Promise<Stampede> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-stampede-'));
  try {
    prepare?.();
    const shell = ['-c', script, 'bench', ...command];
    const { duration } = await run('/bin/sh', shell, {
      env: { ...env, COUNT: String(count), OUTPUT: folder },
      timeout: 120_000,
    });
    const outputs: string[] = [];
    for (const name of await readdir(folder)) {
      const text = await readFile(join(folder, name), 'utf8');
      if (!name.endsWith('.error')) outputs.push(text);
      else if (/^code /m.test(text)) throw new Error(`${command[0]}, one of ${count}: ${text}`);
    }
    return { took: duration, outputs };
  } finally {
    await rm(folder, { recursive: true });
  }
}
