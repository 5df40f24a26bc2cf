import { once } from 'node:events';
import { mkdir, readFile, rename, rmdir, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../broker/program.ts';
import { createAuthority } from '../../support/certificates.ts';
import {
  type Answer,
  type AppWorld,
  audience,
  exchangeForm,
  grants,
  issuerUrl,
  jwt,
  request,
  type RunningBroker,
  startAppWorld,
  testDeps,
} from './world.ts';
import { until } from '../../support/wait.ts';

let world: AppWorld;
let broker: RunningBroker;
let admin: Record<string, string>;

beforeAll(async () => {
  world = await startAppWorld();
  broker = await world.start();
  admin = { authorization: `Bearer ${await world.issue({ sub: 'boss', groups: ['dev', 'platform'] })}` };
});
afterAll(() => world.stop());

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const post = async (path: string, fields: Record<string, string>, headers = {}): Promise<Answer> =>
  broker.call(path, { method: 'POST', headers: { ...form, ...headers }, body: new URLSearchParams(fields).toString() });
const secrets = '/api/v1/namespaces/kleis-identities/secrets';

describe('POST /revoke', () => {
  it('ends a token, says how soon it is dead, and audits who held what', async () => {
    const { body } = await broker.exchange(await world.issue());
    const { status, body: told, headers } = await post('/revoke', { token: body.access_token, token_type_hint: 'x' });
    expect([status, told]).toEqual([200, { revoked: true, dead_within: 10, lease: body.lease }]);
    expect(await world.state.ask(body.access_token)).toBe(401);
    const events = (await broker.audit()).filter(({ requestId }) => requestId === headers['x-request-id']);
    expect(events).toMatchObject([{ event: 'revoke', outcome: 'done', lease: body.lease, grant: 'deploy-web' }]);
    expect((await post('/revoke', { token: body.access_token })).body.revoked).toBe(true);
  });

  it('does not show the token to the API server, which would remember that it is good', async () => {
    const { body } = await broker.exchange(await world.issue());
    const before = world.state.standIn.requests.length;
    await post('/revoke', { token: body.access_token });
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
    const { status, body: told } = await post('/revoke', { token: await make(body.access_token) });
    expect([status, told]).toEqual([200, { revoked: false, reason: 'unknown' }]);
    expect(await world.state.ask(body.access_token)).toBe(201);
  });

  it('says of a token that cannot be revoked that it cannot, and when it ends', async () => {
    const { body } = await broker.exchange(await world.issue(), { scope: 'plain' });
    const { status, body: told } = await post('/revoke', { token: body.access_token });
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
      expect((await post('/revoke', { token: first.access_token })).status).toBe(503);
    } finally {
      world.state.standIn.fault = undefined;
    }
    expect(await world.state.ask(first.access_token)).toBe(201);
    const { body: told } = await post('/revoke', { token: first.access_token });
    expect(told).toEqual({ revoked: true, dead_within: 10, lease: first.lease });
    expect(await world.state.ask(first.access_token)).toBe(401);
    const { body: second } = await broker.exchange(token, { scope: 'once' }, key);
    await post('/revoke', { token: first.access_token });
    expect(await world.state.ask(second.access_token)).toBe(201);
  });

  it('lets no revoked lease come back with the same request', async () => {
    const token = await world.issue({ iss: 'https://github.example.com' });
    const key = { 'idempotency-key': 'k' };
    const { body } = await broker.exchange(token, { scope: 'once' }, key);
    await post('/revoke', { token: body.access_token });
    expect((await broker.exchange(token, { scope: 'once' }, key)).body.code).toBe('subject_replayed');
  });
});

