import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { closedFolder } from '../support/bare-system.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import type { RunResult } from '../support/run.ts';
import { startSecretService } from '../support/secret-service.ts';
import { createWorld, type World } from './world.ts';

// What a person meets when something is wrong, through the front door: for each a message of its own, the exit code,
// nothing on stdout, and, once it is mended, everything as it was.

const isRoot = process.geteuid?.() === 0;

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterEach(async () => {
  delete world.provider.quirks.discovery;
  delete world.provider.quirks.token;
  delete world.provider.quirks.before;
  await world.removePeople();
});
afterAll(() => world?.end());

const asKubectl = {
  KUBERNETES_EXEC_INFO: JSON.stringify({
    kind: 'ExecCredential',
    apiVersion: 'client.authentication.k8s.io/v1',
    spec: { cluster: { server: 'https://prod.example.com' }, interactive: false },
  }),
};
/** Each below a shell of its own, as below a kubectl: the same parent that asks again is told of the failure again. */
const ask = (person: Person, env: Record<string, string> = {}, more: readonly string[] = []) =>
  person.run('/bin/sh', ['-c', '"$@"; exit $?', 'kubectl', 'kleis', 'get-token', ...flagsOf(person), ...more], {
    env: { ...asKubectl, ...env },
    timeout: 30_000,
  });
const flagsOf = (person: Person) => [...world.flags, '--certificate-authority', person.providerCaFile];

function expectFailure(result: RunResult, code: number, reason: RegExp): void {
  expect({ code: result.code, stdout: result.stdout }, result.stderr).toEqual({ code, stdout: '' });
  expect(result.stderr).toMatch(reason);
  expect(result.stderr).toMatch(/^error: [^]+\nnext: {2}.+/m);
  expect(result.stderr).not.toMatch(/eyJ|did not foresee|\n {4}at /);
}

/** Somebody who is signed in, and whose credential is not cached, so that the session is needed. */
async function member(config: Record<string, unknown> = {}, env: Record<string, string> = {}): Promise<Person> {
  const person = await world.person(config);
  const login = await person.run('kleis', ['login', ...flagsOf(person)], { env });
  expect(login.code, login.stderr).toBe(0);
  return person;
}

/** After whatever went wrong is mended: still signed in, without another window. */
async function expectNothingLost(person: Person, env: Record<string, string> = {}): Promise<void> {
  const result = await ask(person, env);
  expect(result.code, result.stderr).toBe(0);
  expect(await person.windows()).toHaveLength(1);
}

describe('the provider', () => {
  it('that calls itself by another name is not believed', async () => {
    world.provider.quirks.discovery = (document) => ({ ...document, issuer: 'https://evil.example.com' });
    const person = await world.person();
    expectFailure(await ask(person), 6, /evil\.example\.com/);
    expect(await person.windows()).toEqual([]);
  });

  it('that answers with a page instead of a description is named', async () => {
    world.provider.quirks.before = (_request, response) => {
      response.setHeader('content-type', 'text/html').end('<h1>It works!</h1>');
      return true;
    };
    expectFailure(await ask(await world.person()), 5, /localhost/);
  });

  it('that nobody reaches costs no session', async () => {
    const person = await member();
    await expireTokens(person);
    world.provider.quirks.before = (request) => {
      request.socket.destroy();
      return true;
    };
    expectFailure(await ask(person), 5, /localhost/);
    delete world.provider.quirks.before;
    await expectNothingLost(person);
  });

  it('that is overloaded costs no session', async () => {
    const person = await member();
    await expireTokens(person);
    answerTokenRequests(503, 'busy');
    expectFailure(await ask(person), 5, /503/);
    delete world.provider.quirks.before;
    await expectNothingLost(person);
  });

  it.each([
    ['invalid_grant', 400, '{"error":"invalid_grant"}'],
    ['invalid_request', 400, '{"error":"invalid_request"}'],
    ['an empty answer', 400, ''],
  ])('that refuses the refresh token with %s leads to a new sign-in, with the reason', async (_name, status, body) => {
    const person = await member();
    await expireTokens(person);
    world.provider.quirks.token = (answer, form, given) =>
      form.get('grant_type') === 'refresh_token'
        ? { answer: { status, body } }
        : { answer: { status: given, body: JSON.stringify(answer) } };
    const result = await ask(person);
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toMatch(/Signing in again/);
    expect(await person.windows()).toHaveLength(2);
  });

  it('that knows no such client is an error of the configuration, and the session stays', async () => {
    const person = await member();
    await expireTokens(person);
    answerTokenRequests(401, '{"error":"invalid_client"}');
    expectFailure(await ask(person), 6, /client/);
    delete world.provider.quirks.before;
    await expectNothingLost(person);
  });

  it('whose token has ended before it arrives means a clock that is off', async () => {
    world.provider.quirks.token = (body) => {
      const past = Math.floor(Date.now() / 1000) - 7200;
      const claims = claimsOf(String(body['id_token']));
      return { json: { ...body, id_token: world.provider.signed({ ...claims, iat: past - 300, exp: past }) } };
    };
    world.provider.quirks.before = (_request, response) => {
      response.setHeader('date', new Date(Date.now() - 7_200_000).toUTCString());
      return false;
    };
    expectFailure(await ask(await world.person()), 6, /clock|hours?|minutes?/);
  });
});

