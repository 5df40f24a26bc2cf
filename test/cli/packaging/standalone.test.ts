import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { layOut } from '../../../cli/packaging/archives/layout.ts';
import { withoutSymbols } from '../../../cli/packaging/standalone/elf.ts';
import { canMake } from '../../../cli/packaging/standalone/make.ts';
import { fetchNode } from '../../../cli/packaging/standalone/node.ts';
import { builders, targets } from '../../../cli/packaging/standalone/targets.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { startBrokerWorld } from '../../flow/broker-world.ts';
import { createWorld, said, type World } from '../../flow/world.ts';
import type { Person } from '../../support/kleis.ts';
import { needs } from '../../support/needs.ts';
import { run } from '../../support/run.ts';
import { startSecretService } from '../../support/secret-service.ts';

const here = targets.find(({ os, arch }) => os === process.platform && arch === process.arch);
const startTime = 60_000;

/**
 * Builds the programs into that empty folder, as `node build.mjs` does, with a code cache for the Node that is in an executable
 * which runs here. Returns the `dist` in it.
 */
async function buildForExecutables(folder: string): Promise<string> {
  for (const name of ['cli', 'broker', 'shared', 'docs', 'node_modules', 'package.json', 'manual.ts']) {
    await symlink(resolve(name), join(folder, name));
  }
  const nodes = process.platform === 'linux' ? [resolve(await fetchNode(builders[0]!), 'bin/node')] : [];
  const env = process.env as Record<string, string>;
  const built = await run(process.execPath, [resolve('build.mjs'), ...nodes], { env, cwd: folder, timeout: 120_000 });
  expect(built.code, built.stderr).toBe(0);
  return join(folder, 'dist');
}

