import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { certificatesIn, readAuthority, readCertificates } from '../../../shared/net/certificates.ts';
import { type Authority, createAuthority, type KeyPair } from '../../support/certificates.ts';
import { failure } from '../../support/failure.ts';

let authority: Authority;
let pair: KeyPair;
let folder: string;
beforeAll(async () => {
  authority = await createAuthority();
  pair = await authority.issueServer(['localhost']);
  folder = await mkdtemp(join(tmpdir(), 'kleis-certificates-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('of a PEM text', () => {
  test('the certificates are taken, and nothing that stands around them', () => {
    const text = `\uFEFFa comment: hush\n${authority.cert.replaceAll('\n', '\r\n')}subject=hush\n${pair.cert}-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n`;
    const found = certificatesIn(text);
    expect(found).toHaveLength(2);
    expect(found.join()).not.toMatch(/hush|PUBLIC KEY/);
  });

  test.each([
    'PRIVATE KEY',
    'RSA PRIVATE KEY',
    'EC PRIVATE KEY',
    'ENCRYPTED PRIVATE KEY',
    'OPENSSH PRIVATE KEY',
    'PGP PRIVATE KEY BLOCK',
  ])('a %s is refused, also beside a certificate and although its end is missing', (label) => {
    expect(() => certificatesIn(`${authority.cert}-----BEGIN ${label}-----\nAAAA`)).toThrow('it holds a private key');
    expect(() => certificatesIn(`-----BEGIN ${label}-----\n${authority.cert}`)).toThrow('it holds a private key');
  });

  test.each([
    ['', 'it holds no PEM certificate'],
    ['-----BEGIN CERTIFICATE-----\n', 'it holds no PEM certificate'],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'its certificate 1 is damaged'],
    ['-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n', 'it holds no PEM certificate'],
  ])('%j is refused', (text, why) => expect(() => certificatesIn(text)).toThrow(why));
});

describe('a file that a setting names', () => {
  test('gives its certificates', async () => {
    const path = join(folder, 'ca.pem');
    await writeFile(path, `# ours\n${authority.cert}`);
    expect(await readCertificates(path)).toBe(authority.cert);
    expect(await readAuthority(undefined)).toBeUndefined();
  });

  test('is named with its setting where it cannot be used, and never quoted', async () => {
    const path = join(folder, 'both.pem');
    await writeFile(path, `${pair.cert}${pair.key}`);
    const error = await failure(readCertificates(path, '--cluster-certificate-authority'));
    expect(error).toMatchObject({ code: 'config_invalid' });
    expect(error.message).toBe(`--cluster-certificate-authority ${path} cannot be used: it holds a private key.`);
    expect((await failure(readAuthority('/nowhere/ca.pem'))).message).toBe(
      '/nowhere/ca.pem cannot be read: it does not exist.',
    );
  });
});
