import { describe, expect, it } from 'vitest';
import { routes } from '../../../shared/protocol.ts';
import { type Answer, exchangeForm, formType, jwt, startSuite } from './world.ts';

const { world, broker, admin } = await startSuite();

const bearer = async (claims = {}) => ({ authorization: `Bearer ${await world.issue(claims)}` });
const asked = async () => ({ subject_token: await world.issue(), subject_token_type: jwt, scope: 'deploy-web' });

/** Each of the addresses that leave an event, as it is called with success, and by whom. */
const calls: readonly [event: string, who: string, call: () => Promise<Answer>][] = [
  ['exchange', 'acme/web', async () => broker.exchange(await world.issue())],
  [
    'revoke',
    'deploy-web',
    async () => {
      const { body } = await broker.exchange(await world.issue());
      return broker.post(routes.revoke, { token: body.access_token });
    },
  ],
  ['explain', 'acme/web', async () => broker.post(routes.explain, await asked())],
  ['explain', 'boss', async () => broker.post(routes.explain, await asked(), admin)],
  ['leases', 'boss', async () => broker.call(routes.leases, { headers: admin })],
  [
    'revoke',
    'boss',
    async () => {
      const { body } = await broker.exchange(await world.issue());
      return broker.call(`${routes.leases}/${body.lease}`, { method: 'DELETE', headers: admin });
    },
  ],
  ['kubeconfig', 'acme/web', async () => broker.call(routes.kubeconfig, { headers: await bearer() })],
  ['grants', 'boss', async () => broker.call(routes.grants, { headers: admin })],
  ['grants', 'acme/web', async () => broker.call(routes.wellKnown, { headers: await bearer() })],
];

/** The same where something is wrong with it, and still it is known who asks. */
const refusals: readonly [event: string, who: string, call: () => Promise<Answer>][] = [
  ['exchange', 'nobody', async () => broker.exchange(await world.issue({ sub: 'nobody', repository_id: '9' }))],
  ['explain', 'boss', async () => broker.post(routes.explain, { ...(await asked()), subject_token: 'x.y.z' }, admin)],
  [
    'explain',
    'nobody',
    async () => broker.post(routes.explain, { ...(await asked()), scope: 'no-such' }, await bearer({ sub: 'nobody' })),
  ],
  ['leases', 'nobody', async () => broker.call(routes.leases, { headers: await bearer({ sub: 'nobody' }) })],
  ['grants', 'nobody', async () => broker.call(routes.grants, { headers: await bearer({ sub: 'nobody' }) })],
  ['leases', 'boss', async () => broker.call(`${routes.leases}?limit=0`, { headers: admin })],
  [
    'revoke',
    'nobody',
    async () => broker.call(`${routes.leases}/x`, { method: 'DELETE', headers: await bearer({ sub: 'nobody' }) }),
  ],
  ['revoke', 'boss', async () => broker.call(`${routes.leases}/x`, { method: 'DELETE', headers: admin })],
];

async function eventsOf({ headers }: Answer): Promise<readonly Record<string, unknown>[]> {
  return (await broker.audit()).filter(({ requestId }) => requestId === headers['x-request-id']);
}

describe('every outcome of every route', () => {
  it.each(calls)('of %s is one event that says who asked (%s)', async (event, who, call) => {
    const answer = await call();
    expect(answer.status).toBe(200);
    const events = await eventsOf(answer);
    expect(events).toMatchObject([{ event, outcome: expect.stringMatching(/^(allowed|done)$/) }]);
    expect(JSON.stringify(events)).toContain(who);
  });

  it.each(refusals)('of %s that is refused is one event that says who asked (%s)', async (event, who, call) => {
    const answer = await call();
    expect(answer.status).toBeGreaterThanOrEqual(400);
    const events = await eventsOf(answer);
    expect(events).toMatchObject([{ event, outcome: 'denied', code: answer.body.code }]);
    expect(JSON.stringify(events)).toContain(who);
  });

  it('names the admin who asked about a token of somebody else beside whom the token is of', async () => {
    const answer = await broker.post(routes.explain, await asked(), admin);
    expect(await eventsOf(answer)).toMatchObject([
      { event: 'explain', issuer: 'ci', subject: 'acme/web', asker: { issuer: 'ci', subject: 'boss' } },
    ]);
  });

  it('is counted by event, outcome and reason', async () => {
    const own = await world.start();
    const headers = { ...formType };
    await own.call(routes.token, { method: 'POST', headers, body: exchangeForm(await world.issue()) });
    await own.post(routes.explain, await asked());
    await own.post(routes.explain, { ...(await asked()), subject_token: 'x.y.z' });
    await own.post(routes.revoke, { token: 'x.y.z' });
    await own.call(routes.leases, { headers: admin });
    await own.call(routes.kubeconfig);
    await own.call(routes.wellKnown, { headers: admin });
    const { text } = await own.call(routes.metrics, { headers: admin });
    const counted = text.matchAll(/kleis_broker_requests_total\{event="(\w+)",outcome="(\w+)",reason="(\w+)"\} 1\n/g);
    expect(Array.from(counted, ([, ...labels]) => labels.join(' ')).toSorted()).toEqual([
      'exchange allowed ok',
      'explain allowed ok',
      'explain denied subject_malformed',
      'grants allowed ok',
      'kubeconfig denied bearer_missing',
      'leases allowed ok',
      'revoke done unknown',
    ]);
  });
});
