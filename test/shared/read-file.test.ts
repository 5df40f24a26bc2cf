import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readTextFile } from '../../shared/read-file.ts';
import { failure } from '../support/failure.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-read-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

describe('a small file', () => {
  test('is read whole, without a byte order mark', async () => {
    const text = 'äöü\n'.repeat(40_000);
    expect(await readTextFile(await file('long', `\uFEFF${text}`))).toBe(text);
    expect(await readTextFile(await file('empty', ''))).toBe('');
  });

  test('may be a pipe', async () => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const reading = readTextFile(path);
    await writeFile(path, 'from a pipe');
    expect(await reading).toBe('from a pipe');
  });

  test('may be as large as its limit and no larger', async () => {
    expect(await readTextFile(await file('limit', 'x'.repeat(2048)), { limit: 2048 })).toHaveLength(2048);
    const error = await failure(readTextFile(await file('over', 'x'.repeat(2049)), { limit: 2048, code: 'usage' }));
    expect(error).toMatchObject({ code: 'usage' });
    expect(error.message).toMatch(/over cannot be read: it is larger than 2 KiB\.$/);
    expect((await failure(readTextFile('/dev/zero'))).message).toContain('it is larger than 1 MiB');
  });

  test('that cannot be read is named, with the reason in plain words', async () => {
    expect((await failure(readTextFile('/nowhere/at/all'))).message).toBe(
      '/nowhere/at/all cannot be read: it does not exist.',
    );
    expect((await failure(readTextFile(folder))).message).toContain('there is a folder in its place');
    const secret = await file('secret', 'hush');
    await chmod(secret, 0);
    // Root reads it all the same.
    if (process.geteuid?.() !== 0)
      expect((await failure(readTextFile(secret))).message).toContain('this user has no right to it');
    expect((await failure(readTextFile('/nowhere/a\u001b[2Jb'))).message).not.toContain('\u001b');
  });
});
