import { X509Certificate } from 'node:crypto';
import { decodeUnverified } from '../jwt.ts';
import type { KubeConnection } from './connection.ts';

/** From when to when the credential is good, ms; undefined where it does not say, or is none. */
export function credentialLifetime({
  token,
  cert,
}: Pick<KubeConnection, 'token' | 'cert'>): { readonly from: number | undefined; readonly until: number } | undefined {
  try {
    if (token === undefined) return cert === undefined ? undefined : ofCertificate(cert);
    const { iat, exp } = decodeUnverified(token).claims;
    if (typeof exp !== 'number') return undefined;
    return { from: typeof iat === 'number' ? iat * 1000 : undefined, until: exp * 1000 };
  } catch {
    // A token of another kind, for which nobody but its server knows.
    return undefined;
  }
}

function ofCertificate(pem: string): { readonly from: number; readonly until: number } {
  const { validFrom, validTo } = new X509Certificate(pem);
  return { from: Date.parse(validFrom), until: Date.parse(validTo) };
}
