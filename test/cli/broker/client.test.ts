import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openBroker, type BrokerClient, type Memory } from '../../../cli/broker/client.ts';
import { Secret } from '../../../shared/secret.ts';
import { createAuthority } from '../../support/certificates.ts';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import {
  failureOf,
  cut,
  json,
  makeToken,
  now,
  page,
  redirect,
  startTestServer,
  type TestServer,
} from '../identity/world.ts';

let server: TestServer;
let slept: number[];
let said: string[];
let time: number;

beforeAll(async () => {
  server = await startTestServer();
});

afterAll(async () => server.stop());

beforeEach(() => {
  server.received.length = 0;
  slept = [];
  said = [];
  time = now;
});

function client(options: { url?: string; memory?: Memory; certificateAuthority?: string } = {}): BrokerClient {
  const note = (text: string) => void said.push(text);
  return openBroker({
    url: options.url ?? server.url,
    certificateAuthority: options.certificateAuthority,
    proxy: undefined,
    memory: options.memory,
    deps: {
      env: {},
      signal: new AbortController().signal,
      report: {
        level: 'debug',
        setLevel: () => undefined,
        info: note,
        waiting: () => undefined,
        warn: note,
        debug: note,
        error: () => undefined,
      },
      clock: {
        now: () => time,
        sleep: async (milliseconds) => {
          slept.push(milliseconds);
          time += milliseconds;
        },
      },
    },
  });
}

const subject = makeToken();
const minted = {
  access_token: 'minted.token.x',
  issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  token_type: 'Bearer',
  expires_in: 900,
  scope: 'deploy-web',
  lease: 'lease-1',
  revocable: true,
  cluster: 'prod',
};
const request = {
  subject: new Secret(subject),
  subjectType: 'urn:ietf:params:oauth:token-type:jwt',
  grant: 'deploy-web',
  ttl: 600_500,
};
const exchange = (broker = client()) => broker.exchange(request);
const refusal = (code: string, error = 'invalid_request', more: Record<string, unknown> = {}) => ({
  error,
  error_description: 'ascii',
  code,
  message: 'No grant of this name is for you.',
  hint: 'Ask the administrator.',
  request_id: 'req-42',
  ...more,
});

describe('the exchange', () => {
  it('is a form as RFC 8693 has it, with whole seconds, and a token comes back with its end', async () => {
    server.answer(json(minted));
    const token = await exchange();
    expect({ ...token, token: token.token.reveal() }).toEqual({
      token: 'minted.token.x',
      issuedAt: now,
      expiresAt: now + 900_000,
      lease: 'lease-1',
      revocable: true,
      grant: 'deploy-web',
      cluster: 'prod',
    });
    const [sent] = server.received;
    expect(sent).toMatchObject({ method: 'POST', url: '/token' });
    expect(sent?.headers['content-type']).toBe('application/x-www-form-urlencoded');
    expect(Object.fromEntries(new URLSearchParams(sent?.body))).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: subject,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      scope: 'deploy-web',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      expires_in: '601',
    });
  });

  it('goes to a broker below a path', async () => {
    server.answer(json(minted));
    await exchange(client({ url: `${server.url}/kleis` }));
    expect(server.received[0]?.url).toBe('/kleis/token');
  });

  it('is asked again with the same Idempotency-Key when the answer is lost, and with another one next time', async () => {
    server.answer(cut, cut, json(minted));
    await exchange();
    await exchange();
    const keys = server.received.map(({ headers }) => headers['idempotency-key']);
    expect(keys).toHaveLength(4);
    expect(new Set(keys.slice(0, 3)).size).toBe(1);
    expect(keys[3]).not.toBe(keys[0]);
    expect(keys[0]).toMatch(/^[\w-]{20,128}$/);
  });

  it('counts the life of a token from the request that brought it', async () => {
    server.answer(
      json(refusal('cluster_unavailable', 'temporarily_unavailable'), 503, { 'retry-after': '7' }),
      json(minted),
    );
    expect((await exchange()).expiresAt).toBe(now + 7_000 + 900_000);
    expect(slept).toEqual([7000]);
  });

  it('passes warnings of the API server on, cleaned', async () => {
    server.answer(json({ ...minted, warnings: ['requested expiration\u001b[2J shortened'] }));
    await exchange();
    expect(said.join()).toContain('requested expiration [2J shortened');
  });
});