describe.skipIf(here === undefined || !canMake(here))(
  'the standalone executable, with no Node and an empty PATH',
  () => {
    let folder: string;
    let world: World;
    const at = (name: string) => join(folder, 'kleis', name);
    const nowhere = { PATH: '/nonexistent' };

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'kleis-standalone-'));
      const build = join(folder, 'build');
      await mkdir(build);
      await mkdir(join(folder, 'kleis'));
      await mkdir(join(folder, 'home'));
      const dist = await buildForExecutables(build);
      [world] = await Promise.all([createWorld(), layOut(here!, dist, join(folder, 'kleis'))]);
    }, 240_000);
    afterAll(async () => {
      await world?.end();
      await rm(folder, { recursive: true, force: true });
    });

    const bare = (name: string, args: readonly string[], env: Record<string, string> = {}) =>
      run(at(name), args, { env: { ...nowhere, HOME: join(folder, 'home'), ...env }, timeout: startTime });
    const credential = (person: Person, env: Record<string, string> = {}) => {
      const info = { kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1' };
      const spec = { cluster: { server: 'https://prod.example.com:6443', config: null }, interactive: false };
      const flags = [...world.flags, '--certificate-authority', person.providerCaFile];
      // Each time another process asks: the same one asking again means that the server said 401.
      return person.run('/bin/sh', ['-c', '"$@"; exit $?', 'client', at('kleis-credential'), ...flags], {
        env: { ...nowhere, ...env, KUBERNETES_EXEC_INFO: `${JSON.stringify({ ...info, spec })}\n` },
        timeout: startTime,
      });
    };

    it('is each program by the name that it is called by', async () => {
      const usage = {
        kleis: 'Usage: kleis [options]',
        'kleis-broker': 'Usage: kleis-broker [options]',
        'kleis-get-token': 'Usage: kleis-get-token [options]',
        'kubectl-kleis': 'Usage: kleis [options]',
      };
      for (const [name, first] of Object.entries(usage)) {
        expect(said(await bare(name, ['--version']))).toEqual({
          code: 0,
          stdout: `${packageJson.version}\n`,
          stderr: '',
        });
        const help = await bare(name, ['--help']);
        expect(help.stdout.split('\n')[0]).toContain(first);
        expect(help).toMatchObject({ code: 0, stderr: '' });
      }
      expect((await bare('kubectl_complete-kleis', ['kubeconfig', 'a'])).stdout).toMatch(/^add\b/);
      expect((await bare('kleis', ['version'])).stdout).toContain(
        `kleis ${packageJson.version}\nNode ${here!.node!.version}`,
      );
      expect((await bare('kleis', ['kubeconfig', 'add', '--help'])).stdout).toContain('Usage: kleis kubeconfig add');
      expect(await bare('kleis', ['no-such-command'])).toMatchObject({ code: 2, stdout: '' });
    });

    it('a name that allows to get a token allows nothing else', async () => {
      expect(await bare('kleis-get-token', ['status'])).toMatchObject({ code: 2, stdout: '' });
    });

    it('no variable of Node makes it load code or open a debugger', async () => {
      const env = { NODE_OPTIONS: `--require ${join(folder, 'none.cjs')} --inspect=127.0.0.1:0`, NODE_PATH: folder };
      expect(said(await bare('kleis', ['version', '-o', 'json'], env))).toMatchObject({ code: 0, stderr: '' });
    });

    it('the launcher signs in with it, and then answers without it', async () => {
      const person = await world.person();
      const first = await credential(person);
      expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('"token":"eyJ') });
      await rename(at('kleis'), at('away'));
      try {
        expect(said(await credential(person))).toEqual({ code: 0, stdout: first.stdout, stderr: '' });
      } finally {
        await rename(at('away'), at('kleis'));
      }
      // Another npm's launcher needs a Node: what it is told of is never this.
      expect(await readdir(join(person.home, '.local/state/kleis'))).not.toContain('node');
    });

    it.skipIf(!needs('secret-service'))('keeps sessions in the keyring, with what lies in lib', async () => {
      const service = await startSecretService();
      try {
        const person = await world.person({ cache: 'keyring' });
        expect(said(await credential(person, service.env))).toMatchObject({ code: 0 });
        const status = await person.run(at('kleis'), ['status', '-o', 'json'], { env: { ...nowhere, ...service.env } });
        expect(JSON.parse(status.stdout)).toMatchObject({ sessions: [{ storage: 'keyring' }] });
      } finally {
        await service.stop();
      }
    });

    // Without /proc a program does not know what a link to it leads to.
    it.skipIf(!existsSync('/proc/self'))(
      'as the plugin of krew, alone in a folder, it writes entries that kubectl can run',
      async () => {
        const krew = join(folder, 'krew');
        await mkdir(krew);
        await mkdir(join(folder, 'bin'));
        // A file of its own, since it looks beside what a link leads to.
        await copyFile(at('kleis'), join(krew, 'kleis'));
        await symlink(join(krew, 'kleis'), join(folder, 'bin/kubectl-kleis'));
        const plugin = (...args: string[]) =>
          run(join(folder, 'bin/kubectl-kleis'), args, { env: { HOME: krew, ...nowhere }, timeout: startTime });
        const entry = ['--server', 'https://api.example.com', '--issuer-url', 'https://sso.example.com', '--offline'];
        expect(await plugin('kubeconfig', 'add', 'prod', ...entry)).toMatchObject({ code: 0 });
        const { stdout } = await run('/bin/cat', [join(krew, '.kube/config')], { env: {} });
        expect(stdout).toMatch(
          /args:\n\s+- get-token\n\s+- --issuer-url=https:\/\/sso\.example\.com\n\s+command: kubectl-kleis\n/,
        );
        // Without lib beside it.
        const login = ['--issuer-url', world.provider.issuer, '--cache', 'keyring', '--login', 'device'];
        const asked = await plugin('login', ...login);
        expect(asked).toMatchObject({ code: 6 });
        expect(asked.stderr).toContain(`there is no ${join(krew, 'lib/keytar.node')}`);
        await rm(join(krew, 'kleis'));
      },
    );

    it.skipIf(!needs('kubectl'))('a broker serves from it', async () => {
      const broker = await startBrokerWorld('stand-in');
      try {
        const replica = await broker.replica('alone', { executable: at('kleis-broker') });
        const { status, body } = await replica.exchange(await broker.issue(), 'deploy-web');
        expect([status, body.error_description]).toEqual([200, undefined]);
        expect(await broker.ask(body.access_token as string)).toBe(201);
        expect(await replica.end('SIGTERM')).toBe(0);
      } finally {
        await broker.stop();
      }
    });
  },
);

describe('withoutSymbols', () => {
  it('takes nothing but 64-bit ELF programs', () => {
    expect(() => withoutSymbols(Buffer.from(`MZ${' '.repeat(100)}`))).toThrow('No 64-bit ELF program.');
    expect(() => withoutSymbols(Buffer.from(`\x7fELF\x01\x01${' '.repeat(100)}`))).toThrow('No 64-bit ELF program.');
  });
});
