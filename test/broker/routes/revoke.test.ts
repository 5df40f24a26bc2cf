import { describe, expect, it } from 'vitest';
import { secrets, startSuite } from './world.ts';

const { world, broker } = await startSuite();

describe('POST /revoke', () => {
  it('ends a token, says how soon it is dead, and audits who held what', async () => {
    const { body } = await broker.exchange(await world.issue());
    const {
      status,
      body: told,
      headers,
    } = await broker.post('/revoke', { token: body.access_token, token_type_hint: 'x' });
    expect([status, told]).toEqual([200, { revoked: true, dead_within: 10, lease: body.lease }]);
    expect(await world.state.ask(body.access_token)).toBe(401);
    const events = (await broker.audit()).filter(({ requestId }) => requestId === headers['x-request-id']);
    expect(events).toMatchObject([{ event: 'revoke', outcome: 'done', lease: body.lease, grant: 'deploy-web' }]);
    expect((await broker.post('/revoke', { token: body.access_token })).body.revoked).toBe(true);
  });

  it('does not show the token to the API server, which would remember that it is good', async () => {
    const { body } = await broker.exchange(await world.issue());
    const before = world.state.standIn.requests.length;
    await broker.post('/revoke', { token: body.access_token });
    const since = world.state.standIn.requests.slice(before);
    expect(since.map(({ uri }) => uri)).not.toContain('/apis/authentication.k8s.io/v1/tokenreviews');
    expect(new Set(since.map(({ user }) => user))).not.toContain('system:serviceaccount:kleis-identities:deploy-web');
  });

  it.each([
    ['text', async () => 'nonsense'],
    ['a subject token', async () => world.issue()],
    ['a token with another signature', async (token: string) => `${token.slice(0, -8)}AAAAAAAA`],
  ])('answers 200 to %s and revokes nothing', async (_, make) => {
    const { body } = await broker.exchange(await world.issue());
    const { status, body: told } = await broker.post('/revoke', { token: await make(body.access_token) });
    expect([status, told]).toEqual([200, { revoked: false, reason: 'unknown' }]);
    expect(await world.state.ask(body.access_token)).toBe(201);
  });

  it.each(['\n', '\r\n', '\t', '\ufeff'])('ends a token that a file put %j around', async (blank) => {
    const { body } = await broker.exchange(await world.issue());
    const { body: told } = await broker.post('/revoke', { token: `${blank}${body.access_token}${blank}` });
    expect(told).toEqual({ revoked: true, dead_within: 10, lease: body.lease });
    expect(await world.state.ask(body.access_token)).toBe(401);
  });

  it.each<[string, (token: string) => string]>([
    ['a line break in it', (token) => `${token.slice(0, 76)}\n${token.slice(76)}`],
    ['a blank in it', (token) => `Bearer ${token}`],
    ['quotation marks around it', (token) => `"${token}"`],
    ['nothing in it', () => ' \n'],
  ])('never says of a token with %s that it is unknown', async (_, spoil) => {
    const { body } = await broker.exchange(await world.issue());
    const { status, body: told } = await broker.post('/revoke', { token: spoil(body.access_token) });
    expect([status, told.code, told.reason]).toEqual([400, 'request_malformed', undefined]);
    expect(told.message).toMatch(/has (a|no) /);
  });

  it('says of a token that cannot be revoked that it cannot, and when it ends', async () => {
    const { body } = await broker.exchange(await world.issue(), { scope: 'plain' });
    const { status, body: told } = await broker.post('/revoke', { token: body.access_token });
    expect([status, told.error]).toEqual([400, 'unsupported_token_type']);
    expect(told.message).toMatch(/ends at 20\d\d-/);
  });

  it('ends a token of an earlier attempt that the next one could not, and that one alone', async () => {
    const token = await world.issue({ iss: 'https://github.example.com' });
    const key = { 'idempotency-key': 'k' };
    const { body: first } = await broker.exchange(token, { scope: 'once' }, key);
    world.state.standIn.fault = ({ method, path }) =>
      method === 'DELETE' && path.startsWith(secrets) ? { kind: 'answer', status: 503 } : undefined;
    try {
      expect((await broker.exchange(token, { scope: 'once' }, key)).status).toBe(503);
      expect((await broker.post('/revoke', { token: first.access_token })).status).toBe(503);
    } finally {
      world.state.standIn.fault = undefined;
    }
    expect(await world.state.ask(first.access_token)).toBe(201);
    const { body: told } = await broker.post('/revoke', { token: first.access_token });
    expect(told).toEqual({ revoked: true, dead_within: 10, lease: first.lease });
    expect(await world.state.ask(first.access_token)).toBe(401);
    const { body: second } = await broker.exchange(token, { scope: 'once' }, key);
    await broker.post('/revoke', { token: first.access_token });
    expect(await world.state.ask(second.access_token)).toBe(201);
  });

  it('lets no revoked lease come back with the same request', async () => {
    const token = await world.issue({ iss: 'https://github.example.com' });
    const key = { 'idempotency-key': 'k' };
    const { body } = await broker.exchange(token, { scope: 'once' }, key);
    await broker.post('/revoke', { token: body.access_token });
    expect((await broker.exchange(token, { scope: 'once' }, key)).body.code).toBe('subject_replayed');
  });
});