describe('a broker that is away for a moment', () => {
  it.each([
    ['says so', json(refusal('rate_limited', 'temporarily_unavailable'), 429, { 'retry-after': '1' })],
    ['is replaced by its proxy', page(502)],
    ['cuts the connection', cut],
  ])('is asked four times and no more: %s', async (_, answer) => {
    server.answer(answer);
    const error = await failureOf(exchange());
    expect(error.exitCode).toBe(5);
    expect(server.received).toHaveLength(4);
    expect(slept).toHaveLength(3);
  });

  it('is not waited for longer than kubectl would be: the error says when to come back', async () => {
    server.answer(json(refusal('broker_not_ready', 'temporarily_unavailable'), 503, { 'retry-after': '120' }));
    const error = await failureOf(exchange());
    expect(error).toMatchObject({ exitCode: 5, retryAfter: 120, hint: 'Try again in 120 s.' });
    expect(server.received).toHaveLength(1);
  });
});

describe('a refusal', () => {
  it('carries reason, hint, request id and the claims that did not fit, and is final', async () => {
    const failed = [
      { claim: 'ref', seen: 'refs/heads/x', expected: 'refs/heads/main' },
      { claim: 'environment', seen: '' },
    ];
    server.answer(json(refusal('grant_denied', 'invalid_request', { failed }), 400));
    const error = await failureOf(exchange());
    expect(error).toMatchObject({ code: 'grant_denied', exitCode: 4, hint: 'Ask the administrator.' });
    expect(error.message).toBe(
      `The broker ${new URL(server.url).host} says: No grant of this name is for you. What did not fit: ` +
        'ref (seen refs/heads/x, expected refs/heads/main); environment (seen ). (request req-42)',
    );
    expect(server.received).toHaveLength(1);
  });

  it.each([
    ['subject_expired', 3],
    ['subject_replayed', 3],
    ['target_invalid', 4],
  ])('has the exit code of its kind: %s', async (code, exitCode) => {
    server.answer(json(refusal(code, code === 'target_invalid' ? 'invalid_target' : 'invalid_request'), 400));
    expect(await failureOf(exchange())).toMatchObject({ code, exitCode });
  });

  it('of another service, or with a code that no broker has, is a denial', async () => {
    for (const body of [
      { error: 'invalid_request', error_description: 'no' },
      refusal('storage_corrupt'),
      refusal('__proto__'),
    ]) {
      server.answer(json(body, 400));
      expect(await failureOf(exchange())).toMatchObject({ code: 'grant_denied', exitCode: 4 });
    }
  });

  it('cannot rewrite the terminal, nor fill it', async () => {
    server.answer(
      json(
        refusal('grant_denied', 'invalid_request', {
          message: `\u001b[2Jhello\r\n${'x'.repeat(5000)}`,
          hint: '\u202e',
        }),
        400,
      ),
    );
    const { message, hint } = await failureOf(exchange());
    expect(message).not.toMatch(/\p{Cc}/u);
    expect(message.length).toBeLessThan(1000);
    expect(hint).not.toMatch(/\p{Cf}/u);
  });

  it('never holds the subject token', async () => {
    server.answer((_, response) => void response.writeHead(400).end(subject));
    const { message, detail } = await failureOf(exchange());
    expect(`${message} ${detail}`).not.toContain(subject);
  });
});

