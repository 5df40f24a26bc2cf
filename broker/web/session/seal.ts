import { hkdfSync } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { CompactEncrypt, compactDecrypt } from 'jose';

/** What is sealed for one purpose opens for no other. */
export type Purpose = 'session' | 'sign-in';

/** Values that a browser keeps for us, and can neither read nor change. */
export interface Seal {
  seal(purpose: Purpose, value: object): Promise<string>;
  /** Undefined for what none of the keys sealed for that purpose here: forged, cut, of an old key, of another broker. */
  open(purpose: Purpose, text: string): Promise<unknown>;
}

/** Bytes; the claims of the largest token have 16 kB. */
const most = 64 * 1024;

/**
 * JWE (RFC 7516, `dir` and `A256GCM`) by keys that are made of those of the file (HKDF, RFC 5869) for the purpose and the
 * `place`: with another provider, client or address nothing that was sealed before opens. The first key seals.
 */
export function createSeal(keys: readonly Uint8Array[], place: readonly string[]): Seal {
  const made = new Map<string, Uint8Array[]>();
  const keysFor = (purpose: Purpose): readonly Uint8Array[] => {
    let found = made.get(purpose);
    if (found === undefined) {
      const info = JSON.stringify(['kleis', purpose, ...place]);
      found = keys.map((key) => new Uint8Array(hkdfSync('sha256', key, '', info, 32)));
      made.set(purpose, found);
    }
    return found;
  };
  return {
    async seal(purpose, value) {
      const text = deflateRawSync(JSON.stringify(value), { level: 9 });
      const [key] = keysFor(purpose);
      return new CompactEncrypt(text).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(key!);
    },
    async open(purpose, text) {
      if (text.length > most) return undefined;
      for (const key of keysFor(purpose)) {
        const opened = await openWith(key, text);
        if (opened !== undefined) return opened;
      }
      return undefined;
    },
  };
}

const algorithms = { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] };

async function openWith(key: Uint8Array, text: string): Promise<unknown> {
  try {
    const { plaintext } = await compactDecrypt(text, key, algorithms);
    return JSON.parse(inflateRawSync(plaintext, { maxOutputLength: most }).toString());
  } catch {
    return undefined;
  }
}