describe('leases', () => {
  it('are for admins', async () => {
    const someone = { authorization: `Bearer ${await world.issue()}` };
    for (const [method, path] of [
      ['GET', '/leases'],
      ['DELETE', '/leases/x'],
    ] as const) {
      expect((await broker.call(path, { method })).status).toBe(401);
      expect((await broker.call(path, { method, headers: { authorization: 'Basic eDp5' } })).status).toBe(401);
      expect((await broker.call(path, { method, headers: { authorization: 'Bearer x.y.z' } })).status).toBe(401);
      expect((await broker.call(path, { method, headers: someone })).status).toBe(403);
    }
    const { headers } = await broker.call('/leases');
    expect(headers['www-authenticate']).toMatch(/^Bearer/);
  });

  it('are listed page by page, and ended by id', async () => {
    const { body } = await broker.exchange(await world.issue({ sub: 'to-be-ended' }));
    const seen = [];
    let next = '';
    do {
      const page = await broker.call(`/leases?limit=2&grant=deploy-web&continue=${encodeURIComponent(next)}`, {
        headers: admin,
      });
      expect(page.status).toBe(200);
      seen.push(...page.body.leases);
      next = page.body.continue ?? '';
    } while (next !== '');
    const own = seen.find(({ id }) => id === body.lease);
    expect(own).toMatchObject({ grant: 'deploy-web', cluster: 'prod', state: 'active', holder: 'ci to-be-ended' });
    const ended = await broker.call(`/leases/${body.lease}`, { method: 'DELETE', headers: admin });
    expect(ended.body).toEqual({ revoked: true, dead_within: 10, lease: body.lease });
    expect(await world.state.ask(body.access_token)).toBe(401);
    const unknown = await broker.call('/leases/nothing-here', { method: 'DELETE', headers: admin });
    expect([unknown.status, unknown.body.code]).toEqual([404, 'lease_unknown']);
  });

  it.each(['limit=0', 'limit=1e9', 'limit=x', 'grant=a,b', 'continue=nonsense', 'limit=1&limit=2'])(
    'with %s are a bad request',
    async (query) => {
      expect((await broker.call(`/leases?${query}`, { headers: admin })).status).toBe(400);
    },
  );

  it('are listed and ended by `kleis-broker leases` and `revoke`', async () => {
    const { body } = await broker.exchange(await world.issue());
    const tokenFile = join(world.folder, 'admin-token');
    await writeFile(tokenFile, `${admin['authorization']!.slice(7)}\n`);
    const command = async (...args: string[]) => {
      const { deps, output } = testDeps();
      const code = await run([...args, '--broker', broker.url, '--token-file', tokenFile], deps);
      return { code, text: output() };
    };
    expect((await command('leases', '--grant', 'deploy-web')).text).toContain(body.lease);
    const ended = await command('revoke', body.lease, '-o', 'json');
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.text).results).toEqual([
      { id: body.lease, revoked: true, dead_within: 10, lease: body.lease },
    ]);
    expect(await command('revoke')).toMatchObject({ code: 2 });
    expect(await command('revoke', 'nothing-here')).toMatchObject({
      code: 2,
      text: expect.stringContaining('no such'),
    });
    expect((await command('revoke', '--grant', 'deploy-web')).code).toBe(0);
    expect((await command('leases', '--grant', 'deploy-web', '-o', 'json')).text).not.toContain('"active"');
  });
});

describe('POST /explain', () => {
  const ask = async (claims: Record<string, unknown>, scope: string, headers = {}) =>
    post('/explain', { subject_token: await world.issue(claims), subject_token_type: jwt, scope }, headers);

  it('shows an admin every condition, expected and seen, and mints nothing', async () => {
    const before = await world.state.names(secrets);
    const { status, body } = await ask({ environment: 'staging' }, 'deploy-web', admin);
    expect(status).toBe(200);
    expect(body).toMatchObject({ allowed: false, grant: 'deploy-web', reason: 'claims', cluster: 'prod' });
    expect(body.conditions).toContainEqual({
      claim: 'environment',
      expected: '"production"',
      seen: '"staging"',
      ok: false,
    });
    expect((await ask({}, 'nothing', admin)).body).toMatchObject({ allowed: false, reason: 'no_such_grant' });
    expect(await world.state.names(secrets)).toEqual(before);
  });

  it('tells others what the exchange itself would', async () => {
    const own = await ask({ environment: 'staging' }, 'deploy-web');
    expect([own.status, own.body.failed]).toEqual([400, [{ claim: 'environment', seen: '"staging"' }]]);
    const texts = await Promise.all(
      ['nothing', 'once', 'deploy-web'].map(async (scope) => {
        const { text, headers } = await ask({ repository_id: '7' }, scope);
        return text.replace(String(headers['x-request-id']), '');
      }),
    );
    expect(new Set(texts).size).toBe(1);
  });

  it('tells whom it allows what they would get, without what is expected', async () => {
    const { body } = await ask({}, 'deploy-web');
    expect(body).toMatchObject({ allowed: true, cluster: 'prod', expires_in: 900 });
    expect(JSON.stringify(body)).not.toContain('expected');
  });

  it('has an offline sister, which says the same', async () => {
    const file = join(world.folder, 'explained');
    await writeFile(file, await world.issue({ environment: 'staging' }));
    const config = join(world.folder, 'broker-1.yaml');
    const { deps, output } = testDeps();
    const args = ['explain', '--config', config, '--grant', 'deploy-web', '--token-file', file];
    expect(await run(args, deps)).toBe(4);
    expect(output()).toMatch(/FAILED +environment +"production" +"staging"/);
    await writeFile(file, `${(await world.issue()).slice(0, -8)}AAAAAAAA`);
    const second = testDeps();
    expect(await run(args, second.deps)).toBe(3);
    const third = testDeps();
    expect(await run([...args, '--no-verify', '-o', 'json'], third.deps)).toBe(0);
    expect(JSON.parse(third.output())).toMatchObject({ allowed: true, verified: false });
  });
});

