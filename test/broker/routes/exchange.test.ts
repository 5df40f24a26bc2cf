import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { decodeUnverified } from '../../../shared/jwt.ts';
import { createAuthority } from '../../support/certificates.ts';
import type { Fault } from '../../support/stand-in/server.ts';
import { exchangeForm, jwt, startSuite } from './world.ts';
import { until } from '../../support/wait.ts';

const { world, broker } = await startSuite();
afterEach(() => {
  world.state.standIn.fault = undefined;
});

const leases = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases';
const secrets = '/api/v1/namespaces/kleis-identities/secrets';
const names = (path: string) => world.state.names(path);
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

/** The events of one request. */
async function events(requestId: unknown): Promise<readonly Record<string, unknown>[]> {
  return (await broker.audit()).filter((event) => event['requestId'] === requestId);
}

const answer = (status: number, reason: string, message = reason, headers = {}): Fault => ({
  kind: 'answer',
  status,
  headers,
  body: { kind: 'Status', status: 'Failure', reason, message, code: status },
});

describe('a token exchange', () => {
  it('answers as RFC 8693 says, with a token that the API server takes', async () => {
    const { status, headers, body } = await broker.exchange(await world.issue(), { expires_in: '700' });
    expect(status).toBe(200);
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['pragma']).toBe('no-cache');
    expect(headers['content-type']).toMatch(/^application\/json/);
    expect(headers['x-powered-by']).toBeUndefined();
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(body).toMatchObject({
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      scope: 'deploy-web',
      cluster: 'prod',
      revocable: true,
      lease: expect.stringMatching(/^[a-z0-9-]{1,63}$/),
    });
    expect(body.expires_in).toBeGreaterThan(690);
    expect(body.expires_in).toBeLessThanOrEqual(700);
    expect(await world.state.ask(body.access_token)).toBe(201);
    expect(await names(leases)).toContain(body.lease);
  });

  it.each(['\n', '\r\n', ' \n', '\ufeff'])('takes a token that a file put %j around', async (blank) => {
    const token = await world.issue();
    expect((await broker.exchange(`${blank}${token}${blank}`)).status).toBe(200);
  });

  it('says in one event who got what, and why', async () => {
    const token = await world.issue();
    const trace = '0af7651916cd43dd8448eb211c80319c';
    const { headers, body } = await broker.exchange(token, {}, { traceparent: `00-${trace}-b7ad6b7169203331-01` });
    const found = await events(headers['x-request-id']);
    expect(found).toHaveLength(1);
    const { jti } = decodeUnverified(body.access_token).claims;
    expect(found[0]).toMatchObject({
      event: 'exchange',
      outcome: 'allowed',
      issuer: 'ci',
      subject: 'acme/web',
      subjectSha256: sha256(token),
      grant: 'deploy-web',
      cluster: 'prod',
      account: 'kleis-identities/deploy-web',
      claims: { repository_id: '1', environment: 'production' },
      policy: expect.stringMatching(/^[0-9a-f]{64}$/),
      lease: body.lease,
      jti,
      address: '127.0.0.1',
      traceId: trace,
    });
    expect(Date.parse(String(found[0]!['expires']))).toBeGreaterThan(Date.now() + 800_000);
  });

  it('passes the trace on to the API server, under a span of its own', async () => {
    const authority = await createAuthority();
    const { cert, key } = await authority.issueServer(['127.0.0.1']);
    const seen: (string | undefined)[] = [];
    const spy = https.createServer({ cert, key }, (request, response) => {
      if (request.url?.endsWith('/token') === true) seen.push(request.headers['traceparent'] as string | undefined);
      response.writeHead(422).end();
    });
    await new Promise<void>((resolve) => spy.listen(0, '127.0.0.1', resolve));
    const tokenFile = join(world.folder, 'token');
    const certificateAuthority = join(world.folder, 'spy.crt');
    await writeFile(tokenFile, 'x');
    await writeFile(certificateAuthority, authority.cert);
    const server = `https://127.0.0.1:${(spy.address() as AddressInfo).port}`;
    const watched = await world.start({
      state: { memory: true },
      clusters: { prod: { server, certificateAuthority, credentials: { tokenFile } } },
    });
    const trace = '1af7651916cd43dd8448eb211c80319c';
    const headers = { traceparent: `00-${trace}-b7ad6b7169203331-01` };
    await watched.exchange(await world.issue(), { scope: 'plain' }, headers);
    await watched.exchange(await world.issue(), { scope: 'plain' }, { traceparent: `00-${'0'.repeat(32)}-1-01` });
    spy.close();
    spy.closeAllConnections();
    expect(seen).toEqual([expect.stringMatching(`^00-${trace}-(?!b7ad6b7169203331)[0-9a-f]{16}-01$`), undefined]);
  });

  it('mints nothing by a clock that is not the cluster’s, whatever the grant keeps', async () => {
    world.state.standIn.clockOffset = 2 * 3_600_000;
    try {
      const plain = async () => (await broker.exchange(await world.issue(), { scope: 'plain' })).body.code;
      await until('the broker has seen it', async () => (await plain()) === 'broker_not_ready');
      expect((await broker.exchange(await world.issue())).status).toBe(503);
    } finally {
      world.state.standIn.clockOffset = 0;
    }
    await until(
      'it is well again',
      async () => (await broker.exchange(await world.issue(), { scope: 'plain' })).status === 200,
    );
  });

  it('writes nothing to the cluster but the mint when the grant is neither revocable nor single-use', async () => {
    const before = world.state.standIn.requests.length;
    const { status, body } = await broker.exchange(await world.issue(), { scope: 'plain' });
    expect(status).toBe(200);
    expect(body.lease).toBeUndefined();
    expect(body.revocable).toBe(false);
    const writes = world.state.standIn.requests
      .slice(before)
      .filter(({ method, uri }) => method !== 'GET' && !uri.includes('dryRun'));
    expect(writes.map(({ uri }) => uri)).toEqual([
      '/api/v1/namespaces/kleis-identities/serviceaccounts/deploy-web/token',
    ]);
  });

  it('gives what the API server gave, not what was asked for', async () => {
    const { body } = await broker.exchange(await world.issue(), { expires_in: '60' });
    expect(body.expires_in).toBeGreaterThan(590);
  });
});

