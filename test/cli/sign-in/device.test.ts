import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { failure } from '../../support/failure.ts';
import { startProvider, type TestProvider } from '../../support/provider.ts';
import {
  createTestDeps,
  readUntil,
  settingsFor,
  type TestDeps,
  type TestDepsOptions,
  withProvider,
  connectTo,
} from './world.ts';

let provider: TestProvider;
beforeAll(async () => {
  provider = await startProvider({ deviceInterval: 0 });
});
afterAll(() => provider.stop());

/** Time that passes only when somebody sleeps, a little of the real time for each sleep. */
function fastClock(): Deps['clock'] & { slept: number } {
  const clock = {
    slept: 0,
    now: () => Date.now() + clock.slept,
    async sleep(milliseconds: number, signal?: AbortSignal) {
      signal?.throwIfAborted();
      clock.slept += milliseconds;
      await new Promise((resolve) => setTimeout(resolve, 4));
      signal?.throwIfAborted();
    },
  };
  return clock;
}

type Changes = Parameters<typeof settingsFor>[1];

async function begin(at: TestProvider, changes: Changes = {}, options: TestDepsOptions = {}) {
  const clock = fastClock();
  const deps = createTestDeps({ clock, terminal: true, env: { LANG: 'C.UTF-8' }, ...options });
  const kleis = await connectTo(settingsFor(at.issuer, { login: 'device', loginTimeout: 3_600_000, ...changes }), deps);
  const tokens = kleis.signIn();
  tokens.catch(() => undefined);
  return { deps, clock, tokens };
}

async function codeShown(deps: TestDeps): Promise<{ uri: string; code: string }> {
  // Bold where the terminal has it.
  const [, uri = '', code = ''] = await readUntil(
    deps,
    /^ {4}(?:\S+1m)?(http[\w:/.-]+)[^]*^ {4}(?:\S+1m)?([A-Z]{4}-[A-Z]{4})/m,
  );
  return { uri, code };
}

describe('signing in with a code', () => {
  test('gives tokens once the person has used it on another device, with PKCE', async () => {
    const { deps, tokens } = await begin(provider, { scopes: ['openid', 'email'] }, { terminal: false });
    const { uri, code } = await codeShown(deps);
    expect(uri).toBe(`${provider.issuer}/device`);
    await provider.browser({ login: 'gina' }).open(`${uri}?user_code=${code}`);
    const got = await tokens;
    expect(got.subject?.name).toBe('gina@example.com');
    expect(got.refreshToken).toBeDefined();
    const asked = provider.seen.findLast(({ route }) => route === 'device_authorization')?.params;
    expect(asked).toMatchObject({ code_challenge_method: 'S256', scope: 'openid email offline_access' });
    const polled = provider.seen.findLast(({ route }) => route === 'token')?.params;
    expect(polled?.['code_verifier']).toMatch(/^[\w-]{43}$/);
  });

  test('a terminal gets a QR code and a countdown on one line; anything else gets neither', async () => {
    const live = await begin(provider);
    await readUntil(live.deps, /Waiting for you to sign in … \d:\d\d left/);
    expect(live.deps.written()).toMatch(/[█▀▄]{20,}/);
    live.deps.abort();
    await failure(live.tokens);
    expect(live.deps.written().endsWith('\r\u001b[K')).toBe(true);
    for (const options of [{ terminal: false }, { env: { TERM: 'dumb', LANG: 'C.UTF-8' } }]) {
      const quiet = await begin(provider, {}, options);
      await codeShown(quiet.deps);
      quiet.deps.abort();
      await failure(quiet.tokens);
      expect(quiet.deps.written()).not.toMatch(/[█▀▄]|\r/);
    }
  });

  test.each([
    ['too narrow', { columns: 20 }],
    ['too low', { rows: 10 }],
    ['without UTF-8', { env: { LANG: 'C' } }],
  ])('no QR code on a terminal that is %s', async (_what, options) => {
    const { deps, tokens } = await begin(provider, {}, options);
    await codeShown(deps);
    deps.abort();
    await failure(tokens);
    expect(deps.written()).not.toMatch(/[█▀▄]/);
  });

  test('slow_down makes the pause five seconds longer, each time', async () => {
    await withProvider({ deviceInterval: 0 }, async (at) => {
      const times: number[] = [];
      const { deps, clock, tokens } = await begin(at);
      at.quirks.before = (_request, response, path) => {
        if (path !== '/token') return false;
        times.push(clock.slept);
        if (times.length > 3) return false;
        response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"slow_down"}');
        return true;
      };
      const { uri, code } = await codeShown(deps);
      await at.browser().open(`${uri}?user_code=${code}`);
      await tokens;
      const pauses = times.slice(1).map((time, index) => Math.round((time - (times[index] ?? 0)) / 1000));
      expect(pauses.slice(0, 3)).toEqual([10, 15, 20]);
    });
  });

  test('a provider that fails for a while does not end it', async () => {
    await withProvider({ deviceInterval: 0 }, async (at) => {
      let failed = 0;
      at.quirks.before = (request, response, path) => {
        if (path !== '/token' || failed >= 3) return false;
        failed += 1;
        if (failed === 1) request.socket.destroy();
        else response.writeHead(503).end('<html>');
        return true;
      };
      const { deps, tokens } = await begin(at);
      const { uri, code } = await codeShown(deps);
      await at.browser().open(`${uri}?user_code=${code}`);
      expect((await tokens).idToken).toBeDefined();
      expect(failed).toBe(3);
    });
  });

  test.each([undefined, 'soon', -1])(
    'an answer that does not say when the code ends (expires_in %s) is taken',
    async (given) => {
      await withProvider({ deviceInterval: 0 }, async (at) => {
        at.quirks.before = (_request, response, path) => {
          if (path !== '/device/auth') return false;
          const end = response.end.bind(response);
          response.end = ((body: Buffer | string) => {
            const { expires_in: _seconds, ...rest } = JSON.parse(String(body)) as Record<string, unknown>;
            const text = JSON.stringify({ ...rest, expires_in: given });
            response.setHeader('content-length', Buffer.byteLength(text));
            return end(text);
          }) as typeof response.end;
          return false;
        };
        const { deps, tokens } = await begin(at);
        const { uri, code } = await codeShown(deps);
        await at.browser().open(`${uri}?user_code=${code}`);
        expect((await tokens).idToken).toBeDefined();
      });
    },
  );

  test('the older name of the address, numbers as text and a second address that is odd are understood', async () => {
    await withProvider({ deviceInterval: 0 }, async (at) => {
      at.quirks.before = (request, response, path) => {
        if (path !== '/device/auth') return false;
        request.resume();
        const body = {
          device_code: 'd',
          user_code: 'ABCD-EFGH',
          verification_url: `${at.issuer}/device`,
          // Only what a QR code would be made of: nobody needs it.
          verification_uri_complete: 'http://login.example/?code=ABCD-EFGH',
          expires_in: '600',
          interval: '5',
        };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        return true;
      };
      const { deps, tokens } = await begin(at);
      expect(await codeShown(deps)).toEqual({ uri: `${at.issuer}/device`, code: 'ABCD-EFGH' });
      deps.abort();
      await failure(tokens);
    });
  });
});

