import { readFile } from 'node:fs/promises';
import { KleisError } from '../errors.ts';
import { clean } from '../text.ts';
import { X509Certificate } from 'node:crypto';

/** The certificates of a PEM text, without what stands around them. Throws an Error that says what is wrong with it. */
export function certificatesIn(pem: string): string[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error('it holds no PEM certificate');
  for (const [index, block] of blocks.entries()) {
    try {
      void new X509Certificate(block);
    } catch (cause) {
      throw new Error(`its certificate ${index + 1} is damaged`, { cause });
    }
  }
  return blocks;
}

/** The PEM text of a file that a setting names; undefined where none does. Throws `config_invalid`. */
export async function readAuthority(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new KleisError('config_invalid', `The certificate authority ${clean(file)} cannot be read.`, { cause });
  }
}