describe('a form', () => {
  const malformed: [string, Record<string, string | undefined>, string, string][] = [
    ['without grant_type', { grant_type: undefined }, 'invalid_request', 'request_malformed'],
    ['with another grant_type', { grant_type: 'password' }, 'unsupported_grant_type', 'grant_type_unsupported'],
    ['without subject_token', { subject_token: undefined }, 'invalid_request', 'request_malformed'],
    ['with an empty subject_token', { subject_token: '' }, 'invalid_request', 'request_malformed'],
    ['without subject_token_type', { subject_token_type: undefined }, 'invalid_request', 'request_malformed'],
    ['with another subject_token_type', { subject_token_type: 'saml' }, 'invalid_request', 'request_unsupported'],
    ['without scope', { scope: undefined }, 'invalid_scope', 'scope_invalid'],
    ['with two scopes', { scope: 'deploy-web plain' }, 'invalid_scope', 'scope_invalid'],
    ['with resource', { resource: 'https://a.example.com' }, 'invalid_target', 'target_invalid'],
    ['with a token in quotes', { subject_token: '"a.b.c"' }, 'invalid_request', 'request_malformed'],
    ['with a token that is cut into lines', { subject_token: 'a.b\n.c' }, 'invalid_request', 'request_malformed'],
    ['with actor_token', { actor_token: 'a', actor_token_type: jwt }, 'invalid_request', 'request_unsupported'],
    ['with another requested_token_type', { requested_token_type: 'x' }, 'invalid_request', 'request_unsupported'],
    ['with expires_in that is no number', { expires_in: '1e3' }, 'invalid_request', 'request_malformed'],
    ['with another cluster', { audience: 'edge' }, 'invalid_target', 'target_invalid'],
  ];
  it.each(malformed)('%s is refused, and audited', async (_, form, error, code) => {
    const { status, headers, body } = await broker.exchange(await world.issue(), form);
    expect([status, body.error, body.code]).toEqual([400, error, code]);
    expect(body.error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
    expect(body.error_description).toContain(headers['x-request-id']);
    expect(await events(headers['x-request-id'])).toMatchObject([{ event: 'exchange', outcome: 'denied', code }]);
  });

  it.each(['subject_token', 'scope', 'grant_type', 'whatever'])('with %s twice is refused', async (name) => {
    const body = `${exchangeForm(await world.issue(), { whatever: 'a' })}&${name}=b`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const { status, body: said } = await broker.call('/token', { method: 'POST', headers, body });
    expect([status, said.code]).toEqual([400, 'request_malformed']);
  });

  it('with two audiences has an invalid target', async () => {
    const body = `${exchangeForm(await world.issue(), { audience: 'prod' })}&audience=prod`;
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answered = await broker.call('/token', { method: 'POST', headers, body });
    expect(answered.body.error).toBe('invalid_target');
  });

  it('with parameters that nobody knows, or with the cluster by name, is taken', async () => {
    const { status } = await broker.exchange(await world.issue(), { client_id: 'x', 'a[b]': 'c', audience: 'prod' });
    expect(status).toBe(200);
  });

  it.each([
    ['application/json', '{}', 400],
    ['multipart/form-data; boundary=a', '--a--', 400],
    ['application/x-www-form-urlencoded', 'a=%zz', 400],
    ['application/x-www-form-urlencoded', 'a=%ff', 400],
    ['application/x-www-form-urlencoded', 'a=\u0000', 400],
    ['application/x-www-form-urlencoded', `a=${'b'.repeat(64 * 1024)}`, 413],
    ['application/x-www-form-urlencoded', Array.from({ length: 40 }, (_, index) => `p${index}=1`).join('&'), 400],
  ])('as %s that cannot be read is refused and audited', async (type, body, status) => {
    const answered = await broker.call('/token', { method: 'POST', headers: { 'content-type': type }, body });
    expect(answered.status).toBe(status);
    expect(answered.body.error).toBe('invalid_request');
    expect(await events(answered.headers['x-request-id'])).toHaveLength(1);
  });
});

describe('a denial', () => {
  it('is the same to the letter for an unknown grant, another issuer, and somebody else', async () => {
    const stranger = await world.issue({ repository_id: '7' });
    const texts: string[] = [];
    for (const scope of ['nothing', 'once', 'deploy-web', 'other']) {
      const { status, text, headers } = await broker.exchange(stranger, { scope });
      expect(status).toBe(400);
      texts.push(`${text.replaceAll(String(headers['x-request-id']), 'ID')} ${JSON.stringify(Object.keys(headers))}`);
    }
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toContain('"invalid_request"');
  });

  it('tells whom the grant is for which of their own claims failed, and not what was expected', async () => {
    const { body, headers } = await broker.exchange(await world.issue({ environment: 'staging' }));
    expect(body.code).toBe('grant_denied');
    expect(body.failed).toEqual([{ claim: 'environment', seen: '"staging"' }]);
    expect(await events(headers['x-request-id'])).toMatchObject([
      { outcome: 'denied', reason: 'claims', failed: [{ claim: 'environment', seen: '"staging"' }] },
    ]);
  });

  it('tells what was expected where the grant says explain', async () => {
    const { body } = await broker.exchange(await world.issue({ environment: 'staging' }), { scope: 'open' });
    expect(body.failed).toEqual([{ claim: 'environment', seen: '"staging"', expected: '"production"' }]);
  });

  it.each([
    ['subject_malformed', async () => 'x.y.z'],
    ['subject_issuer_unknown', async () => world.issue({ iss: 'https://evil.example.com' })],
    ['subject_audience', async () => world.issue({ aud: ['https://kleis.example.com', 'b'] })],
    ['subject_expired', async () => world.issue({ iat: 1, nbf: 1, exp: 2 })],
    ['subject_signature', async () => `${(await world.issue()).slice(0, -8)}AAAAAAAA`],
  ])('of a token that is %s is invalid_request and one event', async (code, make) => {
    const { status, body, headers } = await broker.exchange(await make());
    expect([status, body.error, body.code]).toEqual([400, 'invalid_request', code]);
    expect(await events(headers['x-request-id'])).toMatchObject([{ outcome: 'denied', code }]);
  });
});

describe('a single-use token', () => {
  const github = async (claims = {}) => world.issue({ iss: 'https://github.example.com', ...claims });

  it('is exchanged once', async () => {
    const token = await github();
    expect((await broker.exchange(token, { scope: 'once' })).status).toBe(200);
    const again = await broker.exchange(token, { scope: 'once' });
    expect([again.status, again.body.error, again.body.code]).toEqual([400, 'invalid_request', 'subject_replayed']);
  });

  it('is exchanged once by two brokers together', async () => {
    const second = await world.start();
    const token = await github();
    const tries = Array.from({ length: 6 }, (_, index) =>
      (index % 2 === 0 ? broker : second).exchange(token, { scope: 'once' }),
    );
    const codes = (await Promise.all(tries)).map(({ status }) => status).toSorted();
    expect(codes).toEqual([200, 400, 400, 400, 400, 400]);
  });

  it('comes again with its Idempotency-Key: the first token dies, and the event says that it is a retry', async () => {
    const token = await github();
    const headers = { 'idempotency-key': 'job-1' };
    const first = await broker.exchange(token, { scope: 'once' }, headers);
    const second = await broker.exchange(token, { scope: 'once' }, headers);
    expect(second.status).toBe(200);
    expect(second.body.lease).toBe(first.body.lease);
    expect(await world.state.ask(second.body.access_token)).toBe(201);
    expect(await world.state.ask(first.body.access_token)).toBe(401);
    expect(await events(second.headers['x-request-id'])).toMatchObject([{ outcome: 'allowed', retry: true }]);
    const stolen = await broker.exchange(token, { scope: 'once' }, { 'idempotency-key': 'guess' });
    expect(stolen.body.code).toBe('subject_replayed');
  });

  it('is unused when minting failed for certain', async () => {
    const token = await github();
    world.state.standIn.fault = ({ method, path }) =>
      method === 'POST' && path.endsWith('/token') ? answer(422, 'Invalid') : undefined;
    const refused = await broker.exchange(token, { scope: 'once' });
    expect([refused.status, refused.body.code]).toEqual([502, 'cluster_refused']);
    world.state.standIn.fault = undefined;
    expect((await broker.exchange(token, { scope: 'once' })).status).toBe(200);
  });

  it.each(['a b', 'ä', 'x'.repeat(129)])('with the Idempotency-Key %j that cannot be one is refused', async (key) => {
    const { status, body } = await broker.exchange(
      await github(),
      { scope: 'once' },
      {
        'idempotency-key': Buffer.from(key).toString('latin1'),
      },
    );
    expect([status, body.code]).toEqual([400, 'request_malformed']);
  });
});

describe('an API server', () => {
  const faults: [string, Fault, number, string][] = [
    ['hangs up before it minted', { kind: 'drop' }, 503, 'cluster_unavailable'],
    ['hangs up after it minted', { kind: 'drop', after: true }, 503, 'cluster_unavailable'],
    ['answers 500', answer(500, 'InternalError'), 503, 'cluster_unavailable'],
    ['answers 409', answer(409, 'Conflict'), 503, 'cluster_unavailable'],
    ['answers 422', answer(422, 'Invalid'), 502, 'cluster_refused'],
  ];
  it.each(faults)('that %s gets no token out, and the caller an error that fits', async (_, fault, status, code) => {
    world.state.standIn.fault = ({ method, path }) =>
      method === 'POST' && path.endsWith('/token') ? fault : undefined;
    const answered = await broker.exchange(await world.issue());
    expect([answered.status, answered.body.code]).toEqual([status, code]);
    expect(answered.body.access_token).toBeUndefined();
    if (status === 503) expect(Number(answered.headers['retry-after'])).toBeGreaterThan(0);
    // Its own words name objects of the cluster: for the log and the audit alone.
    expect(answered.text).not.toContain('kleis-identities');
    const [event] = await events(answered.headers['x-request-id']);
    expect(event).toMatchObject({ event: 'exchange', outcome: 'failed', code });
    expect(event!['detail']).toContain('cluster prod');
  });

  it('that may have minted leaves no Secret that such a token could live by', async () => {
    const before = await names(secrets);
    world.state.standIn.fault = ({ method, path }) =>
      method === 'POST' && path.endsWith('/token') ? { kind: 'drop', after: true } : undefined;
    await broker.exchange(await world.issue());
    world.state.standIn.fault = undefined;
    await until('the Secret is gone', async () => ((await names(secrets)).length <= before.length ? true : undefined));
  });
});

describe('a caller that is gone before its answer', () => {
  it('leaves a token that is dead, and an event that says so', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let minting: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      minting = resolve;
    });
    world.state.standIn.fault = ({ method, path }) => {
      if (method !== 'POST' || !path.endsWith('/token')) return undefined;
      minting();
      return { kind: 'wait', until: held };
    };
    const before = await names(secrets);
    const leaving = new AbortController();
    const body = exchangeForm(await world.issue({ sub: 'leaver' }));
    const call = broker.call('/token', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body,
      signal: leaving.signal,
    });
    await begun;
    leaving.abort();
    await expect(call).rejects.toThrow('aborted');
    release();
    const withdrawn = await until('the event', async () => {
      const all = await broker.audit();
      const own = all.find(({ subject, event }) => subject === 'leaver' && event === 'exchange');
      return all.find(({ event, requestId }) => event === 'withdrawn' && requestId === own?.['requestId']);
    });
    expect(withdrawn).toMatchObject({ outcome: 'done', grant: 'deploy-web', jti: expect.any(String) });
    expect(await names(secrets)).toEqual(before);
  });
});

it('keeps a connection for the next request', async () => {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const once = async () =>
    new Promise<number | undefined>((resolve, reject) => {
      const call = http.request(`${broker.url}/healthz`, { agent }, (response) => {
        response.resume();
        response.on('end', () => resolve(call.socket?.localPort));
      });
      call.on('error', reject);
      call.end();
    });
  expect(await once()).toBe(await once());
  agent.destroy();
});
