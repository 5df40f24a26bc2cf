import { openSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from '../../support/failure.ts';
import { startProvider, type Quirks, type TestProvider } from '../../support/provider.ts';
import { connectTo, createTestDeps, readUntil, settingsFor, type TestDepsOptions, withProvider } from './world.ts';

let provider: TestProvider;
let folder: string;
beforeAll(async () => {
  provider = await startProvider();
  folder = await mkdtemp(join(tmpdir(), 'kleis-sign-in-'));
});
afterAll(async () => {
  await provider.stop();
  await rm(folder, { recursive: true });
});

const desktop = { DISPLAY: ':0' };
const nothing = { browserCommand: ['/nonexistent/browser'] };

async function begin(
  at: TestProvider,
  changes: Parameters<typeof settingsFor>[1],
  { allowPaste = false, ...options }: TestDepsOptions & { allowPaste?: boolean } = {},
) {
  const deps = createTestDeps({ terminal: true, ...options });
  const kleis = await connectTo(settingsFor(at.issuer, { login: 'auto', ...changes }), deps);
  const tokens = kleis.signIn({ allowPaste });
  tokens.catch(() => undefined);
  return { deps, tokens };
}

/** Lists the device endpoint, and does not let this client use it. */
const withoutGrant: Quirks = {
  before(request, response, path) {
    if (path !== '/device/auth') return false;
    request.resume();
    const body = {
      error: 'unauthorized_client',
      error_description: 'Client is not allowed to initiate OAuth 2.0 Device',
    };
    response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    return true;
  },
};

const giving = (uri: string): NonNullable<Quirks['before']> =>
  function before(request, response, path) {
    if (path !== '/device/auth') return false;
    request.resume();
    const body = { device_code: 'a-device-code', user_code: 'ABCD-EFGH', verification_uri: uri, interval: 1 };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    return true;
  };

/** Gives every client a code, and does not let this one use it. */
const withoutUse: Quirks = {
  before: giving('https://login.example/device'),
  token: (json, form) =>
    form.has('device_code') ? { answer: { status: 400, body: { error: 'unsupported_grant_type' } } } : { json },
};

/** Sends people to an address that nobody should open. */
const withoutAddress: Quirks = { before: giving('http://login.example/device') };

async function useCode(at: TestProvider, deps: ReturnType<typeof createTestDeps>): Promise<void> {
  const [, uri = '', code = ''] = await readUntil(deps, /(http\S+\/device)\b[^]*?([A-Z]{4}-[A-Z]{4})/);
  await at.browser().open(`${uri}?user_code=${code}`);
}

describe('a way that fails before the person has done anything is left for the next', () => {
  test('a browser that cannot be started: the device code', async () => {
    const { deps, tokens } = await begin(provider, nothing, { env: desktop });
    await useCode(provider, deps);
    expect((await tokens).idToken).toBeDefined();
    expect(deps.written()).toContain('could not be started. Signing in with a device code instead.');
  });

  test('a browser that fails after a while: the device code', async () => {
    const browserCommand = [process.execPath, '-e', 'setTimeout(() => process.exit(4), 1500)'];
    const { deps, tokens } = await begin(provider, { browserCommand }, { env: desktop });
    await useCode(provider, deps);
    expect((await tokens).idToken).toBeDefined();
    expect(deps.written()).toContain('exit code 4');
  });

  test('a browser that dies of a signal: the device code', async () => {
    const browserCommand = [process.execPath, '-e', "process.kill(process.pid, 'SIGKILL')"];
    const { deps, tokens } = await begin(provider, { browserCommand }, { env: desktop });
    await useCode(provider, deps);
    expect((await tokens).idToken).toBeDefined();
    expect(deps.written()).toContain('SIGKILL ended it');
  });

  test('a browser that cannot be started, and no device code: the address is shown', async () => {
    await withProvider({ deviceFlow: false }, async (at) => {
      const { deps, tokens } = await begin(at, nothing, { env: desktop });
      const [, url = ''] = await readUntil(deps, /^ {2}(http\S+)$/m);
      await at.browser().open(url);
      expect((await tokens).idToken).toBeDefined();
    });
  });

  test('neither a browser nor the device grant of this client: the address is shown, and what to enable', async () => {
    await withProvider({ quirks: withoutGrant }, async (at) => {
      const { deps, tokens } = await begin(at, nothing, { env: desktop });
      const [, url = ''] = await readUntil(deps, /^ {2}(http\S+)$/m);
      await at.browser().open(url);
      expect((await tokens).idToken).toBeDefined();
      expect(deps.written()).toContain('Enable the device authorization grant');
    });
  });

  test('a device grant that is off for this client: pasting, and what to enable', async () => {
    await withProvider({ quirks: withoutGrant }, async (at) => {
      const ssh = await begin(at, { browserCommand: undefined }, { env: { SSH_TTY: 'x' }, allowPaste: true });
      const [, url = ''] = await readUntil(ssh.deps, /^ {2}(http\S+)$/m);
      await readUntil(ssh.deps, /Paste/);
      const { location } = await at.browser().visit(url);
      ssh.deps.type(`${location?.href ?? ''}\r`);
      expect((await ssh.tokens).idToken).toBeDefined();
      expect(ssh.deps.written()).toContain('Enable the device authorization grant');
    });
  });

  test.each([
    ['a code that this client may not use', withoutUse, 'Enable the device authorization grant'],
    ['a code for an address that is not https', withoutAddress, 'an address that is not https'],
  ])('%s: pasting, and why', async (_what, quirks, why) => {
    await withProvider({ quirks }, async (at) => {
      const ssh = await begin(at, { browserCommand: undefined }, { env: { SSH_TTY: 'x' }, allowPaste: true });
      await readUntil(ssh.deps, /by pasting instead/);
      const [, url = ''] = await readUntil(ssh.deps, /^ {2}(http\S+)$/m);
      await readUntil(ssh.deps, /Paste/);
      const { location } = await at.browser().visit(url);
      ssh.deps.type(`${location?.href ?? ''}\r`);
      expect((await ssh.tokens).idToken).toBeDefined();
      expect(ssh.deps.written()).toContain(why);
    });
  });

  test('where nobody may paste it is an error that says what to enable, and exit 6', async () => {
    await withProvider({ quirks: withoutGrant }, async (at) => {
      const { tokens } = await begin(at, { browserCommand: undefined }, { env: { SSH_TTY: 'x' } });
      const error = await failure(tokens);
      expect(error).toMatchObject({ code: 'client_refused', exitCode: 6 });
      expect(error.hint).toContain('Enable the device authorization grant');
    });
  });

  test('a scope that is refused is refused whatever the way', async () => {
    const quirks: Quirks = {
      before(request, response, path) {
        if (path !== '/device/auth') return false;
        request.resume();
        const body = { error: 'invalid_scope', error_description: 'Invalid scopes: openid teams' };
        response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        return true;
      },
    };
    await withProvider({ quirks }, async (at) => {
      const scopes = ['openid', 'teams'];
      const { tokens } = await begin(at, { browserCommand: undefined, scopes }, { env: {}, allowPaste: true });
      const error = await failure(tokens);
      expect(error).toMatchObject({ code: 'token_unusable' });
      expect(error.hint).toContain('does not list teams');
    });
  });

  test('a way that was asked for is not left', async () => {
    await withProvider({ quirks: withoutGrant }, async (at) => {
      const { tokens } = await begin(at, { login: 'device' }, { allowPaste: true });
      expect(await failure(tokens)).toMatchObject({ code: 'client_refused' });
    });
  });
});

describe('$BROWSER', () => {
  test('is run where it decides', async () => {
    const log = join(folder, 'opened');
    const write = 'require("fs").writeFileSync(process.argv[1],process.argv[2])';
    const env = { SSH_TTY: 'x', BROWSER: `${process.execPath} -e ${write} ${log} %s` };
    const { deps, tokens } = await begin(provider, { browserCommand: undefined }, { env });
    const [, url = ''] = await readUntil(deps, /^ {2}(http\S+)$/m);
    await provider.browser().open(url);
    await tokens;
    expect(await readFile(log, 'utf8')).toBe(url);
  });

  test('that does not open leaves the device code', async () => {
    const env = { SSH_TTY: 'x', BROWSER: '/nonexistent/helper:/nonexistent/other' };
    const { deps, tokens } = await begin(provider, { browserCommand: undefined }, { env });
    await useCode(provider, deps);
    expect((await tokens).idToken).toBeDefined();
    expect(deps.written()).toContain('other could not be started');
  });
});

describe('nobody there', () => {
  const nobody = async (changes: Parameters<typeof settingsFor>[1], env = {}) => {
    const deps = createTestDeps({ env });
    Object.assign(deps.stderr, { fd: openSync('/dev/null', 'w') });
    const started = Date.now();
    const kleis = await connectTo(settingsFor(provider.issuer, { login: 'auto', ...changes }), deps);
    const error = await failure(kleis.signIn());
    expect(Date.now() - started).toBeLessThan(5000);
    return error;
  };

  test.each<[string, Parameters<typeof settingsFor>[1], Record<string, string>]>([
    ['without a display', { browserCommand: undefined }, {}],
    ['without a display, by device code', { login: 'device' }, {}],
    ['with a browser that does not open', nothing, desktop],
    ['with a browser that was asked for and does not open', { ...nothing, login: 'browser' }, {}],
    ['by pasting', { login: 'paste' }, {}],
  ])('%s: exit 3 at once', async (_what, changes, env) => {
    expect(await nobody(changes, env)).toMatchObject({ exitCode: 3 });
  });

  test.each([{ CI: 'woodpecker' }, { CI: '1' }, { TF_BUILD: 'True' }, { JENKINS_HOME: '/var/jenkins' }])(
    'a CI job (%j) has nobody to open what its browser does not',
    async (env) => {
      for (const changes of [nothing, { browserCommand: undefined }]) {
        const deps = createTestDeps({ env });
        const kleis = await connectTo(settingsFor(provider.issuer, { login: 'auto', ...changes }), deps);
        expect(await failure(kleis.signIn())).toMatchObject({ code: 'browser_unavailable', exitCode: 3 });
        expect(deps.written()).not.toContain('open this address');
      }
    },
  );

  test('CI=false is no CI job: the code is shown', async () => {
    const { deps, tokens } = await begin(provider, nothing, { env: { CI: 'false' }, terminal: false });
    await useCode(provider, deps);
    expect((await tokens).idToken).toBeDefined();
  });

  test('a CI job has nobody, whatever reads its log; a way that is asked for is taken there too', async () => {
    const env = { CI: 'true' };
    const auto = await connectTo(
      settingsFor(provider.issuer, { login: 'auto', browserCommand: undefined }),
      createTestDeps({ env }),
    );
    expect(await failure(auto.signIn())).toMatchObject({ code: 'browser_unavailable', exitCode: 3 });
    const deps = createTestDeps({ env });
    const tokens = (await connectTo(settingsFor(provider.issuer, { login: 'device' }), deps)).signIn();
    await useCode(provider, deps);
    expect((await tokens).idToken).toBeDefined();
  });

  test('the journal of systemd reads nothing in time', async () => {
    const log = join(folder, 'journal');
    const fd = openSync(log, 'w');
    const { dev, ino } = statSync(log);
    const deps = createTestDeps({ env: { JOURNAL_STREAM: `${dev}:${ino}` } });
    Object.assign(deps.stderr, { fd });
    const kleis = await connectTo(settingsFor(provider.issuer, { login: 'device' }), deps);
    expect(await failure(kleis.signIn())).toMatchObject({ exitCode: 3 });
  });

  test('a log level that keeps the code back is as good as nobody', async () => {
    const deps = createTestDeps({ terminal: true });
    deps.report.setLevel('silent');
    const kleis = await connectTo(settingsFor(provider.issuer, { login: 'device' }), deps);
    expect(await failure(kleis.signIn())).toMatchObject({ code: 'browser_unavailable', exitCode: 3 });
  });
});

describe('what the person reads', () => {
  const answering: Quirks = { token: ({ refresh_token: _token, ...json }) => ({ json }) };
  const signIn = async (at: TestProvider, changes: Parameters<typeof settingsFor>[1]) => {
    const { deps, tokens } = await begin(at, { cache: 'file', ...changes }, { env: desktop });
    const [, url = ''] = await readUntil(deps, /^ {2}(http\S+)$/m);
    await at.browser().open(url);
    await tokens;
    // Broken where the terminal ends.
    return deps.written().replaceAll(/\s+/g, ' ');
  };

  test('a sign-in that is not renewed, and why', async () => {
    await withProvider({ quirks: answering }, async (at) => {
      expect(await signIn(at, {})).toMatch(/no refresh token, so .* ends with its token\. .* has not granted it/);
    });
    const unlisted: Quirks = { ...answering, discovery: (document) => ({ ...document, scopes_supported: ['openid'] }) };
    await withProvider({ quirks: unlisted }, async (at) => {
      expect(await signIn(at, {})).toContain('It lists no scope offline_access');
    });
  });

  test('nothing of it where there is one, where none is wanted, and where nothing is kept', async () => {
    expect(await signIn(provider, {})).not.toContain('refresh token');
    await withProvider({ quirks: answering }, async (at) => {
      expect(await signIn(at, { authParams: { access_type: 'online' } })).not.toContain('refresh token');
      expect(await signIn(at, { cache: 'none' })).not.toContain('refresh token');
    });
  });

  test.each(['browser', 'device', 'paste'] as const)(
    'what it is for, without control characters (%s)',
    async (login) => {
      const deps = createTestDeps({ terminal: true });
      const kleis = await connectTo(settingsFor(provider.issuer, { login }), deps);
      const destination = 'for the cluster https://prod.example.com\u001b[2J';
      const tokens = kleis.signIn({ allowPaste: true, destination });
      await readUntil(deps, /for the cluster\s+https:\/\/prod\.example\.com \[2J/);
      deps.abort();
      await failure(tokens);
    },
  );
});
