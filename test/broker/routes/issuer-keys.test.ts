import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeKey, sign, type SigningKey, startIssuer, type TestIssuer } from '../issuers/fixture.ts';
import { type AppWorld, audience, job, type RunningBroker, startAppWorld } from './world.ts';

let world: AppWorld;
let broker: RunningBroker;
let issuer: TestIssuer;
let key: SigningKey;

beforeAll(async () => {
  world = await startAppWorld();
  key = await makeKey('credential-id');
  issuer = await startIssuer([key]);
  issuer.before = (_, response) => response.writeHead(501).end() !== undefined;
  broker = await world.start({
    issuers: { ci: { url: issuer.url, allowLoopbackHttp: true, audience, idClaims: ['repository_id'] } },
    admins: [],
    grants: { plain: { issuer: 'ci', where: { repository_id: '1' }, cluster: 'prod', serviceAccount: 'deploy-web' } },
  });
});
afterAll(async () => {
  await world.stop();
  await issuer.stop();
});

const exchange = async (by: SigningKey) =>
  broker.exchange(await sign(issuer, job, { key: by, now: Date.now() }), { scope: 'plain' });

it('an issuer that is down: whoever comes back when Retry-After says gets a token if it is up by then', async () => {
  const { status, headers, body } = await exchange(key);
  expect([status, body.code]).toEqual([503, 'issuer_unavailable']);
  issuer.before = undefined;
  const seconds = Number(headers['retry-after']);
  expect(seconds).toBeGreaterThan(0);
  await sleep(seconds * 1000);
  expect((await exchange(key)).status).toBe(200);
});

it('a new key under a known kid is found at once; one that is found in vain says until when', async () => {
  const next = await makeKey('credential-id', 'RS256');
  issuer.keys = [next];
  expect((await exchange(next)).status).toBe(200);
  const forged = await exchange(await makeKey('credential-id', 'RS256'));
  expect([forged.status, forged.body.code]).toEqual([503, 'issuer_unavailable']);
  expect(Number(forged.headers['retry-after'])).toBeGreaterThan(20);
  expect(forged.body.hint).toContain(`${forged.headers['retry-after']} s`);
  expect((await exchange(next)).status).toBe(200);
});
