import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linesOf } from '../demo/picture.ts';
import { built } from '../support/built.ts';
import { needs } from '../support/needs.ts';
import { start, type Running } from '../support/run.ts';
import { until } from '../support/wait.ts';

const limit = 240_000;
const token = /eyJ[\w-]+\.eyJ/;
const wellTold = { code: 0, stdout: expect.stringContaining('All of it worked'), stderr: '' };
const interrupted = { stdout: expect.stringContaining('Interrupted. Nothing is left behind.'), stderr: '' };

let root: string;
/** A working folder with a `dist`. */
let checkout: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kleis-of-demo-'));
  checkout = dirname((await built()).dist);
});
afterAll(() => rm(root, { recursive: true, force: true }));

interface Demo {
  readonly running: Running;
  /** Whatever it or its children put into the folder for temporary files. */
  readonly files: () => Promise<string[]>;
  /** The processes that were told of this folder. */
  readonly processes: () => Promise<string[]>;
}

interface DemoOptions {
  readonly args?: readonly string[];
  readonly path?: string;
  readonly tty?: boolean;
}

async function startDemo({ args: flags = [], path = process.env['PATH'] ?? '', tty = false }: DemoOptions = {}) {
  const folder = await mkdtemp(join(root, 'tmp-'));
  const env = { PATH: path, TMPDIR: folder, LANG: 'C.UTF-8', TERM: 'xterm' };
  const args = [resolve('test/support/run-ts.mjs'), resolve('test/demo/demo.ts'), ...flags];
  const running = start(process.execPath, args, { env, cwd: checkout, timeout: limit, tty });
  const demo: Demo = { running, files: () => readdir(folder), processes: () => processesWith(folder) };
  return demo;
}

async function expectNothingLeft({ files, processes }: Demo): Promise<void> {
  expect(await files()).toEqual([]);
  // What was killed is gone a moment later.
  await until('its processes are gone', async () => (await processes()).length === 0);
}

describe.concurrent('the demo', () => {
  it(
    'tells its story to the end, as its picture shows it, and leaves neither files nor processes',
    async () => {
      const demo = await startDemo();
      const { code, stdout, stderr } = await demo.running.done;
      expect({ code, stdout, stderr }).toEqual(wellTold);
      // Neither colours nor lines that are redrawn, where nobody sees them; and no token anywhere.
      for (const character of ['\u001b', '\r']) expect(stdout).not.toContain(character);
      expect(stdout).not.toMatch(token);
      await expectNothingLeft(demo);
      if (needs('kubectl')) await expectPictured(stdout);
    },
    limit,
  );

  it(
    'does so on a machine without kubectl',
    async () => {
      const demo = await startDemo({ path: await pathWithoutKubectl() });
      const { code, stdout, stderr } = await demo.running.done;
      expect({ code, stdout, stderr }).toEqual(wellTold);
      expect(stdout).toContain('no kubectl here');
      expect(stdout).toContain('oidc:ann@acme.test');
      expect(stdout).not.toMatch(token);
      await expectNothingLeft(demo);
    },
    limit,
  );

  const moments: readonly [when: string, flags: string, output: RegExp][] = [
    ['while the servers start', '--act person', /Kleis: short/],
    ['while somebody signs in', '--act person', /browser opens/],
    ['while a code waits to be entered', '--act person', /enter this code/],
    ['while a token comes to its end', '--act person', /7\/8/],
    ['while a broker starts', '--act job', /a job deploys/],
    ['while a job is denied', '--act job', /3\/5/],
    ['while a lease ends', '--act admin', /3\/5/],
    ['while the page is open', '--act admin --open', /Open it and sign in/],
  ];

  // Without a terminal there is no input to wait for.
  it.each(moments.filter(([, flags]) => !flags.includes('--open')))(
    'ended %s leaves neither files nor processes',
    async (_, flags, output) => {
      const demo = await startDemo({ args: flags.split(' ') });
      await demo.running.waitFor(output, limit);
      demo.running.kill('SIGTERM');
      const { code, stdout, stderr } = await demo.running.done;
      expect({ code, stdout, stderr }).toEqual({ ...interrupted, code: 143 });
      await expectNothingLeft(demo);
    },
    limit,
  );

  it('ended before it says anything leaves neither files nor processes', async () => {
    const demo = await startDemo();
    await until('its first file', async () => (await demo.files()).length > 0);
    demo.running.kill('SIGINT');
    expect(await demo.running.done).toMatchObject({ code: 130, stderr: '' });
    await expectNothingLeft(demo);
  });

  it.skipIf(!needs('script')).each(moments)(
    'Ctrl-C %s leaves neither files nor processes',
    async (_, flags, output) => {
      const demo = await startDemo({ args: flags.split(' '), tty: true });
      await demo.running.waitFor(output, limit);
      demo.running.stdin?.write('\u0003');
      const { code, stdout, stderr } = await demo.running.done;
      expect({ code, stdout, stderr }).toEqual({ ...interrupted, code: 130 });
      await expectNothingLeft(demo);
    },
    limit,
  );

  it.skipIf(!needs('script'))(
    'waits for Enter after each step if it is asked to, and for Ctrl-C',
    async () => {
      const demo = await startDemo({ args: ['--act', 'job', '--step'], tty: true });
      await demo.running.waitFor(/1\/5[^]*Enter goes on/, limit);
      expect(demo.running.stdout()).not.toContain('2/5');
      demo.running.stdin?.write('\n');
      await demo.running.waitFor(/2\/5[^]*Enter goes on/, limit);
      demo.running.stdin?.write('\u0003');
      const { code, stdout, stderr } = await demo.running.done;
      expect({ code, stdout, stderr }).toEqual({ ...interrupted, code: 130 });
      await expectNothingLeft(demo);
    },
    limit,
  );

  it('says what its flags are, and which act there is not', async () => {
    const usage = expect.stringContaining('Usage: npm run demo');
    const asked = await startDemo({ args: ['--help'] });
    expect(await asked.running.done).toMatchObject({ code: 0, stdout: usage, stderr: '' });
    const wrong = await startDemo({ args: ['--act', 'four'] });
    expect(await wrong.running.done).toMatchObject({ code: 2, stdout: '', stderr: usage });
  });
});

