import { open } from 'node:fs/promises';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { systemCode } from '../../shared/read-file.ts';

/**
 * Reads a file that holds a secret of the client. Throws `storage_unsafe` (it is open to everybody), `config_invalid`
 * (it is not there, no file, or larger than `limit` bytes).
 */
export async function readSecretFile(file: string, limit: number, platform: NodeJS.Platform): Promise<string> {
  const name = clean(file);
  let handle;
  try {
    handle = await open(file, 'r');
    const status = await handle.stat();
    // Not a question of the owner: a secret that a cluster mounts belongs to root and is read through its group.
    if (platform !== 'win32' && (status.mode & 0o004) !== 0) {
      throw new KleisError('storage_unsafe', `${name} holds a secret and can be read by everybody.`, {
        hint: `Take that right away: chmod o= ${name}`,
      });
    }
    if (!status.isFile() || status.size > limit) {
      throw new KleisError('config_invalid', `${name} is not a file of at most ${limit} bytes.`);
    }
    return await handle.readFile('utf8');
  } catch (cause) {
    if (cause instanceof KleisError) throw cause;
    const code = systemCode(cause);
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${clean(code ?? 'unknown', 40)})`;
    throw new KleisError('config_invalid', `The file ${name} ${why}.`, { cause });
  } finally {
    await handle?.close();
  }
}
