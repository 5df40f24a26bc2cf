// `npm run demo`: Kleis from the first command to the last, for somebody who has never seen it. An identity provider and
// an API server in this process, the programs as npm installs them, a throw-away home; and nothing is left behind.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import open from 'open';
import { DemoFailure } from './commands.ts';
import { createScreen } from './screen.ts';
import { setStage, type Stage } from './stage.ts';
import { numberOfSteps, tellStory } from './story.ts';

class Interrupted extends Error {
  readonly exitCode: number;

  constructor(signal: string, number: number) {
    super(signal);
    this.exitCode = 128 + number;
  }
}

const usage = `Usage: npm run demo [-- --browser]

  --browser   signs in with your own browser instead of a scripted one`;

const screen = createScreen(process.stdout, process.env, numberOfSteps);
process.exitCode = await main();
// What a server still holds open must not keep a demo that has ended.
process.exit();

async function main(): Promise<number> {
  let realBrowser: boolean;
  try {
    const { values } = parseArgs({ options: { browser: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } });
    if (values.help === true) {
      console.log(usage);
      return 0;
    }
    realBrowser = values.browser === true;
  } catch (error) {
    console.error(`${String(error)}\n\n${usage}`);
    return 2;
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
  process.once('exit', () => remove(root));
  // The servers make their folders in here too.
  process.env['TMPDIR'] = root;
  return play(root, realBrowser, interruption.signal);
}

async function play(root: string, realBrowser: boolean, interrupted: AbortSignal): Promise<number> {
  let stage: Stage | undefined;
  let windows = 0;
  const began = performance.now();
  const interruption = new Promise<never>((_, reject) => {
    interrupted.addEventListener('abort', () => reject(interrupted.reason as Error), { once: true });
  });
  // It is only raced, and may have nobody to hear it.
  interruption.catch(() => undefined);
  const onBrowser = (url: string) => {
    windows += 1;
    browse(url, stage, realBrowser).catch((error: unknown) => {
      if (!interrupted.aborted) screen.aside(`the browser failed: ${String(error)}`);
    });
  };
  const setting = setStage({ root, realBrowser, onBrowser, interrupted });
  try {
    screen.title('Kleis: kubectl signs in through single sign-on');
    screen.passing('starting an identity provider and two API servers …');
    stage = await Promise.race([setting, interruption]);
    introduce(stage, realBrowser);
    const telling = { stage, screen, realBrowser, windows: () => windows, interrupted };
    await Promise.race([tellStory(telling), interruption]);
    await end(root, setting);
    const seconds = Math.round((performance.now() - began) / 1000);
    screen.closing(`All of it worked, in ${seconds} seconds, and nothing of it is left. Go on with README.md.`);
    return 0;
  } catch (error) {
    await end(root, setting);
    if (interrupted.aborted) {
      screen.closing('Interrupted. Nothing is left behind.');
      return (interrupted.reason as Interrupted).exitCode;
    }
    screen.failure(error instanceof DemoFailure ? error.message : String(error instanceof Error ? error.stack : error));
    return 1;
  }
}

async function end(root: string, setting: Promise<Stage>): Promise<void> {
  screen.passing('cleaning up …');
  // A server that is still starting is waited for, or it would outlive us.
  const ended = setting.then((stage) => stage.end()).catch(() => undefined);
  await Promise.race([ended, sleep(15_000)]);
  remove(root);
}

function remove(root: string): void {
  rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
}

function introduce({ provider, cluster, home, kubectl }: Stage, realBrowser: boolean): void {
  screen.fact('provider', `${provider.issuer} (oidc-provider, in this process)`);
  const server = { 'stand-in': 'a stand-in, in this process', '1.36': 'kube-apiserver 1.36', '1.30': '' };
  screen.fact('API server', `${cluster.server} (${server[cluster.kind]})`);
  screen.fact(
    'kubectl',
    kubectl ? `${kubectl.program} ${kubectl.version}` : 'none here: the demo does what it would do',
  );
  screen.fact('home', `${home} (yours is left alone)`);
  if (realBrowser) {
    screen.meaning('Your browser will open. Sign in with any name and any password, and agree.');
  }
}

async function browse(url: string, stage: Stage | undefined, realBrowser: boolean): Promise<void> {
  if (stage === undefined) return;
  const { origin } = new URL(url);
  if (realBrowser) {
    screen.aside('your browser opens; if it does not, open this address:');
    screen.address(url);
    const child = await open(url);
    child.once('error', () => undefined);
    return;
  }
  screen.aside(`a browser opens ${origin}: Alice types her name and agrees`);
  const { status } = await stage.provider.browser().open(url);
  if (status !== 200) throw new Error(`the last page has the status ${status}`);
}
