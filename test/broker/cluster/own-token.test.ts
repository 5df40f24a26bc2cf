import { readFile, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClusters } from '../../../broker/cluster/clusters.ts';
import { ownTokenTtl, renewOwnToken } from '../../../broker/cluster/own-token.ts';
import { decodeUnverified } from '../../../shared/jwt.ts';
import { needs } from '../../support/needs.ts';
import { type Confined, startConfined } from '../rbac/cluster.ts';
import { audience, load, objectsOf, needsOf } from '../rbac/fixture.ts';

const clusters = (renew: boolean) => ({
  prod: { server: 'https://10.0.0.1:6443', credentials: { tokenFile: '/token', renew }, audiences: [audience] },
});

it('a broker that does not renew its token has no right to make one for itself', () => {
  const told = (renew: boolean) => JSON.stringify(objectsOf(needsOf(load(undefined, { clusters: clusters(renew) }))));
  const plain = told(false);
  expect(plain).not.toContain('kleis-system /serviceaccounts/token');
  expect(plain).not.toContain('kleis-system/kleis-broker');
  expect(told(true)).toContain('kleis-system /serviceaccounts/token');
});

describe.each(['1.36', '1.30'] as const)('the own token of a broker outside of kube-apiserver %s', (kind) => {
  const missing = !needs('kube');
  let confined: Confined;
  let folder: string;
  let tokenFile: string;

  beforeAll(async () => {
    if (missing) return;
    confined = await startConfined(kind, false, { clusters: clusters(true) });
    folder = await mkdtemp(join(tmpdir(), 'kleis-own-'));
    tokenFile = join(folder, 'token');
  }, 120_000);
  afterAll(async () => {
    if (missing) return;
    await confined.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const lifeOf = (token: string) => {
    const { iat, exp } = decodeUnverified(token.trim()).claims as { iat: number; exp: number };
    return { iat, exp, half: ((iat + exp) / 2) * 1000 };
  };
  const open = (more: { renew?: boolean; file?: string } = {}) => {
    const { renew = true, file = tokenFile } = more;
    const { cluster } = confined;
    return openClusters(
      {
        prod: {
          ...confined.loaded.config.clusters['prod']!,
          server: cluster.server,
          certificateAuthority: cluster.caFile,
          audiences: [cluster.server],
          credentials: { tokenFile: file, renew },
        },
      },
      { clock: { now: Date.now }, env: {} },
    );
  };

  it.skipIf(missing)('is replaced as a whole when half of its time is over, and works', async () => {
    await writeFile(tokenFile, confined.brokerToken, { mode: 0o600 });
    const opened = open();
    const prod = opened.get('prod')!;
    const { half } = lifeOf(confined.brokerToken);
    expect(await renewOwnToken(prod, half - 1)).toBeUndefined();
    expect(await readFile(tokenFile, 'utf8')).toBe(confined.brokerToken);
    const until = await renewOwnToken(prod, half);
    const renewed = await readFile(tokenFile, 'utf8');
    const { iat, exp } = lifeOf(renewed);
    expect([until, exp - iat]).toEqual([exp * 1000, ownTokenTtl]);
    expect((await stat(tokenFile)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['token']);
    const asked = await confined.as(renewed.trim())('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    });
    expect(asked.status).toBe(201);
    opened.close();
  });

  it.skipIf(missing)('is left alone where nobody said that it is to be renewed, or where it is another’s', async () => {
    await writeFile(tokenFile, confined.brokerToken);
    const quiet = open({ renew: false });
    expect(await renewOwnToken(quiet.get('prod')!, Number.MAX_SAFE_INTEGER)).toBeUndefined();
    quiet.close();
    await writeFile(tokenFile, await confined.mintAsAdmin('web', 'editor'));
    const foreign = open();
    const refused = renewOwnToken(foreign.get('prod')!, Number.MAX_SAFE_INTEGER);
    await expect(refused).rejects.toMatchObject({ code: 'config_invalid' });
    foreign.close();
  });

  it.skipIf(missing)('gives an attacker no token of another account there, nor one that lives longer', async () => {
    const mint = async (name: string, seconds: number, more = {}) =>
      confined.attacker('POST', `/api/v1/namespaces/kleis-system/serviceaccounts/${name}/token`, {
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: { audiences: [confined.cluster.server], expirationSeconds: seconds, ...more },
        },
      });
    await confined.admin('POST', '/api/v1/namespaces/kleis-system/serviceaccounts', {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'other', namespace: 'kleis-system' },
    });
    expect((await mint('kleis-broker', ownTokenTtl)).status).toBe(201);
    expect((await mint('kleis-broker', ownTokenTtl + 1)).status).toBeGreaterThanOrEqual(400);
    expect((await mint('other', 600)).status).toBe(403);
    expect((await mint('kleis-broker', 600, { audiences: ['vault'] })).status).toBeGreaterThanOrEqual(400);
  });
});