/** Each line of the picture stands in what was told, in that order; times, numbers, ids and folders are of their run. */
async function expectPictured(told: string): Promise<void> {
  const plain = (text: string) =>
    text
      .replaceAll(/\S+\/kleis-demo-\w+/g, '')
      .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{7,}/g, '#')
      .replaceAll(/\d+(?:\.\d+)?/g, '#')
      // Lines break where a screen ends.
      .replaceAll(/ \\$/gm, '')
      .replaceAll(/[\s│█─]/g, '');
  const all = plain(told);
  const lines = linesOf(await readFile('docs/images/demo.svg', 'utf8')).map(plain);
  expect(lines.length).toBeGreaterThan(30);
  let from = 0;
  for (const line of lines) {
    const at = all.indexOf(line, from);
    expect(at, `the demo does not say, or not there: ${line}`).toBeGreaterThanOrEqual(0);
    from = at + line.length;
  }
}

/** A PATH of what the demo and the launcher need, and nothing else. */
async function pathWithoutKubectl(): Promise<string> {
  const folder = join(root, 'bin');
  await mkdir(folder);
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  for (const name of ['cat', 'env', 'mkdir', 'mv', 'readlink', 'rm', 'sed', 'sh', 'sleep']) {
    const found = folders.map((each) => join(each, name)).find((each) => existsSync(each));
    if (found !== undefined) await symlink(found, join(folder, name));
  }
  return folder;
}

/** By their environment; none where there is no /proc to read it from. */
async function processesWith(text: string): Promise<string[]> {
  const pids = existsSync('/proc/self/environ') ? (await readdir('/proc')).filter((name) => /^\d+$/.test(name)) : [];
  const found = pids.map(async (pid) => {
    // Of somebody else, or gone.
    const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
    return (await read('environ')).includes(text) ? [`${pid} ${(await read('cmdline')).replaceAll('\0', ' ')}`] : [];
  });
  return (await Promise.all(found)).flat();
}