describe('GET /.well-known/kleis', () => {
  it('tells anyone how to get a subject token, and nothing of clusters and grants', async () => {
    const { status, body, text } = await broker.call('/.well-known/kleis');
    expect(status).toBe(200);
    expect(body).toMatchObject({ broker: audience, token_endpoint: `${audience}/token` });
    expect(body.issuers).toContainEqual({ name: 'ci', issuer: issuerUrl, audience });
    expect(text).not.toMatch(/deploy-web|prod/);
  });

  it('tells who is signed in what is theirs, and no more', async () => {
    const headers = { authorization: `Bearer ${await world.issue({ repository_id: '2' })}` };
    const { body } = await broker.call('/.well-known/kleis', { headers });
    expect(body.grants).toEqual([
      { name: 'other', cluster: 'prod', expires_in: 900, max_expires_in: 3600, revocable: true },
    ]);
    expect(body.clusters).toEqual([
      {
        name: 'prod',
        server: world.state.cluster.server,
        certificate_authority: expect.stringContaining('BEGIN CERTIFICATE'),
      },
    ]);
  });
});

describe('GET /kubeconfig', () => {
  it('is a kubeconfig for what is theirs, without a token in it', async () => {
    const token = await world.issue();
    const { status, text } = await broker.call('/kubeconfig', { headers: { authorization: `Bearer ${token}` } });
    expect(status).toBe(200);
    expect(text).not.toContain(token.split('.')[2]);
    const kubeconfig = parse(text);
    expect(kubeconfig.contexts.map(({ name }: { name: string }) => name)).toEqual([
      'prod-deploy-web',
      'prod-plain',
      'prod-open',
    ]);
    const [user] = kubeconfig.users;
    expect(user.user.exec).toMatchObject({ command: 'kleis-credential', provideClusterInfo: true });
    expect(user.user.exec.args).toEqual([
      '--issuer-url',
      issuerUrl,
      '--client-id',
      audience,
      '--broker',
      audience,
      '--grant',
      'deploy-web',
    ]);
    expect((await broker.call('/kubeconfig')).status).toBe(401);
  });
});

