import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readHeldCredential } from '../../../cli/kubeconfig/credential.ts';
import type { KubeconfigEntry } from '../../../cli/kubeconfig/load.ts';
import { createAuthority, type KeyPair } from '../../support/certificates.ts';
import { failure } from '../../support/failure.ts';

let folder: string;
let own: KeyPair;
let others: KeyPair;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-credential-'));
  const authority = await createAuthority();
  [own, others] = await Promise.all([authority.issueClient('me'), authority.issueClient('you')]);
  await writeFile(join(folder, 'me.crt'), own.cert);
  await writeFile(join(folder, 'me.key'), own.key);
  await writeFile(join(folder, 'token'), 'of-a-file\n');
});
afterAll(() => rm(folder, { recursive: true }));

const user = (body: Record<string, unknown>) =>
  ({ name: 'me', body, index: 0, file: { path: join(folder, 'config') } }) as unknown as KubeconfigEntry;
const data = (text: string) => Buffer.from(text).toString('base64');

describe('what a user entry holds', () => {
  it('of a token and a token file, which is beside the kubeconfig, the file counts', async () => {
    const both = await readHeldCredential(user({ token: 'of-the-entry', tokenFile: 'token' }));
    expect(both.token?.reveal()).toBe('of-a-file');
    expect((await readHeldCredential(user({ token: 'of-the-entry' }))).token?.reveal()).toBe('of-the-entry');
  });

  it('is a certificate with its key, by path or as it is', async () => {
    const byPath = await readHeldCredential(user({ 'client-certificate': 'me.crt', 'client-key': 'me.key' }));
    const asIs = await readHeldCredential(
      user({ 'client-certificate-data': data(own.cert), 'client-key-data': data(own.key) }),
    );
    for (const { certificate } of [byPath, asIs]) {
      expect(certificate?.cert).toBe(own.cert);
      expect(certificate?.key.reveal()).toBe(own.key);
    }
  });

  it.each([
    [
      'a key of another',
      () => ({ 'client-certificate-data': data(own.cert), 'client-key-data': data(others.key) }),
      'do not belong together',
    ],
    ['no key', () => ({ 'client-certificate-data': data(own.cert) }), 'without its key'],
    [
      'a key that is none',
      () => ({ 'client-certificate-data': data(own.cert), 'client-key-data': data('canary') }),
      'damaged',
    ],
    [
      'a certificate that is none',
      () => ({ 'client-certificate-data': data('canary'), 'client-key-data': data(own.key) }),
      'damaged',
    ],
    ['a file that is not there', () => ({ tokenFile: 'nowhere' }), 'does not exist'],
    ['a token over two lines', () => ({ token: 'canary\nx: y' }), 'no header can carry'],
    [
      'a plugin of others',
      () => ({ exec: { command: `touch ${folder}/ran` }, token: 'canary' }),
      'runs no program of others',
    ],
    ['an auth-provider', () => ({ 'auth-provider': { name: 'oidc' } }), 'auth-provider'],
    ['a password', () => ({ username: 'a', password: 'canary' }), 'has a password'],
    ['nothing', () => ({}), 'has no credential'],
    ['somebody to impersonate', () => ({ token: 'canary', as: 'root' }), 'impersonates somebody (as)'],
    ['groups to impersonate', () => ({ token: 'canary', 'as-groups': ['x'] }), 'impersonates somebody (as-groups)'],
  ])('%s is refused in words that quote nothing of it', async (_, body, words) => {
    const error = await failure(readHeldCredential(user(body())));
    expect(error).toMatchObject({ code: 'kubeconfig_invalid', message: expect.stringContaining(words) });
    expect(error.message).not.toContain('canary');
  });
});
