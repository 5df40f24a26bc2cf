import { platform } from 'node:os';
import { KleisError } from '../../shared/errors.ts';
import { readSecretFile } from '../../shared/secret-file.ts';
import { clean } from '../../shared/text.ts';

// The files that `web` names. Each holds a secret: what is wrong with one is told without a word of what is in it.

const keyBytes = 32;
/** A rotation needs two; each is tried on a cookie that none of them made. */
const mostKeys = 8;
const maxBytes = 4096;

/**
 * The keys of `cookieKeyFile`, the one that seals first: 32 bytes in base64 a line; blank lines and those that begin with
 * "#" are left out. Throws `storage_unsafe` (open to everybody), `config_invalid`.
 */
export function readCookieKeys(file: string): readonly Uint8Array[] {
  const name = clean(file, 400);
  const lines = readSecretFile(file, maxBytes, platform())
    .split('\n')
    .map((line, index) => ({ text: line.trim(), number: index + 1 }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'));
  if (lines.length === 0) throw unusable(`${name} holds no key`);
  if (lines.length > mostKeys) throw unusable(`${name} holds more than ${mostKeys} keys`);
  return lines.map(({ text, number }) => {
    const key = Buffer.from(text, 'base64');
    if (key.length !== keyBytes || canonical(key.toString('base64')) !== canonical(text))
      throw unusable(`line ${number} of ${name} is not ${keyBytes} bytes in base64`);
    return key;
  });
}

/** base64 and base64url, with its padding or without. */
function canonical(text: string): string {
  return text.replaceAll('-', '+').replaceAll('_', '/').replace(/=+$/, '');
}

function unusable(what: string): KleisError {
  return new KleisError('config_invalid', `The keys for cookies cannot be used: ${what}.`, {
    hint: 'Make one with `openssl rand -base64 32`, and put it into the file as its first line.',
  });
}

/** `clientSecretFile`: one line. Throws `storage_unsafe`, `config_invalid`. */
export function readClientSecret(file: string): string {
  const text = readSecretFile(file, maxBytes, platform());
  if (text === '' || /\p{Cc}/u.test(text)) {
    throw new KleisError('config_invalid', `${clean(file, 400)} is not one line with a client secret in it.`);
  }
  return text;
}