describe('how it ends without tokens', () => {
  test('the refusal of the person is sign_in_refused', async () => {
    const { deps, tokens } = await begin(provider);
    const { uri, code } = await codeShown(deps);
    await provider.browser({ refuse: true }).open(`${uri}?user_code=${code}`);
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_refused', exitCode: 3 });
  });

  test('a code that expires ends it with sign_in_timeout, at once', async () => {
    await withProvider({ lifetimes: { deviceCode: 12 } }, async (at) => {
      const { tokens, clock } = await begin(at, { loginTimeout: 3_600_000 });
      const error = await failure(tokens);
      expect(error).toMatchObject({ code: 'sign_in_timeout' });
      expect(error.message).toContain('expired');
      expect(clock.slept).toBeLessThan(14_000);
    });
  });

  test('a refusal that only speaks of an expired token is a refusal: what counts is the error, not its words', async () => {
    await withProvider({ deviceInterval: 0 }, async (at) => {
      at.quirks.before = (request, response, path) => {
        if (path !== '/token') return false;
        request.resume();
        const body = { error: 'access_denied', error_description: 'not because of an expired_token' };
        response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        return true;
      };
      const { tokens } = await begin(at);
      expect(await failure(tokens)).toMatchObject({ code: 'sign_in_refused' });
    });
  });

  test('--login-timeout ends it before the code expires', async () => {
    const { tokens, clock } = await begin(provider, { loginTimeout: 30_000 });
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_timeout', message: 'Nobody used the code in time.' });
    expect(clock.slept).toBeLessThan(32_000);
  });

  test('Ctrl-C cancels it', async () => {
    const { deps, tokens } = await begin(provider);
    await codeShown(deps);
    deps.abort();
    expect(await failure(tokens)).toMatchObject({ code: 'sign_in_cancelled' });
  });

  test('a provider without device codes is refused before anybody waits', async () => {
    await withProvider({ deviceFlow: false }, async (at) => {
      const { tokens } = await begin(at);
      expect(await failure(tokens)).toMatchObject({ code: 'sign_in_refused' });
    });
  });

  test.each(['javascript:alert(1)', 'http://evil.example/device', 'https://user@evil.example/', 'file:///etc/passwd'])(
    'people are not sent to %s',
    async (address) => {
      await withProvider({ deviceInterval: 0 }, async (at) => {
        at.quirks.before = (request, response, path) => {
          if (path !== '/device/auth') return false;
          request.resume();
          const body = { device_code: 'd', user_code: 'ABCD-EFGH', verification_uri: address, expires_in: 600 };
          response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
          return true;
        };
        const { tokens } = await begin(at);
        expect(await failure(tokens)).toMatchObject({ code: 'provider_invalid' });
      });
    },
  );

  test('a user code cannot rewrite the terminal', async () => {
    await withProvider({ deviceInterval: 0 }, async (at) => {
      at.quirks.before = (request, response, path) => {
        if (path !== '/device/auth') return false;
        request.resume();
        const body = {
          device_code: 'd',
          user_code: 'A\u001b[2J\nB',
          verification_uri: `${at.issuer}/device`,
          expires_in: 600,
        };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
        return true;
      };
      const { deps, tokens } = await begin(at, {}, { terminal: false });
      expect(await readUntil(deps, /A \[2J B/)).not.toBeNull();
      deps.abort();
      await failure(tokens);
    });
  });
});

test('auto: without a display the code is used, and the reason is read first', async () => {
  const { deps, tokens } = await begin(
    provider,
    { login: 'auto', browserCommand: undefined },
    { terminal: false, env: { SSH_CONNECTION: 'x' } },
  );
  const { uri, code } = await codeShown(deps);
  expect(deps.written()).toMatch(/^(debug: .*\n)*This is an SSH session without a browser, so sign in with a code/);
  await provider.browser().open(`${uri}?user_code=${code}`);
  expect((await tokens).idToken).toBeDefined();
});
