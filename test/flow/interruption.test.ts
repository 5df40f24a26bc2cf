import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Person } from '../support/kleis.ts';
import { createWorld, type World } from './world.ts';

// What happens in the worst moment: Ctrl-C while a refresh token is being spent, a kubectl that is killed, a kubeconfig
// from elsewhere, five clusters at once.

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterEach(async () => {
  delete world.provider.quirks.before;
  delete world.provider.quirks.token;
  await world.removePeople();
});
afterAll(() => world?.end());

const flagsOf = (person: Person) => [...world.flags, '--certificate-authority', person.providerCaFile];

function asKubectl(cluster: Record<string, unknown>): Record<string, string> {
  const apiVersion = 'client.authentication.k8s.io/v1';
  return {
    KUBERNETES_EXEC_INFO: `${JSON.stringify({ kind: 'ExecCredential', apiVersion, spec: { cluster, interactive: false } })}\n`,
  };
}

/** Each below a shell of its own, as below a kubectl: the same parent asking twice means a 401. */
const start = (person: Person, cluster: Record<string, unknown>, env: Record<string, string> = {}) =>
  person.start('/bin/sh', ['-c', '"$@"; exit $?', 'client', 'kleis-credential', ...flagsOf(person)], {
    env: { ...asKubectl(cluster), ...env },
    timeout: 60_000,
  });
const ask = (person: Person, cluster: Record<string, unknown>, env: Record<string, string> = {}) =>
  start(person, cluster, env).done;

const prod = { server: 'https://prod.example.com:6443', 'certificate-authority-data': 'QQ==' };

async function expireTokens(person: Person): Promise<void> {
  const folder = join(person.home, '.local/state/kleis/sessions');
  const [name = ''] = (await readdir(folder)).filter((each) => each.endsWith('.json'));
  const file = join(folder, name);
  const session = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  const past = Date.now() - 1000;
  const ended = { ...session, issuedAt: past - 60_000, idTokenExpiresAt: past, accessTokenExpiresAt: past };
  await writeFile(file, `${JSON.stringify(ended)}\n`);
}

it('Ctrl-C while the refresh token is being spent loses nothing', async () => {
  const person = await world.person();
  expect(await person.run('kleis', ['login', ...flagsOf(person)])).toMatchObject({ code: 0 });
  await expireTokens(person);
  let asked = false;
  world.provider.quirks.token = (json) => ({ json });
  world.provider.quirks.before = async (request) => {
    if (request.method !== 'POST') return false;
    asked = true;
    await sleep(700);
    return false;
  };
  const running = person.start('kleis-get-token', flagsOf(person), { env: asKubectl(prod), timeout: 30_000 });
  await expect.poll(() => asked, { timeout: 10_000 }).toBe(true);
  running.kill('SIGINT');
  expect(await running.done).toMatchObject({ code: 130, stdout: '' });
  delete world.provider.quirks.before;
  await expireTokens(person);
  const next = await ask(person, prod);
  expect(next.code, next.stderr).toBe(0);
  expect(await person.windows()).toHaveLength(1);
});

it('whoever waited for a process that was stopped takes over', async () => {
  const person = await world.person();
  expect(await person.run('kleis', ['login', ...flagsOf(person)])).toMatchObject({ code: 0 });
  expect(await ask(person, prod)).toMatchObject({ code: 0 });
  await person.run('sh', ['-c', 'rm -f run/kleis/*']);
  await expireTokens(person);
  let asked = 0;
  world.provider.quirks.before = async (request) => {
    if (request.method === 'POST' && (asked += 1) === 1) await sleep(700);
    return false;
  };
  const first = person.start('kleis-credential', flagsOf(person), { env: asKubectl(prod), timeout: 30_000 });
  await expect.poll(() => asked, { timeout: 10_000 }).toBe(1);
  const second = start(person, prod);
  await sleep(200);
  first.kill('SIGINT');
  expect((await first.done).code).toBe(130);
  const result = await second.done;
  expect(result.code, result.stderr).toBe(0);
});

