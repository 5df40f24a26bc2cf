import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { startSecretService } from '../support/secret-service.ts';
import { createWorld, said, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterEach(async () => {
  world.provider.lifetimes.idToken = 3600;
  await world.removePeople();
});
afterAll(() => world?.end());

const prod = 'https://prod.example.com:6443';

/** What kubectl puts into the environment of the plugin. */
function asKubectl(server = prod, apiVersion = 'client.authentication.k8s.io/v1'): Record<string, string> {
  const info = { kind: 'ExecCredential', apiVersion, spec: { cluster: { server, config: null }, interactive: false } };
  return { KUBERNETES_EXEC_INFO: `${JSON.stringify(info)}\n` };
}

const flagsOf = (person: Person) => [...world.flags, '--certificate-authority', person.providerCaFile];

/** Each time another process asks, as with kubectl: the same one asking again means that the server said 401. */
const credential = (person: Person, server = prod, env: Record<string, string> = {}) =>
  person.run('/bin/sh', ['-c', '"$@"; exit $?', 'client', 'kleis-credential', ...flagsOf(person)], {
    env: { ...asKubectl(server), ...env },
    timeout: 60_000,
  });
const grants = (type: string) =>
  world.provider.seen.filter(({ route, params }) => route === 'token' && params['grant_type'] === type).length;

interface Credential {
  readonly apiVersion: string;
  readonly kind: string;
  readonly status: { readonly token: string; readonly expirationTimestamp: string };
}

describe('one person, without kubectl', () => {
  it('ends at once with exit 3 where nobody can sign in: no terminal, no display, nobody reads stderr', async () => {
    const person = await world.person({ login: 'auto', browserCommand: undefined });
    const plain = ['-c', '"$@" 2>/dev/null </dev/null; exit $?', 'client', 'kleis-credential', ...flagsOf(person)];
    const started = Date.now();
    const { code, stdout } = await person.run('/bin/sh', plain, { env: asKubectl(), timeout: 60_000 });
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    // A sign-in waits five minutes.
    expect(Date.now() - started).toBeLessThan(30_000);
    expect(await person.windows()).toEqual([]);
  });

  it('login, status, a credential, logout', async () => {
    const person = await world.person();
    expect(said(await person.run('kleis', ['login', ...flagsOf(person)]))).toMatchObject({ code: 0, stdout: '' });
    const status = await person.run('kleis', ['status', '-o', 'json']);
    const { sessions } = JSON.parse(status.stdout) as { sessions: Record<string, unknown>[] };
    expect(sessions).toMatchObject([
      { issuer: world.provider.issuer, clientId: 'kleis', subject: 'alice', storage: 'file' },
    ]);

    const { code, stdout, stderr } = await credential(person);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^New: the cluster .* alice.*\n$/) });
    const given = JSON.parse(stdout) as Credential;
    expect(given).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: expect.stringMatching(/^eyJ/), expirationTimestamp: expect.stringMatching(/^\d{4}-.*Z$/) },
    });
    expect(status.stdout).not.toContain(given.status.token);
    expect(await person.windows()).toHaveLength(1);

    expect(said(await person.run('kleis', ['logout']))).toMatchObject({ code: 0, stdout: '' });
    const after = await person.run('kleis', ['status', '-o', 'json']);
    expect(JSON.parse(after.stdout)).toEqual({ contexts: [], sessions: [], credentials: [] });
    await person.behave({ behaviour: 'refuse' });
    expect(await credential(person)).toMatchObject({ code: 3, stdout: '' });
  });

  it('a cached credential is the same bytes, without Node', async () => {
    const person = await world.person();
    const first = await credential(person);
    const nodes = await person.nodeStarts();
    expect(said(await credential(person))).toEqual({ code: 0, stdout: first.stdout, stderr: '' });
    expect(await person.nodeStarts()).toBe(nodes);
  });

  it('late in its life a credential is given at once, and the next one is fetched behind it', async () => {
    const person = await world.person();
    const first = await credential(person);
    const run = join(person.home, 'run/kleis');
    const sessions = join(person.home, '.local/state/kleis/sessions');
    const sessionFile = async () => (await readdir(sessions)).find((name) => name.endsWith('.json')) ?? '';
    // As if it had been issued four hours ago: more than three quarters of its life are over.
    const past = new Date(Date.now() - 60_000);
    for (const name of await readdir(run)) if (name.startsWith('soon-')) await utimes(join(run, name), past, past);
    const file = join(sessions, await sessionFile());
    const session = JSON.parse(await readFile(file, 'utf8')) as Record<string, number>;
    await writeFile(file, JSON.stringify({ ...session, issuedAt: (session['issuedAt'] ?? 0) - 4 * 3_600_000 }));
    // Two tokens of one second are the same bytes.
    const began = Date.now();
    await expect.poll(() => Date.now(), { timeout: 5000 }).toBeGreaterThan(began + 1000);
    const refreshes = grants('refresh_token');
    const late = await credential(person);
    expect(said(late)).toEqual({ code: 0, stdout: first.stdout, stderr: '' });
    await expect.poll(() => grants('refresh_token'), { timeout: 15_000 }).toBe(refreshes + 1);
    await expect.poll(async () => (await credential(person)).stdout, { timeout: 15_000 }).not.toBe(first.stdout);
    expect(grants('refresh_token')).toBe(refreshes + 1);
    expect(await person.windows()).toHaveLength(1);
  }, 60_000);

  it('a credential of one cluster is never handed to another', async () => {
    const person = await world.person();
    expect(await credential(person)).toMatchObject({ code: 0 });
    const nodes = await person.nodeStarts();
    const other = await credential(person, 'https://other.example.com:6443');
    expect(other.code).toBe(0);
    expect(other.stderr).toContain('https://other.example.com:6443');
    expect(await person.nodeStarts()).toBe(nodes + 1);
  });

  it('the answer has the version of the request', async () => {
    const person = await world.person();
    const env = asKubectl(prod, 'client.authentication.k8s.io/v1beta1');
    const { stdout } = await person.run('kleis-credential', flagsOf(person), { env });
    expect((JSON.parse(stdout) as Credential).apiVersion).toBe('client.authentication.k8s.io/v1beta1');
  });

  it.skipIf(!needs('script'))('pastes the address where there is no browser', async () => {
    const person = await world.person();
    const running = person.start('kleis', ['login', ...flagsOf(person), '--login', 'paste'], { tty: true });
    const [url] = await running.waitFor(/https:\/\/localhost:\d+\/auth\?\S+/);
    const { location } = await world.provider.browser().visit(url);
    running.stdin?.write(`${location?.href}\r`);
    expect(await running.done).toMatchObject({ code: 0 });
    expect(await credential(person)).toMatchObject({ code: 0 });
    expect(await person.windows()).toHaveLength(0);
  });
});

