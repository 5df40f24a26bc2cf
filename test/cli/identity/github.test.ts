import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { github } from '../../../cli/identity/github.ts';
import { openIdentity } from '../../../cli/identity/identity.ts';
import {
  failureOf,
  json,
  makeToken,
  now,
  page,
  redirect,
  silence,
  startTestServer,
  surroundings,
  type TestServer,
} from './world.ts';

let server: TestServer;
let env: Record<string, string>;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => server.stop());

beforeEach(() => {
  server.received.length = 0;
  env = {
    GITHUB_ACTIONS: 'true',
    GITHUB_RUN_ID: '17',
    GITHUB_RUN_ATTEMPT: '1',
    GITHUB_JOB: 'deploy',
    ACTIONS_ID_TOKEN_REQUEST_URL: `${server.url}/idtoken/17/abc?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner-bearer',
  };
});

const ask = (audience = 'https://kleis.test/a b', options = {}) =>
  github.getToken(audience, surroundings(env, options));

describe('the ID token of a GitHub job', () => {
  it('is asked for with the audience, the bearer token of the runner, and the query that is there', async () => {
    server.answer(json({ count: 1, value: makeToken() }));
    const subject = await ask();
    expect(subject.token.reveal()).toBe(makeToken());
    expect(subject.expiresAt).toBe(now + 295_000);
    const [request] = server.received;
    expect(request?.method).toBe('GET');
    expect(request?.url).toBe('/idtoken/17/abc?api-version=2.0&audience=https%3A%2F%2Fkleis.test%2Fa%20b');
    expect(request?.headers.authorization).toBe('Bearer runner-bearer');
  });

  it('is a new one each time', async () => {
    server.answer(json({ value: makeToken({ jti: '1' }) }), json({ value: makeToken({ jti: '2' }) }));
    const identity = await openIdentity('github', surroundings(env));
    expect((await identity.token('kleis')).hash).not.toBe((await identity.token('kleis')).hash);
  });

  it('is asked for again when GitHub is overloaded for a moment', async () => {
    server.answer(json({}, 503), json({}, 429, { 'retry-after': '0' }), json({ value: makeToken() }));
    await ask();
    expect(server.received).toHaveLength(3);
  });

  it('is refused by a retryable error while GitHub is down', async () => {
    server.answer(page(502));
    await expect(ask()).rejects.toMatchObject({ code: 'provider_unavailable', exitCode: 5 });
  });
});

describe('a job without the right to an ID token', () => {
  it('reads which permission is missing', async () => {
    delete env['ACTIONS_ID_TOKEN_REQUEST_URL'];
    await expect(ask()).rejects.toMatchObject({
      code: 'identity_missing',
      hint: expect.stringContaining('permissions: id-token: write'),
    });
    delete env['GITHUB_ACTIONS'];
    await expect(ask()).rejects.toMatchObject({ message: expect.stringContaining('no job of GitHub Actions') });
  });

  it.each([401, 403])(
    'reads it also when GitHub says no with %i, and what GitHub said is not a secret that leaks',
    async (status) => {
      server.answer(json({ message: 'no' }, status));
      const error = await failureOf(ask());
      expect(error).toMatchObject({ code: 'identity_missing', hint: expect.stringContaining('id-token: write') });
      expect(`${error.message} ${String(error)}`).not.toContain('runner-bearer');
    },
  );
});

describe('a server that misbehaves', () => {
  it('gets no bearer token by a redirect, not even its own', async () => {
    const other = await startTestServer();
    other.answer(json({ value: makeToken() }));
    for (const target of [`${other.url}/steal`, '/elsewhere']) {
      server.answer(redirect(target));
      await expect(ask()).rejects.toMatchObject({ code: 'provider_invalid' });
    }
    expect(other.received).toEqual([]);
    expect(server.received.map(({ url }) => url)).not.toContain('/elsewhere');
    await other.stop();
  });

  it.each([
    ['a page', page()],
    ['another JSON', json({ token: makeToken() })],
    ['a list', json([makeToken()])],
    ['a number', json({ value: 5 })],
  ])('is told from GitHub: %s', async (_, answer) => {
    server.answer(answer);
    await expect(ask()).rejects.toMatchObject({ code: 'provider_invalid' });
  });

  it.each([
    ['no JWT', 'just-text'],
    ['a line break inside', `${makeToken()}\nx`],
    ['longer than any token', makeToken({ padding: 'x'.repeat(20_000) })],
  ])('gives nothing that is used: %s', async (_, value) => {
    server.answer(json({ value }));
    await expect(ask()).rejects.toMatchObject({ code: 'subject_malformed' });
  });

  it('cannot fill the memory', async () => {
    server.answer((_, response) => void response.end('x'.repeat(200_000)));
    await expect(ask()).rejects.toMatchObject({ code: 'provider_invalid' });
  });

  it('cannot hold us up for ever', async () => {
    server.answer(silence);
    await expect(ask('kleis', { timeout: 200 })).rejects.toMatchObject({ code: 'provider_unavailable' });
  });
});

describe('the address that the runner gives', () => {
  it.each([
    'http://metadata.test/token',
    'file:///etc/passwd',
    'https://user:pass@host.test/',
    'nonsense',
    `https://a.test/${'x'.repeat(5000)}`,
  ])('is not used if it is %s', async (address) => {
    env['ACTIONS_ID_TOKEN_REQUEST_URL'] = address;
    await expect(ask()).rejects.toMatchObject({ code: 'identity_missing' });
  });

  it('is not asked with a bearer token that no header can hold', async () => {
    env['ACTIONS_ID_TOKEN_REQUEST_TOKEN'] = 'a\r\nx-evil: 1';
    await expect(ask()).rejects.toMatchObject({ code: 'identity_missing' });
    expect(server.received).toEqual([]);
  });
});

it.each([
  [undefined, 'https://token.actions.githubusercontent.com'],
  ['https://github.com', 'https://token.actions.githubusercontent.com'],
  ['https://acme.ghe.com', 'https://token.actions.acme.ghe.com'],
  ['https://git.acme.test', 'https://git.acme.test/_services/token'],
])('the issuer of %s is known', (address, issuer) => {
  expect(github.issuer(address === undefined ? {} : { GITHUB_SERVER_URL: address })).toBe(issuer);
});
