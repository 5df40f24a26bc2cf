import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSecretFile } from '../../shared/secret-file.ts';
import { failure } from '../support/failure.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-secret-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Uint8Array, mode = 0o600): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

const read = async (path: string) => readSecretFile(path, 4096, 'linux');

describe('a secret that everybody may read', () => {
  test.each([0o644, 0o604, 0o666])("is refused in a folder of one's own (mode %o)", async (mode) => {
    expect(await failure(read(await file('open', 's', mode)))).toMatchObject({ code: 'storage_unsafe', exitCode: 6 });
  });

  test('is refused behind a link too, and where a folder is only named like one of Kubernetes', async () => {
    const target = await file('elsewhere/open', 's', 0o644);
    await symlink(target, join(folder, 'link'));
    expect(await failure(read(join(folder, 'link')))).toMatchObject({ code: 'storage_unsafe' });
    expect(await failure(read(await file('..data/open', 's', 0o644)))).toMatchObject({ code: 'storage_unsafe' });
  });

  test.each([0o644, 0o444, 0o640])('is taken out of a volume as Kubernetes writes it (mode %o)', async (mode) => {
    const volume = `volume-${mode.toString(8)}`;
    await file(`${volume}/..2026_11_26_09_15_04.123456789/client-secret`, 's3cret\n', mode);
    await symlink('..2026_11_26_09_15_04.123456789', join(folder, volume, '..data'));
    await symlink('..data/client-secret', join(folder, volume, 'client-secret'));
    expect(await read(join(folder, volume, 'client-secret'))).toBe('s3cret');
  });
});

describe('what belongs to the file and not to the secret', () => {
  test.each<[string, string | Uint8Array]>([
    ['a line break', 's3cret\n'],
    ['a line break of Windows', 's3cret\r\n'],
    ['several line breaks', 's3cret\n\n'],
    ['blanks and a tab', 's3cret \t'],
    ['a byte order mark', '\u{feff}s3cret'],
    ['UTF-16, as PowerShell writes it', Buffer.from('\u{feff}s3cret\r\n', 'utf16le')],
  ])('%s is left out', async (_what, content) => {
    expect(await read(await file('secret', content))).toBe('s3cret');
  });

  test('blanks within and before it are its own', async () => {
    expect(await read(await file('secret', ' a b\n'))).toBe(' a b');
  });
});
