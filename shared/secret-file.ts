import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { KleisError } from './errors.ts';
import { clean } from './text.ts';
import { systemCode } from './read-file.ts';

/**
 * Reads a file that holds a secret of the client, as text without a byte order mark and without blanks at its end. Throws
 * `storage_unsafe` (it is open to everybody), `config_invalid` (it is not there, no file, or larger than `limit` bytes).
 */
export function readSecretFile(file: string, limit: number, platform: NodeJS.Platform): string {
  const name = clean(file);
  let opened: number | undefined;
  try {
    // A pipe in its place must not hang us.
    opened = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const status = fstatSync(opened);
    // Not a question of the owner: a secret that a cluster mounts belongs to root and is read through its group.
    if (platform !== 'win32' && (status.mode & 0o004) !== 0 && !isMounted(file, status)) {
      throw new KleisError('storage_unsafe', `${name} holds a secret and can be read by everybody.`, {
        hint: `Take that right away: chmod o= ${name}`,
      });
    }
    if (!status.isFile() || status.size > limit) {
      throw new KleisError('config_invalid', `${name} is not a file of at most ${limit} bytes.`);
    }
    return decode(readFileSync(opened)).trimEnd();
  } catch (cause) {
    if (cause instanceof KleisError) throw cause;
    const code = systemCode(cause);
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${clean(code ?? 'unknown', 40)})`;
    throw new KleisError('config_invalid', `The file ${name} ${why}.`, { cause });
  } finally {
    if (opened !== undefined) closeSync(opened);
  }
}

/**
 * A secret that was mounted into a container, where nobody else is and nobody could change the mode: Kubernetes writes
 * files of mode 0644 into a folder `..DATE` and links to them (with `subPath` the file is a mount of its own), Docker and
 * Podman have theirs in /run/secrets with 0444.
 */
function isMounted(file: string, { dev }: Stats): boolean {
  const path = realpathSync(file);
  if (/\/\.\.\d{4}_\d\d_\d\d_[\d_.]+\//.test(path) || path.startsWith('/run/secrets/')) return true;
  return statSync(dirname(path)).dev !== dev;
}

/** Windows PowerShell writes UTF-16 with a mark. */
function decode(bytes: Buffer): string {
  const wide = bytes[0] === 0xff && bytes[1] === 0xfe;
  return new TextDecoder(wide ? 'utf-16le' : 'utf-8').decode(bytes);
}
