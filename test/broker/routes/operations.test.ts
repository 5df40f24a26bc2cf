import { describe, expect, it } from 'vitest';
import type { HealthCheck } from '../../../broker/service/health.ts';
import { until } from '../../support/wait.ts';
import { audience, grants, request, type RunningBroker, startSuite } from './world.ts';

const { world, broker, admin } = await startSuite();

describe('operations', () => {
  it('tell admins what is well, and nobody else, wherever they come from', async () => {
    await until('ready', async () => (await broker.call('/readyz')).status === 200);
    const { body } = await broker.call('/readyz', { headers: admin });
    expect(body.checks.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(['audit', 'cluster prod', 'issuer ci', 'issuer github', 'state', 'configuration']),
    );
    await broker.exchange(await world.issue());
    const metrics = await broker.call('/metrics', { headers: admin });
    expect(metrics.text).toMatch(/kleis_broker_exchanges_total\{[^}]*grant="deploy-web"[^}]*\} \d+/);
    expect(metrics.text).toContain('kleis_broker_issuer_up{issuer="ci"} 1');

    const someone = { authorization: `Bearer ${await world.issue()}` };
    for (const headers of [{}, { 'x-forwarded-for': '127.0.0.1' }, { forwarded: 'for=127.0.0.1' }]) {
      expect((await broker.call('/readyz', { headers })).body).toEqual({ ready: true });
      expect((await broker.call('/metrics', { headers })).status).toBe(404);
      expect((await broker.call('/readyz', { headers: { ...headers, ...someone } })).status).toBe(403);
      expect((await broker.call('/metrics', { headers: { ...headers, ...someone } })).status).toBe(403);
    }
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
        const { status, body } = await skewed.call('/readyz', { headers: admin });
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
    // Sooner than the next of the usual rounds: who sets a broker up waits for this.
    const { standIn } = world.state;
    const message = "ValidatingAdmissionPolicy 'kleis-broker' with binding 'kleis-broker' denied request: no";
    const body = { kind: 'Status', status: 'Failure', reason: 'Invalid', message, code: 422 };
    standIn.fault = ({ method, path, query }) =>
      method === 'POST' && path.endsWith('/secrets') && query?.includes('dryRun')
        ? { kind: 'answer', status: 422, body }
        : undefined;
    try {
      await until('it is ready', async () => (await strict.call('/readyz')).status === 200, 15_000);
    } finally {
      standIn.fault = undefined;
    }
  });

  it('are not ready where every grant lacks a right, and ready where one of them does not', async () => {
    const { standIn } = world.state;
    let asked = 0;
    let denied = (_question: number): boolean => false;
    standIn.fault = ({ path }) => {
      if (!path.endsWith('/selfsubjectaccessreviews')) return undefined;
      asked += 1;
      return { kind: 'answer', status: 201, body: { status: { allowed: !denied(asked) } } };
    };
    const rightsOf = async (own: RunningBroker) => {
      const { status, body } = await own.call('/readyz', { headers: admin });
      return { status, check: body.checks?.find(({ name }: HealthCheck) => name === 'rights in cluster prod') };
    };
    try {
      const well = await world.start();
      await until('ready', async () => (await rightsOf(well)).status === 200);
      const all = asked;
      // One more account, which is asked about last, and from then on.
      [asked, denied] = [0, (question) => question > all];
      const own = { ...grants['deploy-web'], serviceAccount: 'own' };
      const lacking = await world.start({ grants: { ...grants, own } });
      await until('ready', async () => (await rightsOf(lacking)).status === 200);
      expect((await rightsOf(lacking)).check).toMatchObject({ ok: false, critical: false });
      denied = () => true;
      const without = await world.start();
      const found = await until('the fault', async () => {
        const now = await rightsOf(without);
        return now.check?.ok === false ? now : undefined;
      });
      expect(found).toMatchObject({ status: 503, check: { critical: true } });
      expect(found.check?.message).toMatch(/^The broker may not [a-z]+ .*: apply what `kleis-broker rbac` prints\.$/);
      const { status, body } = await without.exchange(await world.issue());
      expect([status, body.code]).toEqual([503, 'broker_not_ready']);
    } finally {
      standIn.fault = undefined;
    }
  });

  it('mint nothing where the admission policy is required and cannot be seen, since the probe is refused', async () => {
    const { standIn } = world.state;
    const body = { kind: 'Status', status: 'Failure', reason: 'Forbidden', message: 'forbidden', code: 403 };
    standIn.fault = ({ method, path, query }) =>
      method === 'POST' && path.endsWith('/secrets') && query?.includes('dryRun')
        ? { kind: 'answer', status: 403, body }
        : undefined;
    try {
      const strict = await world.start({ admissionPolicy: 'required' });
      for (const scope of ['deploy-web', 'plain']) {
        const answered = await strict.exchange(await world.issue(), { scope });
        expect([answered.status, answered.body.code]).toEqual([503, 'broker_not_ready']);
      }
    } finally {
      standIn.fault = undefined;
    }
  });
});