describe('the sign-in', () => {
  it('that the person refuses says so', async () => {
    const person = await world.person();
    await person.behave({ behaviour: 'refuse' });
    expectFailure(await ask(person), 3, /refused|denied/i);
  });

  it('that nobody finishes ends by itself', async () => {
    const person = await world.person();
    await person.behave({ behaviour: 'ignore' });
    expectFailure(await ask(person, {}, ['--login-timeout', '2s']), 3, /2s|time/);
  });

  it('goes on when a forged callback comes, which changes nothing', async () => {
    const person = await world.person();
    await person.behave({ behaviour: 'ignore' });
    const running = person.start('kleis', ['get-token', ...flagsOf(person)], { env: asKubectl, timeout: 30_000 });
    await expect.poll(() => person.windows(), { timeout: 10_000 }).toHaveLength(1);
    const [window = ''] = await person.windows();
    const redirect = new URL(new URL(window).searchParams.get('redirect_uri') ?? '');
    const forged = new URL(redirect);
    forged.search = new URLSearchParams({ code: 'x', state: 'guessed' }).toString();
    expect((await fetch(forged)).status).toBe(400);
    forged.search = new URLSearchParams({ error: 'access_denied', state: 'guessed' }).toString();
    expect((await fetch(forged, { headers: { origin: 'https://evil.example.com' } })).status).toBe(400);
    await world.provider.browser({ login: 'alice' }).open(window);
    expect(await running.done).toMatchObject({ code: 0 });
  });

  it('whose browser cannot be opened prints the address instead', async () => {
    const person = await world.person();
    await person.writeConfig({
      browserCommand: [join(person.home, 'no-such-browser')],
      listenAddress: ['127.0.0.1:0'],
      login: 'browser',
      cache: 'file',
    });
    const result = await ask(person, {}, ['--login-timeout', '2s']);
    expectFailure(result, 3, /no-such-browser/);
    expect(result.stderr).toContain(`${world.provider.issuer}/auth?`);
  });

  it('that finds all its ports in use names them', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => {
      taken.listen(0, '127.0.0.1', resolve);
    });
    const { port } = taken.address() as AddressInfo;
    try {
      const person = await world.person({ listenAddress: [`127.0.0.1:${port}`] });
      expectFailure(await ask(person), 6, new RegExp(`${port}`));
    } finally {
      taken.close();
    }
  });
});

