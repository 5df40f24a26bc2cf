import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { run } from '../support/run.ts';

// What `npm install -g kleis` gives people, from the very package that would be published.

let prefix: string;
const env = () => ({ PATH: `${join(prefix, 'bin')}:${process.env['PATH']}`, HOME: prefix });

beforeAll(async () => {
  prefix = await mkdtemp(join(tmpdir(), 'kleis-install-'));
  const npm = promisify(execFile);
  // As `npm test` has built it: building it anew would take it away from whoever runs it now.
  const { stdout } = await npm('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', prefix]);
  const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }];
  // Offline: whatever it needed beyond itself would be missing. The keyring is optional.
  const install = ['install', '--global', '--offline', '--omit=optional', '--prefix', prefix, join(prefix, filename)];
  await npm('npm', install);
}, 120_000);
afterAll(async () => {
  await rm(prefix, { recursive: true, force: true });
});

it('has every program on PATH, and each works', async () => {
  expect((await readdir(join(prefix, 'bin'))).toSorted()).toEqual(Object.keys(packageJson.bin).toSorted());
  for (const program of ['kleis', 'kubectl-kleis', 'kleis-get-token']) {
    expect(await run(program, ['--version'], { env: env() })).toMatchObject({
      code: 0,
      stdout: `${packageJson.version}\n`,
      stderr: '',
    });
  }
});

it('has every page of the manual where man looks for it', async () => {
  const pages = await readdir(join(prefix, 'share/man/man1'));
  expect(pages.toSorted()).toEqual(packageJson.man.map((path) => basename(path)).toSorted());
  expect(await readFile(join(prefix, 'share/man/man1/kleis-kubeconfig-add.1'), 'utf8')).toContain('.SH SYNOPSIS');
});

it('the launcher finds its sibling through the link that npm makes', async () => {
  const result = await run('kleis-credential', ['--issuer-url', 'http://example.com'], { env: env() });
  expect(result).toMatchObject({ code: 6, stdout: '' });
  expect(result.stderr).toMatch(/neither https nor http on loopback/);
});

it('holds the licences of what went into it, and nothing of the tests', async () => {
  const root = join(prefix, 'lib/node_modules/kleis');
  const files = await readdir(root, { recursive: true });
  expect(files).toContain('dist/THIRD-PARTY-LICENSES.txt');
  expect(files).toContain('LICENSE');
  expect(files.filter((file) => /\.ts$|^test/.test(file) && !file.startsWith('node_modules'))).toEqual([]);
});

it.each(['kleis', 'kleis-get-token', 'kleis-broker', 'kleis-credential'])(
  '%s on a Node that is too old says so, in place of a stack',
  async (program) => {
    const fake = join(prefix, 'old.cjs');
    const versions = "{ value: { ...process.versions, node: '18.19.1' } }";
    await writeFile(fake, `Object.defineProperty(process, 'versions', ${versions});`);
    const bin = join(prefix, 'old');
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, 'node'), `#!/bin/sh\nexec '${process.execPath}' --require '${fake}' "$@"\n`, {
      mode: 0o755,
    });
    const result = await run(program, ['--version'], { env: { ...env(), PATH: `${bin}:${env().PATH}` } });
    expect(result).toMatchObject({ code: 6, stdout: '' });
    expect(result.stderr).toMatch(/^error: Kleis needs Node 20\.20 or newer; \/.* is 18\.19\.1\.\nnext: {2}/);
  },
);