describe('what is not there', () => {
  it.each([
    ['GET', '/', 404],
    ['GET', '/TOKEN', 404],
    ['POST', '/token/x/%00', 404],
    ['GET', '/%zz', 404],
    ['DELETE', '/leases/%zz', 400],
    ['GET', '/token', 405],
    ['OPTIONS', '/token', 405],
    ['PUT', '/leases', 405],
    ['GET', '/leases/x', 405],
    ['POST', '/healthz', 405],
  ])('%s %s answers %d in the same form', async (method, path, status) => {
    const { status: seen, body, headers } = await broker.call(path, { method });
    expect(seen).toBe(status);
    expect(body).toMatchObject({ error: 'invalid_request', request_id: headers['x-request-id'] });
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    // What it says to do is of the form of /token.
    expect(body.hint).not.toContain('8693');
    if (status === 405) expect(headers['allow']).toMatch(/^[A-Z, ]+$/);
  });

  it('and what is no HTTP is answered in JSON as well', async () => {
    const { port } = new URL(broker.url);
    const say = async (text: string): Promise<string> => {
      const socket = net.connect(Number(port), '127.0.0.1');
      let heard = '';
      socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
      socket.write(text);
      await once(socket, 'close');
      return heard;
    };
    expect(await say('nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400[^]*"code":"request_malformed"/);
    const long = `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`;
    expect(await say(long)).toMatch(/^HTTP\/1\.1 431[^]*"code":"request_too_large"/);
  });
});

describe('operations', () => {
  it('are ready, and say what is well, to this machine', async () => {
    await until('ready', async () => ((await broker.call('/readyz')).status === 200 ? true : undefined));
    const { body } = await broker.call('/readyz');
    expect(body.checks.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(['audit', 'cluster prod', 'issuer ci', 'issuer github', 'state', 'configuration']),
    );
    const proxied = await broker.call('/readyz', { headers: { 'x-forwarded-for': '203.0.113.1' } });
    expect(proxied.body).toEqual({ ready: true });
    const metrics = await broker.call('/metrics');
    expect(metrics.text).toMatch(/kleis_broker_exchanges_total\{[^}]*grant="deploy-web"[^}]*\} \d+/);
    expect(metrics.text).toContain('kleis_broker_issuer_up{issuer="ci"} 1');
    expect((await broker.call('/metrics', { headers: { 'x-forwarded-for': '203.0.113.1' } })).status).toBe(404);
  });

  it('have an address of their own where one is configured, and metrics are then nowhere else', async () => {
    const own = await world.start({ metrics: { listen: '127.0.0.1:0' } });
    expect((await own.call('/metrics')).status).toBe(404);
    expect((await own.call('/readyz')).body).not.toHaveProperty('checks');
    const metrics = await request(`${own.operations}/metrics`);
    expect(metrics.headers['content-type']).toMatch(/^text\/plain/);
    expect((await request(`${own.operations}/readyz`)).body).toHaveProperty('checks');
    expect((await request(`${own.operations}/token`, { method: 'POST' })).status).toBe(404);
  });

  it('know a cluster that is down, an issuer that is down, and a clock that is wrong', async () => {
    const { standIn } = world.state;
    standIn.clockOffset = 60_000;
    try {
      const skewed = await world.start({
        issuers: {
          ...(world.document()['issuers'] as object),
          gone: { url: 'https://127.0.0.1:1', audience },
        },
      });
      const unready = await until('the fault', async () => {
        const { status, body } = await skewed.call('/readyz');
        const check = body.checks?.find(({ name }: { name: string }) => name === 'cluster prod');
        return check?.message?.includes('clock') === true ? { status, body } : undefined;
      });
      expect(unready.status).toBe(503);
      expect(unready.body.checks).toContainEqual(
        expect.objectContaining({ name: 'issuer gone', ok: false, critical: false }),
      );
    } finally {
      standIn.clockOffset = 0;
    }
  });

  it('are not ready where the admission policy is missing and required, and nothing is minted there', async () => {
    const strict = await world.start({ admissionPolicy: 'required' });
    const answered = await strict.exchange(await world.issue());
    expect([answered.status, answered.body.code]).toEqual([503, 'broker_not_ready']);
    expect((await strict.call('/readyz')).status).toBe(503);
  });
});

