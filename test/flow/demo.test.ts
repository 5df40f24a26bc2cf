import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { built } from '../support/built.ts';
import { needs } from '../support/needs.ts';
import { start, type Running } from '../support/run.ts';
import { until } from '../support/wait.ts';

const limit = 120_000;
const token = /eyJ[\w-]+\.eyJ/;
const wellTold = { stdout: expect.stringContaining('All of it worked'), stderr: '' };
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

async function startDemo({ path = process.env['PATH'] ?? '', tty = false } = {}): Promise<Demo> {
  const folder = await mkdtemp(join(root, 'tmp-'));
  const env = { PATH: path, TMPDIR: folder, LANG: 'C.UTF-8', TERM: 'xterm' };
  const args = [resolve('test/support/run-ts.mjs'), resolve('test/demo/demo.ts')];
  const running = start(process.execPath, args, { env, cwd: checkout, timeout: limit, tty });
  return { running, files: () => readdir(folder), processes: () => processesWith(folder) };
}

async function expectNothingLeft({ files, processes }: Demo): Promise<void> {
  expect(await files()).toEqual([]);
  // What was killed is gone a moment later.
  await until('its processes are gone', async () => (await processes()).length === 0);
}

describe.concurrent('the demo', () => {
  it(
    'tells its story to the end, and leaves neither files nor processes',
    async () => {
      const demo = await startDemo();
      const { code, stdout, stderr } = await demo.running.done;
      expect({ code, stdout, stderr }).toEqual({ ...wellTold, code: 0 });
      // Neither colours nor lines that are redrawn, where nobody sees them; and no token anywhere.
      for (const character of ['\u001b', '\r']) expect(stdout).not.toContain(character);
      expect(stdout).not.toMatch(token);
      await expectNothingLeft(demo);
    },
    limit,
  );

  it(
    'does so on a machine without kubectl',
    async () => {
      const demo = await startDemo({ path: await pathWithoutKubectl() });
      const { code, stdout, stderr } = await demo.running.done;
      expect({ code, stdout, stderr }).toEqual({ ...wellTold, code: 0 });
      expect(stdout).toContain('no kubectl here');
      expect(stdout).toContain('oidc:alice@example.com');
      expect(stdout).not.toMatch(token);
      await expectNothingLeft(demo);
    },
    limit,
  );

  const moments: readonly [when: string, output: RegExp][] = [
    ['while the servers start', /Kleis: kubectl/],
    ['while somebody signs in', /browser opens/],
    ['while a code waits to be entered', /enter this code/],
    ['while a token comes to its end', /7\/8/],
  ];

  it.each(moments)(
    'ended %s leaves neither files nor processes',
    async (_, output) => {
      const demo = await startDemo();
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
    async (_, output) => {
      const demo = await startDemo({ tty: true });
      await demo.running.waitFor(output, limit);
      demo.running.stdin?.write('\u0003');
      const { code, stdout, stderr } = await demo.running.done;
      expect({ code, stdout, stderr }).toEqual({ ...interrupted, code: 130 });
      await expectNothingLeft(demo);
    },
    limit,
  );
});

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
