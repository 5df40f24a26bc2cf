import { describe, expect, it } from 'vitest';
import { audience, issuerUrl, startSuite } from './world.ts';

const { world, broker } = await startSuite();

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