describe('limits', () => {
  it('hold for an address before anything is verified, with one event a minute', async () => {
    const narrow = await world.start({ limits: { perAddress: 3 } });
    const answers = [];
    for (let index = 0; index < 6; index += 1) answers.push(await narrow.exchange('x.y.z'));
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 429, 429, 429]);
    expect(Number(answers[5]!.headers['retry-after'])).toBeGreaterThan(0);
    expect(answers[5]!.body.code).toBe('rate_limited');
    expect((await narrow.audit()).filter(({ event }) => event === 'limited')).toHaveLength(1);
    // A header is no address, unless a proxy that is trusted sends it.
    const forged = await narrow.exchange('x.y.z', {}, { 'x-forwarded-for': '203.0.113.9' });
    expect(forged.status).toBe(429);
    expect((await narrow.call('/healthz')).status).toBe(200);
  });

  it('count by the right-most address that no trusted proxy has, whatever is to the left of it', async () => {
    const proxied = await world.start({ limits: { perAddress: 1 }, trustedProxies: ['loopback', '10.0.0.0/8'] });
    const from = async (forwarded: string) =>
      (await proxied.exchange('x.y.z', {}, { 'x-forwarded-for': forwarded })).status;
    expect(await from('203.0.113.1')).toBe(400);
    expect(await from('198.51.100.7, 203.0.113.1')).toBe(429);
    expect(await from('203.0.113.2, 10.1.2.3')).toBe(400);
    expect(await from('203.0.113.2')).toBe(429);
    // Some proxies add the port.
    expect(await from('203.0.113.2:4711')).toBe(429);
    expect(await from('9.9.9.9:1234, 10.1.2.3:443')).toBe(400);
    expect(await from('9.9.9.9:1235')).toBe(429);
    expect(await from('[2001:db8::1]:4711')).toBe(400);
    expect(await from('[2001:db8::1]:4712')).toBe(429);
    const events = await proxied.audit();
    for (const one of ['203.0.113.2', '9.9.9.9', '2001:db8::1']) {
      expect(events.some(({ address }) => address === one)).toBe(true);
    }
  });

  it('go by what the proxy appended also after 1500 headers of the caller', async () => {
    const proxied = await world.start({ trustedProxies: ['loopback'] });
    const padding = Array.from({ length: 1500 }, (_, index): [string, string] => [`x${index}`, '1']);
    const headers = { ...Object.fromEntries(padding), 'x-forwarded-for': '203.0.113.77' };
    expect((await proxied.exchange('x.y.z', {}, headers)).status).toBe(400);
    expect((await proxied.audit()).at(-1)).toMatchObject({ address: '203.0.113.77' });
  });

  it('hold for a tenant and an issuer after verification, never by what nobody verified', async () => {
    // Each is known by the id claim of its grant, and denied.
    const places = ['1', '2', '3', '4', '5'];
    const of = (id: string) => ({ ...grants['once'], where: { repository_id: id, ref: 'none' } });
    const narrow = await world.start({
      limits: { perTenant: 2, perIssuer: 5 },
      grants: Object.fromEntries(places.map((id) => [`of-${id}`, of(id)])),
    });
    const token = async (id: string) => world.issue({ iss: 'https://github.example.com', repository_id: id });
    const go = async (id: string) => (await narrow.exchange(await token(id), { scope: `of-${id}` })).status;
    const forged = `${(await token('1')).slice(0, -8)}AAAAAAAA`;
    for (let index = 0; index < 5; index += 1) await narrow.exchange(forged);
    expect([await go('1'), await go('1'), await go('1')]).toEqual([400, 400, 429]);
    expect([await go('2'), await go('3'), await go('4'), await go('5')]).toEqual([400, 400, 400, 429]);
  });

  it('of strangers are their own: they use up nobody else’s, and learn no names of grants', async () => {
    const narrow = await world.start({ limits: { perTenant: 100, perIssuer: 3 } });
    const stranger = async () => world.issue({ repository_id: '666' });
    const asStranger = async (scope: string) => (await narrow.exchange(await stranger(), { scope })).status;
    const body = exchangeForm(await stranger());
    const answers = [
      await asStranger('deploy-web'),
      (await narrow.call('/explain', { method: 'POST', headers: form, body })).status,
      (await narrow.call('/.well-known/kleis', { headers: { authorization: `Bearer ${await stranger()}` } })).status,
      await asStranger('deploy-web'),
      await asStranger('not-there'),
    ];
    expect(answers).toEqual([400, 400, 200, 429, 429]);
    expect((await narrow.exchange(await world.issue())).status).toBe(200);
  });
});