describe('where sessions are kept', () => {
  it('a session that others can read is refused, and is still there once that is mended', async () => {
    const person = await member();
    const [file = ''] = await sessionFiles(person);
    await chmod(file, 0o644);
    expectFailure(await ask(person), 6, /others/);
    await chmod(file, 0o600);
    await expectNothingLost(person);
  });

  it('a session behind a link is refused', async () => {
    const person = await member();
    const [file = ''] = await sessionFiles(person);
    const text = await readFile(file);
    await rm(file);
    await writeFile(join(person.home, 'elsewhere'), text, { mode: 0o600 });
    await symlink(join(person.home, 'elsewhere'), file);
    expectFailure(await ask(person), 6, /link/);
  });

  it('a session that is not ours to read is named, and `kleis login` replaces it', async () => {
    const person = await member();
    const [file = ''] = await sessionFiles(person);
    await writeFile(file, '{"version":1,');
    expectFailure(await ask(person), 6, new RegExp(file.split('/').at(-1) ?? ''));
    const login = await person.run('kleis', ['login', ...flagsOf(person)]);
    expect(login.code, login.stderr).toBe(0);
    expect(await ask(person)).toMatchObject({ code: 0 });
  });

  it('a credential folder that others can enter is emptied and closed to them before it is used', async () => {
    const person = await member();
    const folder = join(person.home, 'run', 'kleis');
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o777);
    await writeFile(join(folder, '1-1-theirs'), '');
    const result = await ask(person);
    expect(result.code, result.stderr).toBe(0);
    expect(result.stderr).toMatch(/could be used by others/);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect(await readdir(folder)).not.toContain('1-1-theirs');
  });

  it.skipIf(!needs('mount'))(
    'no place at all: a reason, and a token; a person who asked for a file is told that there is none',
    async () => {
      const person = await world.person({ cache: 'auto' });
      const fixed = join(person.home, 'fixed');
      await mkdir(fixed, { mode: 0o700 });
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,mode=0700', 'tmpfs', fixed]);
      try {
        const env = { KLEIS_STATE_DIR: join(fixed, 'a', 'state'), KLEIS_CACHE_DIR: join(fixed, 'b') };
        const config = { XDG_CONFIG_HOME: join(person.home, '.config') };
        const nowhere = { ...env, ...config, XDG_RUNTIME_DIR: '', HOME: fixed };
        const result = await ask(person, nowhere);
        expect(result.code, result.stderr).toBe(0);
        expect(result.stdout).toContain('"token"');
        expect(result.stderr.match(/read-only/g)).toHaveLength(1);
        expect(result.stderr).toMatch(/^The session is not kept, so it ends with its token\. .*read-only\.$/m);
        expectFailure(await ask(person, nowhere, ['--cache', 'file']), 6, /read-only/);
      } finally {
        execFileSync('umount', [fixed]);
      }
    },
  );

  it.skipIf(!isRoot)(
    'the home of somebody else is no place: a reason, and a token, and nothing of ours in it',
    async () => {
      const person = await world.person({ cache: 'auto' });
      const home = join(person.home, 'theirs');
      await mkdir(home);
      await chown(home, 12345, 12345);
      await chmod(home, 0o770);
      const result = await ask(person, { KLEIS_STATE_DIR: join(home, 'state'), KLEIS_CACHE_DIR: join(home, 'cache') });
      expect(result.code, result.stderr).toBe(0);
      expect(result.stderr).toMatch(/The session is not kept.*belongs to another user/);
      expect(await readdir(home)).toEqual([]);
    },
  );

  it.each([[''], ['relative/home']])(
    'HOME=%j says no place: one line, a token, and nothing beside us',
    async (HOME) => {
      const person = await world.person({ cache: 'auto' });
      const here = join(person.home, 'here');
      await mkdir(here);
      const unset = {
        KLEIS_STATE_DIR: '',
        KLEIS_CACHE_DIR: '',
        XDG_STATE_HOME: '',
        XDG_CACHE_HOME: '',
        XDG_RUNTIME_DIR: '',
      };
      const env = { ...asKubectl, ...unset, HOME, XDG_CONFIG_HOME: join(person.home, '.config') };
      const result = await person.run('kleis-credential', flagsOf(person), { env, cwd: here });
      expect(result.code, result.stderr).toBe(0);
      expect(result.stdout).toContain('"token"');
      expect(result.stderr.match(/not kept/g)).toHaveLength(1);
      expect(await readdir(here)).toEqual([]);
    },
  );

  it.each([
    ['whose XDG_RUNTIME_DIR has vanished', { XDG_RUNTIME_DIR: '/run/user/4711-gone' }],
    [
      'whose KLEIS_CACHE_DIR is where the system lets nobody make a folder',
      { KLEIS_CACHE_DIR: join(closedFolder, 'kleis') },
    ],
  ])('a client %s has one failed sign-in, one window, and is told the reason once', async (_name, env) => {
    const person = await world.person();
    await person.behave({ behaviour: 'refuse' });
    const five = 'i=0; while [ $i -lt 5 ]; do "$@"; code=$?; i=$((i + 1)); done; exit "$code"';
    const args = ['-c', five, 'kubectl', 'kleis-credential', ...flagsOf(person)];
    const result = await person.run('/bin/sh', args, { env: { ...asKubectl, ...env }, timeout: 60_000 });
    expect(result.code, result.stderr).toBe(3);
    expect(await person.windows()).toHaveLength(1);
    expect(result.stderr.match(/^error: /gm)).toHaveLength(1);
    expect(result.stderr.match(/Credentials are kept in .*kleis: /g)).toHaveLength(1);
  });

  it('whoever signed in has noted which Node runs Kleis, for a launcher that finds none', async () => {
    const person = await member();
    const noted = await readFile(join(person.home, '.local/state/kleis/node'), 'utf8');
    expect(noted).toBe(`${process.execPath}\n`);
  });

  it('no folder for credentials at all: one window all the same', async () => {
    const person = await world.person();
    await person.behave({ behaviour: 'refuse' });
    const five = 'i=0; while [ $i -lt 5 ]; do "$@"; code=$?; i=$((i + 1)); done; exit "$code"';
    const nowhere = {
      KLEIS_CACHE_DIR: join(closedFolder, 'a'),
      XDG_RUNTIME_DIR: join(closedFolder, 'b'),
      XDG_CACHE_HOME: join(closedFolder, 'c'),
      HOME: join(closedFolder, 'd'),
    };
    const env = { ...asKubectl, ...nowhere, KLEIS_STATE_DIR: join(person.home, 'state') };
    const args = ['-c', five, 'kubectl', 'kleis-credential', ...flagsOf(person), '--login=browser'];
    const config = { XDG_CONFIG_HOME: join(person.home, '.config') };
    const result = await person.run('/bin/sh', args, { env: { ...env, ...config }, timeout: 60_000 });
    expect(result.code, result.stderr).toBe(3);
    expect(await person.windows()).toHaveLength(1);
    expect(result.stderr.match(/No credential is kept/g)).toHaveLength(1);
  });

  it.skipIf(!needs('mount'))('a full disk is said before the refresh token is spent', async () => {
    const person = await world.person();
    const state = join(person.home, 'small');
    await mkdir(state, { mode: 0o700 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', state]);
    try {
      const env = { KLEIS_STATE_DIR: state };
      const login = await person.run('kleis', ['login', ...flagsOf(person)], { env });
      expect(login.code, login.stderr).toBe(0);
      await expireTokens(person, state);
      await writeFile(join(state, 'filler'), Buffer.alloc(1024 * 1024)).catch(() => undefined);
      const refreshes = world.provider.count('token');
      expectFailure(await ask(person, env), 6, /space/);
      expect(world.provider.count('token')).toBe(refreshes);
      await rm(join(state, 'filler'));
      await expectNothingLost(person, env);
    } finally {
      execFileSync('umount', [state]);
    }
  });

  it.skipIf(!needs('mount'))('a read-only home is said before anybody has to sign in', async () => {
    const person = await world.person();
    const state = join(person.home, 'fixed');
    await mkdir(state, { mode: 0o700 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,mode=0700', 'tmpfs', state]);
    try {
      expectFailure(await ask(person, { KLEIS_STATE_DIR: state }), 6, /read-only/);
      expect(await person.windows()).toEqual([]);
    } finally {
      execFileSync('umount', [state]);
    }
  });

  it.skipIf(!needs('secret-service'))(
    'a locked keyring is said, and the session is still in it afterwards',
    async () => {
      const service = await startSecretService();
      try {
        const person = await member({ cache: 'keyring' }, { ...service.env });
        service.lock();
        expectFailure(await ask(person, { ...service.env }), 6, /locked/);
        await service.unlock();
        await expectNothingLost(person, { ...service.env });
      } finally {
        await service.stop();
      }
    },
  );
});

describe('the configuration', () => {
  it('with several faults has all of them named, with line and column', async () => {
    const person = await world.person();
    await writeFile(join(person.home, '.config/kleis/config.yaml'), 'login: sometimes\nbrowser: firefox\n');
    const result = await ask(person);
    expectFailure(result, 6, /config\.yaml:1:\d+/);
    expect(result.stderr).toMatch(/config\.yaml:2:\d+/);
  });

  it.each(['kleis-credential', 'kleis-get-token', 'kleis get-token'])(
    'a client that says nothing gets nothing from %s, unless its kubeconfig names the cluster',
    async (program) => {
      const person = await member();
      const [name = '', ...before] = program.split(' ');
      const silent = (...more: string[]) =>
        person.run('/bin/sh', ['-c', '"$@"; exit $?', 'client', name, ...before, ...flagsOf(person), ...more], {
          timeout: 30_000,
        });
      const refused = await silent();
      expectFailure(refused, 6, /which cluster/);
      expect(refused.stderr).toMatch(/kleis token.*--cluster-server/);
      expectFailure(await silent('--cluster-server', 'http://prod.example.com'), 2, /--cluster-server/);
      const named = await silent('--cluster-server', 'https://silent.example.com');
      expect(named.code, named.stderr).toBe(0);
      expect(named.stderr).toMatch(/New: the cluster https:\/\/silent\.example\.com now gets tokens/);
      const starts = await person.nodeStarts();
      expect(await silent('--cluster-server', 'https://silent.example.com')).toMatchObject({ code: 0 });
      expect((await person.nodeStarts()) - starts).toBe(name === 'kleis-credential' ? 0 : 1);
    },
  );

  it('a client that says another cluster than its kubeconfig gets nothing', async () => {
    const person = await member();
    expectFailure(await ask(person, {}, ['--cluster-server', 'https://other.example.com']), 6, /prod.*other/);
    expect(await ask(person, {}, ['--cluster-server', 'https://prod.example.com'])).toMatchObject({ code: 0 });
  });

  it('of a client that knows only v1alpha1 is refused, and says what to write', async () => {
    const info = { kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1alpha1', spec: {} };
    const result = await ask(await member(), { KUBERNETES_EXEC_INFO: JSON.stringify(info) });
    expectFailure(result, 6, /v1alpha1/);
    expect(result.stderr).toMatch(/next: {2}Set `apiVersion: client\.authentication\.k8s\.io\/v1`/);
  });

  it('of a kubeconfig that does not say which cluster asks is refused', async () => {
    const person = await member();
    const info = {
      kind: 'ExecCredential',
      apiVersion: 'client.authentication.k8s.io/v1',
      spec: { interactive: false },
    };
    expectFailure(await ask(person, { KUBERNETES_EXEC_INFO: JSON.stringify(info) }), 6, /which cluster/);
  });

  it('a session is asked for before it meets a new cluster, where the person wants that', async () => {
    const person = await member({ confirmNewClusters: true });
    const info = {
      kind: 'ExecCredential',
      apiVersion: 'client.authentication.k8s.io/v1',
      spec: { cluster: { server: 'https://new.example.com' }, interactive: false },
    };
    const result = await ask(person, { KUBERNETES_EXEC_INFO: JSON.stringify(info) });
    expectFailure(result, 3, /new\.example\.com/);
    expect(result.stderr).toMatch(/kleis login --context/);
  });
});

/** Before the provider has seen them: it has spent nothing. */
function answerTokenRequests(status: number, body: string): void {
  world.provider.quirks.before = (request, response) => {
    if (request.method !== 'POST') return false;
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
    return true;
  };
}

async function sessionFiles(person: Person, state = join(person.home, '.local/state/kleis')): Promise<string[]> {
  const folder = join(state, 'sessions');
  return (await readdir(folder)).filter((name) => name.endsWith('.json')).map((name) => join(folder, name));
}

/** As time would: the tokens of the session have ended, the refresh token has not. */
async function expireTokens(person: Person, state?: string): Promise<void> {
  const [file = ''] = await sessionFiles(person, state);
  const session = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  const past = Date.now() - 1000;
  const ended = { ...session, issuedAt: past - 60_000, idTokenExpiresAt: past, accessTokenExpiresAt: past };
  await writeFile(file, `${JSON.stringify(ended)}\n`);
}

function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
}