const times = <T>(count: number, work: () => Promise<T>) => Promise.all(Array.from({ length: count }, work));

describe('many processes at once', () => {
  it('two hundred at the moment of expiry: one refresh, one Node, all succeed', async () => {
    world.provider.lifetimes.idToken = 2;
    const person = await world.person();
    const first = JSON.parse((await credential(person)).stdout) as Credential;
    world.provider.lifetimes.idToken = 3600;
    const over = Date.parse(first.status.expirationTimestamp) + 1000;
    await expect.poll(() => Date.now(), { timeout: 10_000 }).toBeGreaterThan(over);

    const [refreshes, nodes] = [grants('refresh_token'), await person.nodeStarts()];
    const results = await times(200, () => credential(person));
    expect(results.filter(({ code }) => code !== 0).map(said)).toEqual([]);
    expect(new Set(results.map(({ stdout }) => stdout)).size).toBe(1);
    expect(grants('refresh_token') - refreshes).toBe(1);
    expect((await person.nodeStarts()) - nodes).toBe(1);
  }, 60_000);

  it('nobody signed in: one window, all succeed', async () => {
    const person = await world.person();
    const results = await times(20, () => credential(person));
    expect(results.filter(({ code }) => code !== 0).map(said)).toEqual([]);
    expect(await person.windows()).toHaveLength(1);
  }, 60_000);

  it('nobody signed in and the sign-in refused: one window, all say why', async () => {
    const person = await world.person();
    await person.behave({ behaviour: 'refuse' });
    const results = await times(10, () => credential(person));
    for (const { code, stdout, stderr } of results) {
      expect({ code, stdout, stderr }).toEqual({
        code: 3,
        stdout: '',
        stderr: expect.stringMatching(/error:.*(refused|denied)/i),
      });
    }
    expect(await person.windows()).toHaveLength(1);
  }, 60_000);
});