describe('what is no broker', () => {
  it.each([
    ['a page', page()],
    ['a page for every address', page(404)],
    ['no token', json({ ...minted, access_token: undefined })],
    ['a token that no header can hold', json({ ...minted, access_token: 'a\nb' })],
    ['a token that is none', json({ ...minted, token_type: 'N_A' })],
    ['a life that is none', json({ ...minted, expires_in: '900' })],
    ['a life without end', json({ ...minted, expires_in: 1e300 })],
    ['a list', json([minted])],
  ])('is told so: %s', async (_, answer) => {
    server.answer(answer);
    expect(await failureOf(exchange())).toMatchObject({ code: 'broker_invalid', exitCode: 5 });
    expect(server.received).toHaveLength(1);
  });

  it('gets the subject token sent nowhere else', async () => {
    const other = await startTestServer();
    server.answer(redirect(`${other.url}/token`));
    expect(await failureOf(exchange())).toMatchObject({ code: 'broker_invalid' });
    server.answer(redirect('/elsewhere'));
    expect(await failureOf(exchange())).toMatchObject({ code: 'broker_invalid' });
    expect(other.received).toEqual([]);
    expect(server.received.map(({ url }) => url)).toEqual(['/token', '/token']);
    await other.stop();
  });

  it('cannot send without end', async () => {
    server.answer((_, response) => void response.end('x'.repeat(400_000)));
    expect(await failureOf(exchange())).toMatchObject({
      code: 'provider_invalid',
      hint: expect.stringContaining('address of the broker'),
    });
  });
});

it('a certificate that nothing vouches for is told at once, with the flag that helps; the flag helps', async () => {
  const authority = await createAuthority();
  const { cert, key } = await authority.issueServer(['127.0.0.1']);
  const broker = createServer({ cert, key }, (_, response) => void response.end(JSON.stringify(minted)));
  await new Promise<void>((resolve) => {
    broker.listen(0, '127.0.0.1', resolve);
  });
  const url = `https://127.0.0.1:${(broker.address() as AddressInfo).port}`;
  const error = await failureOf(exchange(client({ url })));
  expect(error).toMatchObject({ exitCode: 5, hint: expect.stringContaining('--broker-certificate-authority') });
  expect(slept).toEqual([]);
  expect((await exchange(client({ url, certificateAuthority: authority.cert }))).lease).toBe('lease-1');
  broker.closeAllConnections();
  broker.close();
});

describe('revocation', () => {
  it('says what the broker says', async () => {
    server.answer(json({ revoked: true, dead_within: 10, lease: 'l' }));
    expect(await client().revoke(new Secret('t'))).toEqual({ revoked: true, dead_within: 10, lease: 'l' });
    expect(server.received[0]).toMatchObject({ url: '/revoke', body: 'token=t' });
    server.answer(json({ revoked: false, reason: 'unknown' }));
    expect(await client().revoke(new Secret('t'))).toEqual({ revoked: false, reason: 'unknown' });
  });

  it('is not believed without an answer', async () => {
    server.answer(json({}));
    expect(await failureOf(client().revoke(new Secret('t')))).toMatchObject({ code: 'broker_invalid' });
  });
});

describe('what the broker says of itself', () => {
  const known = { issuers: [{ name: 'github', issuer: 'https://a.test', audience: 'https://kleis.test' }] };

  it('is remembered for a while, and asked anew after that or when it was wrong', async () => {
    let kept: { text: string; until: number } | undefined;
    const memory: Memory = {
      read: () => (kept !== undefined && kept.until > time ? kept.text : undefined),
      write: (text, until) => {
        kept = { text, until };
      },
      remove: () => {
        kept = undefined;
      },
    };
    server.answer(json(known));
    const broker = client({ memory });
    const expected = [{ issuer: 'https://a.test', audience: 'https://kleis.test' }];
    expect(await broker.issuers()).toEqual(expected);
    expect(await broker.issuers()).toEqual(expected);
    expect(server.received.map(({ url }) => url)).toEqual(['/.well-known/kleis']);
    time += 601_000;
    await broker.issuers();
    broker.forgetIssuers();
    await broker.issuers();
    expect(server.received).toHaveLength(3);
  });

  it('is not taken from a page', async () => {
    server.answer(page());
    expect(await failureOf(client().issuers())).toMatchObject({ code: 'broker_invalid' });
  });

  it('holds only what can be sent on', async () => {
    server.answer(json({ issuers: [null, 5, { issuer: 'https://a.test', audience: 'x\ny' }, ...known.issuers] }));
    expect(await client().issuers()).toHaveLength(1);
  });
});
