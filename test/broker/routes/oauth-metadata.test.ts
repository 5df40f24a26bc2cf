import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { customFetch, discoveryRequest, processDiscoveryResponse } from 'oauth4webapi';
import { type AppWorld, audience, startAppWorld } from './world.ts';

let world: AppWorld;

beforeAll(async () => {
  world = await startAppWorld();
});
afterAll(() => world.stop());

const at = '/.well-known/oauth-authorization-server';

describe('GET /.well-known/oauth-authorization-server', () => {
  it('is what a client of OAuth needs in order to exchange and to revoke', async () => {
    const broker = await world.start();
    const server = new URL(audience);
    const response = await discoveryRequest(server, {
      algorithm: 'oauth2',
      [customFetch]: async (url: string) => {
        const { status, headers, text } = await broker.call(new URL(url).pathname);
        return new Response(text, { status, headers: { 'content-type': String(headers['content-type']) } });
      },
    });
    const found = await processDiscoveryResponse(server, response);
    expect(found).toMatchObject({
      issuer: audience,
      token_endpoint: `${audience}/token`,
      revocation_endpoint: `${audience}/revoke`,
      grant_types_supported: ['urn:ietf:params:oauth:grant-type:token-exchange'],
      token_endpoint_auth_methods_supported: ['none'],
      response_types_supported: [],
    });
    expect((await broker.call(`${at}/elsewhere`)).status).toBe(404);
  });

  it('of a broker at a URL with a path is found before that path too', async () => {
    const publicUrl = 'https://example.com/ci/kleis';
    const broker = await world.start({ publicUrl });
    for (const path of [at, `${at}/ci/kleis`]) expect((await broker.call(path)).body.issuer).toBe(publicUrl);
    expect((await broker.call(`${at}/ci`)).status).toBe(404);
  });
});