describe.skipIf(!needs('secret-service'))('with a Secret Service', () => {
  it.each(['keyring', 'file'])(
    'a session in the %s is used and refreshed from there, and is nowhere else',
    async (cache) => {
      world.provider.lifetimes.idToken = 2;
      const service = await startSecretService();
      try {
        const person = await world.person({ cache });
        const ask = () => credential(person, prod, service.env);
        const first = await ask();
        expect(said(first)).toMatchObject({ code: 0 });
        const status = await person.run('kleis', ['status', '-o', 'json'], { env: service.env });
        expect(JSON.parse(status.stdout)).toMatchObject({ sessions: [{ storage: cache }] });
        const kept = await textBelow(person.home);

        world.provider.lifetimes.idToken = 3600;
        const { expirationTimestamp } = (JSON.parse(first.stdout) as Credential).status;
        await expect
          .poll(() => Date.now(), { timeout: 10_000 })
          .toBeGreaterThan(Date.parse(expirationTimestamp) + 1000);
        const refreshes = grants('refresh_token');
        expect(said(await ask())).toMatchObject({ code: 0 });
        expect(grants('refresh_token')).toBe(refreshes + 1);
        expect(await person.windows()).toHaveLength(1);
        const spent = world.provider.seen.findLast(({ params }) => params['grant_type'] === 'refresh_token')?.params;
        expect(kept.includes(String(spent?.['refresh_token']))).toBe(cache === 'file');
      } finally {
        await service.stop();
      }
    },
  );
});

describe('what goes wrong has an exit code, a reason, a next step, and an empty stdout', () => {
  const cases: readonly [
    name: string,
    code: number,
    work: (person: Person) => Promise<readonly string[]> | readonly string[],
  ][] = [
    ['an unknown flag', 2, (person) => ['get-token', ...flagsOf(person), '--unknown']],
    ['no issuer', 2, () => ['get-token']],
    [
      'an issuer that is neither https nor on loopback',
      6,
      () => ['get-token', '--issuer-url', 'http://login.example.com'],
    ],
    ['a provider that nobody answers for', 5, () => ['get-token', '--issuer-url', 'http://127.0.0.1:9']],
    ['a provider whose certificate is not trusted', 5, () => ['get-token', '--issuer-url', world.provider.issuer]],
    [
      'an issuer that calls itself something else',
      6,
      (person) => [
        'get-token',
        '--issuer-url',
        `${world.provider.issuer}/`,
        '--certificate-authority',
        person.providerCaFile,
      ],
    ],
    [
      'a client that the provider does not know',
      3,
      (person) => ['get-token', ...flagsOf(person), '--client-id', 'nobody', '--login-timeout', '3s'],
    ],
    [
      'a kubeconfig that is not YAML',
      6,
      async (person) => {
        const file = join(person.home, 'broken');
        await writeFile(file, 'a: [');
        return ['kubeconfig', 'add', 'x', '--server', prod, '--kubeconfig', file, ...flagsOf(person)];
      },
    ],
  ];
  it.each(cases)('%s', async (_name, code, work) => {
    const person = await world.person();
    const args = await work(person);
    const named = args[0] === 'get-token' ? ['--cluster-server', prod] : [];
    const result = await person.run('kleis', [...args, ...named]);
    expect(said(result)).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(/error: .+/);
    expect(result.stderr).toMatch(/^(next: .+|.*--help.*)/m);
  });
});

async function textBelow(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('\n');
}
