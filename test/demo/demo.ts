// `npm run demo`: Kleis from the first command to the last, for somebody who has never seen it. An identity provider, API
// servers and a broker, the programs as npm installs them, throw-away homes; and nothing is left behind.
import { setMaxListeners } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeUpForBareSystem } from '../support/bare-system.ts';
import { readOptions, title, usage, type Options } from './options.ts';
import { createScreen } from './screen.ts';

class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: string, number: number) {
    super(signal);
    this.exitCode = 128 + number;
  }
}

makeUpForBareSystem();
process.exitCode = await main();
// What a server still holds open must not keep a demo that has ended.
process.exit();

async function main(): Promise<number> {
  let options: Options | undefined;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  if (options === undefined) {
    console.log(usage);
    return 0;
  }
  if (process.platform === 'win32') {
    console.error('The demo needs a POSIX shell. On Windows it runs in WSL.');
    return 1;
  }

  const interruption = new AbortController();
  // Many commands run at once, and each listens.
  setMaxListeners(0, interruption.signal);
  for (const [signal, number] of [
    ['SIGHUP', 1],
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(signal, () => interruption.abort(new Interrupted(signal, number)));
  }
  // The reader has closed the pager.
  process.stdout.on('error', () => interruption.abort(new Interrupted('SIGPIPE', 13)));

  const root = mkdtempSync(join(tmpdir(), 'kleis-demo-'));
  // However this ends.
  process.once('exit', () => rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  // The servers make their folders in here too.
  process.env['TMPDIR'] = root;

  const screen = createScreen(process.stdout, process.env);
  screen.title(title);
  const { signal } = interruption;
  // Loading what the acts need takes longer than a reader should look at nothing.
  const { play } = await import('./play.ts');
  const outcome = await play({ ...options, root, screen, interrupted: signal });
  if (outcome !== 'interrupted') return outcome === 'told' ? 0 : 1;
  return (signal.reason as Interrupted).exitCode;
}
