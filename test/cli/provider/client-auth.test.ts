import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from '../../support/failure.ts';
import { clientSecret, type Quirks, startProvider, type TestProvider } from '../../support/provider.ts';
import { connectTo, createTestDeps, refreshed, settingsFor, signInAt, withProvider } from '../sign-in/world.ts';

let provider: TestProvider;
let folder: string;
let privateKey: KeyObject;

beforeAll(async () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  ({ privateKey } = pair);
  provider = await startProvider({ clientJwk: { ...pair.publicKey.export({ format: 'jwk' }), kid: 'one' } });
  folder = await mkdtemp(join(tmpdir(), 'kleis-provider-'));
});
afterAll(async () => {
  await provider.stop();
  await rm(folder, { recursive: true });
});

async function file(name: string, text: string, mode = 0o600): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  await chmod(path, mode);
  return path;
}

describe('the client', () => {
  test('a provider that does not list `none` still takes a public client', async () => {
    const quirks: Quirks = {
      discovery: (d) => ({ ...d, token_endpoint_auth_methods_supported: ['client_secret_basic'] }),
    };
    await withProvider({ quirks }, async (at) => {
      expect((await signInAt(at)).tokens.idToken).toBeDefined();
    });
  });

  test.each([
    ['kleis-basic', undefined],
    ['kleis-post', undefined],
    ['kleis-post', ['client_secret_basic']],
    ['kleis-basic', ['client_secret_post']],
    ['kleis-post', 'absent'],
  ])('the secret of %s is accepted where the provider lists %s', async (clientId, listed) => {
    const quirks: Quirks = {
      discovery: ({ token_endpoint_auth_methods_supported: all, ...rest }) =>
        listed === 'absent' ? rest : { ...rest, token_endpoint_auth_methods_supported: listed ?? all },
    };
    await withProvider({ quirks }, async (at) => {
      const session = await signInAt(at, { clientId, clientSecretFile: await file('secret', `${clientSecret}\n`) });
      expect((await refreshed(session)).idToken).toBeDefined();
    });
  });

  test('a wrong secret is client_refused, and stands in no message', async () => {
    const clientSecretFile = await file('wrong', 'wrong-secret');
    const kleis = await connectTo(
      settingsFor(provider.issuer, { clientId: 'kleis-basic', clientSecretFile }),
      createTestDeps(),
    );
    const error = await failure(kleis.clientCredentials());
    expect(error).toMatchObject({ code: 'client_refused', exitCode: 6 });
    expect(`${error.message}${error.hint}`).not.toContain('wrong-secret');
  });

  test.each([
    ['everybody may read', 'secret', 0o644, 'storage_unsafe'],
    ['is empty', '\n', 0o600, 'config_invalid'],
    ['has two lines', 'a\nb\n', 0o600, 'config_invalid'],
    ['is too large', 'x'.repeat(5000), 0o600, 'config_invalid'],
  ])('a secret file that %s is refused', async (_what, text, mode, code) => {
    const clientSecretFile = await file('refused', text, mode);
    expect(
      await failure(connectTo(settingsFor(provider.issuer, { clientSecretFile }), createTestDeps())),
    ).toMatchObject({
      code,
    });
  });

  test('a secret file that is not there is named', async () => {
    const error = await failure(
      connectTo(settingsFor(provider.issuer, { clientSecretFile: join(folder, 'none') }), createTestDeps()),
    );
    expect(error).toMatchObject({ code: 'config_invalid' });
    expect(error.message).toContain('does not exist');
  });

  test.each(['pem', 'jwk'])('private_key_jwt signs with the key of a %s file', async (form) => {
    const text =
      form === 'pem'
        ? privateKey.export({ format: 'pem', type: 'pkcs8' })
        : JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256' });
    const clientKeyFile = await file(`key.${form}`, String(text));
    const session = await signInAt(provider, { clientId: 'kleis-jwt', clientKeyFile });
    expect((await refreshed(session)).idToken).toBeDefined();
  });

  test('a key file without a private key is refused', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    for (const text of [
      'nonsense',
      String(publicKey.export({ format: 'pem', type: 'spki' })),
      JSON.stringify(publicKey.export({ format: 'jwk' })),
    ]) {
      const clientKeyFile = await file('not-a-key', text);
      expect(await failure(connectTo(settingsFor(provider.issuer, { clientKeyFile }), createTestDeps()))).toMatchObject(
        {
          code: 'config_invalid',
        },
      );
    }
  });

  test('client credentials give an access token for the resource, without a person', async () => {
    const settings = settingsFor(provider.issuer, {
      clientId: 'kleis-basic',
      clientSecretFile: await file('machine', clientSecret),
      scopes: ['api'],
      resource: 'https://cluster.example.com',
      token: 'access',
      identity: 'client-credentials',
    });
    const tokens = await (await connectTo(settings, createTestDeps())).clientCredentials();
    expect(tokens.accessToken?.reveal().split('.')).toHaveLength(3);
    expect(tokens.refreshToken).toBeUndefined();
  });
});
