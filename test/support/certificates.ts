import { webcrypto } from 'node:crypto';
import type * as X509 from '@peculiar/x509';

export interface KeyPair {
  /** PEM. */
  readonly cert: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

export interface Authority {
  /** Its own certificate, PEM. */
  readonly cert: string;
  /** For a TLS server by these names and addresses. */
  issueServer(names: readonly string[], validity?: Validity): Promise<KeyPair>;
  /** For a TLS client; Kubernetes reads the user from the common name and groups from the organizations. */
  issueClient(commonName: string, organizations?: readonly string[]): Promise<KeyPair>;
}

interface Validity {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

const day = 86_400_000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const isAddress = /^[\d.]+$|:/;

/** A certificate authority of its own, for servers on loopback and their clients; a bare machine has no openssl. */
export async function createAuthority(commonName = 'Kleis test CA'): Promise<Authority> {
  const x509 = await load();
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const name = new x509.Name([{ CN: [commonName] }]);
  const usage = x509.KeyUsageFlags;
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name,
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - day),
    notAfter: new Date(Date.now() + 30 * day),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(usage.keyCertSign | usage.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });

  async function issue(
    subject: InstanceType<typeof x509.Name>,
    use: string,
    names: readonly string[],
    { notBefore = new Date(Date.now() - day), notAfter = new Date(Date.now() + 30 * day) }: Validity = {},
  ): Promise<KeyPair> {
    const leaf = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.create({
      subject,
      issuer: name,
      publicKey: leaf.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      notBefore,
      notAfter,
      extensions: [
        new x509.BasicConstraintsExtension(false),
        new x509.KeyUsagesExtension(usage.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([use]),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ...(names.length === 0
          ? []
          : [
              new x509.SubjectAlternativeNameExtension(
                names.map((value) => ({ type: isAddress.test(value) ? ('ip' as const) : ('dns' as const), value })),
              ),
            ]),
      ],
    });
    const key = await webcrypto.subtle.exportKey('pkcs8', leaf.privateKey);
    return { cert: pem('CERTIFICATE', certificate.rawData), key: pem('PRIVATE KEY', key) };
  }

  return {
    cert: pem('CERTIFICATE', authority.rawData),
    issueServer: (names, validity) =>
      issue(new x509.Name([{ CN: [names[0] ?? 'localhost'] }]), x509.ExtendedKeyUsage.serverAuth, names, validity),
    issueClient: (user, organizations = []) =>
      issue(
        new x509.Name([...organizations.map((organization) => ({ O: [organization] })), { CN: [user] }]),
        x509.ExtendedKeyUsage.clientAuth,
        [],
      ),
  };
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

const none = (): undefined => undefined;

async function load(): Promise<typeof X509> {
  // The library insists on a polyfill for the metadata of decorators, of which it then finds none, as here.
  if (!('getMetadata' in Reflect))
    Object.assign(Reflect, { getMetadata: none, getOwnMetadata: none, defineMetadata: none });
  return import('@peculiar/x509');
}