it('a sign-in whose kubectl has gone holds up nobody', async () => {
  const person = await world.person();
  await person.behave({ behaviour: 'ignore' });
  const orphan = start(person, prod);
  await expect.poll(() => person.windows(), { timeout: 15_000 }).toHaveLength(1);
  orphan.kill('SIGKILL');
  await person.behave({ behaviour: 'agree' });
  const began = Date.now();
  const next = await ask(person, prod);
  expect(next.code, next.stderr).toBe(0);
  expect(Date.now() - began).toBeLessThan(20_000);
}, 60_000);

describe('a kubeconfig from elsewhere that names a known server', () => {
  it.each([
    ['another way there', { 'proxy-url': 'http://proxy.evil.example' }],
    ['another authority', { 'certificate-authority-data': 'RVZJTA==' }],
    ['no authority', { 'insecure-skip-tls-verify': true }],
    ['another name', { 'tls-server-name': 'evil.example' }],
  ])('and %s is a new cluster: the person is asked', async (_name, change) => {
    const person = await world.person();
    expect(await ask(person, prod)).toMatchObject({ code: 0 });
    await person.writeConfig({
      listenAddress: ['127.0.0.1:0'],
      login: 'browser',
      cache: 'file',
      confirmNewClusters: true,
    });
    const result = await ask(person, { ...prod, ...change });
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code: 3, stdout: '' });
    expect(result.stderr).toMatch(/prod\.example\.com:6443, whose certificate authority, server name or proxy/);
  });
});

it('five clusters at once and a refused sign-in: one window, and all say why', async () => {
  const person = await world.person();
  await person.behave({ behaviour: 'refuse' });
  // A person needs a moment to refuse; until then everybody is waiting.
  world.provider.quirks.before = async (_request, _response, path) => {
    if (path.endsWith('/auth')) await sleep(4000);
    return false;
  };
  const results = await Promise.all(
    [1, 2, 3, 4, 5].map(async (n) => ask(person, { server: `https://c${n}.example.com` })),
  );
  for (const { code, stderr } of results) expect(code, stderr).toBe(3);
  for (const { stderr } of results) expect(stderr).toMatch(/refuse/);
  expect(await person.windows()).toHaveLength(1);
}, 60_000);

it('a logout reaches the credentials of processes that had no XDG_RUNTIME_DIR', async () => {
  const person = await world.person();
  expect(await ask(person, prod)).toMatchObject({ code: 0 });
  expect(await ask(person, prod, { XDG_RUNTIME_DIR: '' })).toMatchObject({ code: 0 });
  expect(await person.run('kleis', ['logout', '--all'])).toMatchObject({ code: 0 });
  await person.behave({ behaviour: 'refuse' });
  for (const env of [{}, { XDG_RUNTIME_DIR: '' }] as Record<string, string>[]) {
    expect(await ask(person, prod, env)).toMatchObject({ code: 3, stdout: '' });
  }
});

it.each([
  [200, '{"error":"invalid_grant","error_description":"gone"}'],
  [500, '{"error":"invalid_grant"}'],
])('a refresh that is refused with HTTP %i leads to a sign-in', async (status, body) => {
  const person = await world.person();
  expect(await person.run('kleis', ['login', ...flagsOf(person)])).toMatchObject({ code: 0 });
  await expireTokens(person);
  world.provider.quirks.token = (answer, form, given) =>
    form.get('grant_type') === 'refresh_token'
      ? { answer: { status, body } }
      : { answer: { status: given, body: JSON.stringify(answer) } };
  const result = await ask(person, prod);
  expect(result.code, result.stderr).toBe(0);
  expect(await person.windows()).toHaveLength(2);
});

it('a refusal that repeats the refresh token does not show it', async () => {
  const person = await world.person();
  expect(await person.run('kleis', ['login', ...flagsOf(person)])).toMatchObject({ code: 0 });
  await expireTokens(person);
  let token = '';
  world.provider.quirks.token = (answer, form) => {
    token = form.get('refresh_token') ?? token;
    if (!form.has('refresh_token')) return { json: answer };
    return {
      answer: { status: 400, body: JSON.stringify({ error: 'invalid_grant', error_description: `no ${token}` }) },
    };
  };
  const result = await ask(person, prod);
  expect(token).not.toBe('');
  expect(result.stderr).toContain('[redacted]');
  expect(result.stderr).not.toContain(token);
});