describe('transport', () => {
  it('without TLS is for named proxies alone, and only for what came to them with TLS', async () => {
    const open = await world.start({ listen: { address: '0.0.0.0:0' }, trustedProxies: ['192.0.2.1'] });
    const { port } = new URL(open.url);
    const url = `http://127.0.0.1:${port}`;
    const refused = await request(`${url}/.well-known/kleis`);
    expect([refused.status, refused.body.code]).toEqual([403, 'proxy_untrusted']);
    expect((await request(`${url}/healthz`)).status).toBe(200);

    const behind = await world.start({ listen: { address: '0.0.0.0:0' }, trustedProxies: ['loopback'] });
    const inner = `http://127.0.0.1:${new URL(behind.url).port}/.well-known/kleis`;
    expect((await request(inner, { headers: { 'x-forwarded-proto': 'https' } })).status).toBe(200);
    expect((await request(inner, { headers: { 'x-forwarded-proto': 'http' } })).status).toBe(403);
  });

  it('with TLS takes a renewed certificate, and keeps the old one while the new one cannot be used', async () => {
    const [first, second] = [await createAuthority(), await createAuthority()];
    const certFile = join(world.folder, 'tls.crt');
    const keyFile = join(world.folder, 'tls.key');
    const put = async ({ cert, key }: { cert: string; key: string }) => {
      await writeFile(keyFile, key);
      await writeFile(certFile, cert);
    };
    await put(await first.issueServer(['127.0.0.1']));
    const secure = await world.start({ listen: { address: '127.0.0.1:0', tls: { certFile, keyFile } } });
    const healthy = async (ca: string) => (await request(`${secure.url}/healthz`, {}, ca)).status;
    expect(await healthy(first.cert)).toBe(200);

    await writeFile(certFile, 'half a certificate');
    await secure.reconfigure({ grants: {} });
    await until('the fault', () => secure.lines().find(({ fault }) => fault !== undefined));
    expect(await healthy(first.cert)).toBe(200);

    await put(await second.issueServer(['127.0.0.1']));
    await secure.reconfigure({ grants });
    await until('the new certificate', async () => healthy(second.cert).catch(() => undefined));
    await expect(healthy(first.cert)).rejects.toThrow('certificate');
  });
});

describe('a configuration', () => {
  it('that drops a grant revokes its leases, and no others', async () => {
    const own = await world.start();
    const dropped = await own.exchange(await world.issue({ repository_id: '2' }), { scope: 'other' });
    const kept = await own.exchange(await world.issue());
    const { other: _, ...rest } = grants;
    await own.reconfigure({ grants: rest });
    await until('it is revoked', async () =>
      (await world.state.ask(dropped.body.access_token)) === 401 ? true : undefined,
    );
    expect(await world.state.ask(kept.body.access_token)).toBe(201);
    const event = await until('the event', async () =>
      (await own.audit()).find(({ reason, lease }) => reason === 'grant_dropped' && lease === dropped.body.lease),
    );
    expect(event).toMatchObject({ event: 'revoke', outcome: 'done', grant: 'other' });
  });

  it('that drops a grant lets out no token that was being minted for it', async () => {
    const own = await world.start();
    const before = await world.state.names(secrets);
    const { standIn } = world.state;
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    standIn.fault = ({ method, path }) => {
      if (method !== 'POST' || !path.endsWith('/leases')) return undefined;
      begin();
      return { kind: 'wait', until: held };
    };
    try {
      const call = own.exchange(await world.issue({ repository_id: '2' }), { scope: 'other' });
      await begun;
      const { other: _, ...rest } = grants;
      const seen = standIn.requests.length;
      await own.reconfigure({ grants: rest });
      // Whoever looks for leases of the dropped grant finds none yet.
      await until('the look', () => standIn.requests.slice(seen).find(({ uri }) => uri.includes('labelSelector')));
      release();
      const { status, body } = await call;
      expect([status, body.code, body.access_token]).toEqual([503, 'broker_not_ready', undefined]);
      await until('its Secret is gone', async () =>
        (await world.state.names(secrets)).every((name) => before.includes(name)) ? true : undefined,
      );
    } finally {
      release();
      standIn.fault = undefined;
    }
  });

  it('that cannot be used leaves the last good one in force, and is told at once', async () => {
    const own = await world.start();
    await own.reconfigure({ grants: { bad: { issuer: 'nobody' } } });
    expect((await own.exchange(await world.issue())).status).toBe(200);
    const { body } = await own.call('/readyz');
    expect(body.checks).toContainEqual(expect.objectContaining({ name: 'configuration', ok: false }));
    expect((await own.call('/metrics')).text).toContain('kleis_broker_config_ok 0');
  });

  it('with faults ends `serve` with 6 and each of them on a line', async () => {
    const file = join(world.folder, 'faulty.yaml');
    await writeFile(file, 'apiVersion: kleis.dev/v1\nkind: BrokerConfig\nlisten: { address: x }\n');
    const { deps, output } = testDeps();
    expect(await run(['serve', '--config', file], deps)).toBe(6);
    const lines = output().trim().split('\n');
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) expect(line).toMatch(/^\S+faulty\.yaml:\d+:\d+: \S/);
  });
});

