import { X509Certificate } from 'node:crypto';
import { KleisError } from '../errors.ts';
import { readTextFile } from '../read-file.ts';
import { clean } from '../text.ts';
import { pemDataUrl } from './url.ts';

const hint = 'Name a PEM file with the certificate of the authority that vouches for the server.';

/** The last text that was fine: one run asks for the same authority several times. */
let fine: { readonly pem: string; readonly blocks: readonly string[] } | undefined;

/**
 * The certificates in a PEM text and nothing else of it: what stands around them may be anything. Throws an Error that
 * says what is wrong: none, a damaged one, or a private key, which must not travel with what is handed to everybody.
 */
export function certificatesIn(pem: string): readonly string[] {
  if (fine?.pem === pem) return fine.blocks;
  if (/-----BEGIN [^-]*PRIVATE KEY/.test(pem)) throw new Error('it holds a private key');
  const blocks = blocksIn(pem);
  for (const [index, block] of blocks.entries()) {
    try {
      void new X509Certificate(block);
    } catch (cause) {
      throw new Error(`its certificate ${index + 1} is damaged`, { cause });
    }
  }
  fine = { pem, blocks };
  return blocks;
}

/** Not parsed yet. Throws an Error: there is none, or one has no end. */
export function blocksIn(pem: string): readonly string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error('it holds no PEM certificate');
  // Half written, or half copied: the rest may be what matters.
  if (pem.split('-----BEGIN CERTIFICATE-----').length - 1 !== blocks.length)
    throw new Error('a certificate in it is cut off');
  return blocks;
}

/**
 * The certificates of a PEM text that a setting gives. Throws `config_invalid`, which begins with `name`: Node takes text
 * without a certificate for "Node's own list" or for "none", and says nothing.
 */
export function checkCertificates(pem: string, name = 'The certificate authority'): string {
  try {
    return `${certificatesIn(pem).join('\n')}\n`;
  } catch (cause) {
    throw new KleisError('config_invalid', `${name} cannot be used: ${(cause as Error).message}.`, { hint, cause });
  }
}

/** The certificates of the file that a setting names; `setting` is how a person knows it. Throws `config_invalid`. */
export async function readCertificates(file: string, setting = 'The certificate authority'): Promise<string> {
  return checkCertificates(await readTextFile(file), `${setting} ${clean(file, 400)}`);
}

/** By an absolute path, or the text itself as a `pemDataUrl`. Undefined where nobody is named. Throws as `readCertificates`. */
export async function readAuthority(authority: string | undefined): Promise<string | undefined> {
  if (authority === undefined) return undefined;
  if (!authority.startsWith(pemDataUrl)) return readCertificates(authority);
  return checkCertificates(Buffer.from(authority.slice(pemDataUrl.length), 'base64').toString());
}
