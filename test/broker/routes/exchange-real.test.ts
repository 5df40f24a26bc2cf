import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../broker/program.ts';
import { decodeUnverified } from '../../../shared/jwt.ts';
import { needs } from '../../support/needs.ts';
import { audience, type AppWorld, type RunningBroker, startAppWorld, testDeps } from './world.ts';
import { until } from '../../support/wait.ts';

describe.skipIf(!needs('kube'))('a broker at kube-apiserver 1.36', () => {
  let world: AppWorld;
  let broker: RunningBroker;

  beforeAll(async () => {
    world = await startAppWorld('1.36');
    broker = await world.start();
  }, 120_000);
  afterAll(() => world.stop());

  const revoke = async (token: string) =>
    broker.call('/revoke', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `token=${token}`,
    });

  it('mints what the API server takes, for as long as it says', async () => {
    const { status, body } = await broker.exchange(await world.issue());
    expect(status).toBe(200);
    expect(await world.state.ask(body.access_token)).toBe(201);
    const { exp = 0 } = decodeUnverified(body.access_token).claims as { exp?: number };
    expect(Math.abs(exp - Date.now() / 1000 - body.expires_in)).toBeLessThan(3);
    const [event] = (await broker.audit()).filter(({ lease }) => lease === body.lease);
    expect(event).toMatchObject({ jti: decodeUnverified(body.access_token).claims['jti'] });
  });

  it('knows its own tokens by the keys of the cluster, and ends an unused one at once', async () => {
    const { body } = await broker.exchange(await world.issue());
    const { status, body: told } = await revoke(body.access_token);
    expect([status, told]).toEqual([200, { revoked: true, dead_within: 10, lease: body.lease }]);
    expect(await world.state.ask(body.access_token)).toBe(401);
    const forged = `${body.access_token.slice(0, -8)}AAAAAAAA`;
    expect((await revoke(forged)).body).toEqual({ revoked: false, reason: 'unknown' });
  });

  it('ends a used one within the time that it says', async () => {
    const { body } = await broker.exchange(await world.issue());
    expect(await world.state.ask(body.access_token)).toBe(201);
    const { dead_within: seconds } = (await revoke(body.access_token)).body;
    const revokedAt = Date.now();
    await until('it is dead', async () => ((await world.state.ask(body.access_token)) === 401 ? true : undefined));
    expect(Date.now() - revokedAt).toBeLessThan((seconds + 2) * 1000);
  });

  it('takes tokens of that API server as issuer, whose discovery answers nobody else', async () => {
    const own = await world.start({
      issuers: { ...(world.document()['issuers'] as object), pods: { cluster: 'prod', audience } },
      grants: {
        pod: {
          issuer: 'pods',
          where: { 'kubernetes.io': { namespace: 'web', serviceaccount: { name: 'deployer' } } },
          cluster: 'prod',
          serviceAccount: 'deploy-web',
          access: [{ namespace: 'web', role: 'deployer' }],
        },
      },
    });
    const token = async (audiences: readonly string[] | undefined) => {
      const { status } = await world.state.cluster.request(
        'POST',
        '/api/v1/namespaces/web/serviceaccounts/deployer/token',
        { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences } },
      );
      return (status as { token: string }).token;
    };
    const { status, body } = await own.exchange(await token([audience]), { scope: 'pod' });
    expect([status, body]).toEqual([200, expect.objectContaining({ scope: 'pod' })]);
    const refused = await own.exchange(await token(undefined), { scope: 'pod' });
    expect(refused.body.code).toBe('subject_audience');
    const tokenFile = join(world.folder, 'pod-token');
    await writeFile(tokenFile, await token([audience]));
    for (const more of [[], ['--no-verify']]) {
      const { deps, output } = testDeps();
      const config = join(world.folder, 'broker-2.yaml');
      const explain = ['explain', '--config', config, '--grant', 'pod', '--token-file', tokenFile, ...more];
      expect([await run(explain, deps), output()]).toEqual([0, expect.stringContaining('issuer pods')]);
    }
    const { issuers } = (await own.call('/.well-known/kleis')).body as { issuers: unknown };
    expect(issuers).toContainEqual({
      name: 'pods',
      platform: 'kubernetes',
      issuer: world.state.cluster.server,
      audience,
    });
  });

  it('anchors its audit', async () => {
    await until('an anchor', async () => {
      const names = await world.state.names('/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases');
      return names.find((name) => name.startsWith('audit-test-host-'));
    });
  });
});