describe('an audit that cannot be written', () => {
  it('lets no token out, and goes on where it stopped', async () => {
    const own = await world.start();
    const before = await world.state.names(secrets);
    const given: string[] = [];
    const exchange = async (): Promise<Answer> => {
      const answered = await own.exchange(await world.issue());
      if (answered.status === 200) given.push(`kleis-${answered.body.lease}-0`);
      return answered;
    };
    await exchange();
    await rename(own.auditFile, `${own.auditFile}.1`);
    await mkdir(own.auditFile);
    const refused = await until('it is noticed', async () => {
      const answered = await exchange();
      return answered.status === 503 ? answered : undefined;
    });
    expect(refused.body).toMatchObject({ code: 'audit_unavailable', error: 'temporarily_unavailable' });
    expect(refused.text).not.toContain('access_token');
    expect((await own.call('/readyz')).status).toBe(503);
    await until('its withdrawal could not be written', () => own.lines().find(({ what }) => what === 'withdraw'));
    await rmdir(own.auditFile);
    await until('it is there again', async () => ((await exchange()).status === 200 ? true : undefined));
    // What was minted and could not be recorded is dead.
    await until('only what was given out is left', async () => {
      const there = await world.state.names(secrets);
      const left = there.filter((name) => !before.includes(name)).toSorted();
      return left.join() === given.toSorted().join() ? true : undefined;
    });
    await own.stop();
    const withdrawn = (await own.audit()).filter(({ event }) => event === 'withdrawn');
    const first = new Map(withdrawn.map(({ jti, outcome }) => [jti, outcome]));
    expect(withdrawn.length).toBeGreaterThan(0);
    for (const { jti, outcome } of withdrawn) expect(outcome).toBe(first.get(jti));
    const { deps, output } = testDeps();
    const files = [`${own.auditFile}.1`, own.auditFile];
    expect(await run(['audit', 'verify', ...files], deps)).toBe(0);
    expect(output()).toContain('nothing is wrong');
  });
});

describe('SIGTERM', () => {
  it('ends what is under way first, takes nothing new, and leaves an anchored audit', async () => {
    const own = await world.start();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    world.state.standIn.fault = ({ method, path }) => {
      if (method !== 'POST' || !path.endsWith('/token')) return undefined;
      begin();
      return { kind: 'wait', until: held };
    };
    const underWay = own.exchange(await world.issue());
    await begun;
    const stopped = own.stop();
    await until('it takes nothing new', async () =>
      own.call('/healthz').then(
        () => undefined,
        () => true as const,
      ),
    );
    release();
    world.state.standIn.fault = undefined;
    expect((await underWay).status).toBe(200);
    expect(await stopped).toBe(0);
    const text = await readFile(own.auditFile, 'utf8');
    expect(JSON.parse(text.trim().split('\n').at(-1)!)).toMatchObject({ event: 'stopped' });
    const { deps, output } = testDeps();
    const config = join(world.folder, 'broker-1.yaml');
    await run(['audit', 'verify', own.auditFile, '--config', config, '-o', 'json', '--partial'], deps);
    const report = JSON.parse(output());
    expect(report.faults).toEqual([]);
    expect(report.chains[0].anchored).toBe(report.chains[0].last);
    world.state.standIn.fault = () => ({ kind: 'answer', status: 503 });
    const blind = testDeps();
    const verify = ['audit', 'verify', own.auditFile, '--partial', '--config', config];
    expect(await run(verify, blind.deps)).toBe(5);
    expect(blind.output()).toMatch(/the anchors cannot be read[^]*nothing is wrong with what is there/);
    world.state.standIn.fault = undefined;
    await writeFile(own.auditFile, `${text.trim().split('\n').slice(0, -1).join('\n')}\n`);
    const cut = testDeps();
    expect(await run(['audit', 'verify', own.auditFile, '--config', config], cut.deps)).toBe(1);
    expect(cut.output()).toMatch(/cut: ends with line \d+/);
  });
});
