import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createAuthority } from '../../support/certificates.ts';
import { audience, issuerUrl, startSuite } from './world.ts';

const { world, broker } = await startSuite();

describe('GET /.well-known/kleis', () => {
  it('tells anyone how to get a subject token, and nothing of clusters and grants', async () => {
    const { status, body, text } = await broker.call('/.well-known/kleis');
    expect(status).toBe(200);
    expect(body).toMatchObject({ broker: audience, token_endpoint: `${audience}/token` });
    expect(body.issuers).toContainEqual({ name: 'ci', issuer: issuerUrl, audience, platform: 'github' });
    expect(text).not.toMatch(/deploy-web|prod/);
  });

  it('tells how people sign in, with the authority of the provider', async () => {
    const [ca, gone] = [join(world.folder, 'provider.pem'), join(world.folder, 'not-there.pem')];
    const { cert } = await createAuthority();
    await writeFile(ca, cert);
    const { issuers } = world.document() as { issuers: Record<string, { url: string }> };
    const other = await world.start({
      issuers: {
        ci: { ...issuers['ci'], certificateAuthority: ca, signIn: { scopes: ['groups'] } },
        github: { ...issuers['github'], signIn: { clientId: 'kleis-cli', certificateAuthority: gone } },
      },
    });
    const { body } = await other.call('/.well-known/kleis');
    expect(body.issuers).toEqual([
      {
        name: 'ci',
        issuer: issuerUrl,
        audience,
        platform: 'github',
        sign_in: { client_id: audience, scopes: ['groups'], certificate_authority: cert },
      },
      // Without what vouches for it nobody could sign in there safely.
      { name: 'github', issuer: issuers['github']!.url, audience, platform: 'github' },
    ]);
  });

  it('tells who is signed in what is theirs, and no more', async () => {
    const headers = { authorization: `Bearer ${await world.issue({ repository_id: '2' })}` };
    const { body } = await broker.call('/.well-known/kleis', { headers });
    expect(body.grants).toEqual([
      {
        name: 'other',
        cluster: 'prod',
        expires_in: 900,
        max_expires_in: 3600,
        revocable: true,
        access: ['deployer in web'],
        namespace: 'web',
      },
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
