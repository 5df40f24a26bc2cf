import { existsSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readPrivate, removePrivate, reservePrivate, writePrivate } from '../../../cli/files/private-files.ts';
import { listPrivate, sweepTemporary } from '../../../cli/files/private-folder.ts';
import { failure } from '../../support/failure.ts';

const isRoot = process.geteuid?.() === 0;

let base: string;
let folder: string;
let path: string;

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'kleis-test-'));
  folder = join(base, 'state', 'kleis');
  path = join(folder, 'file');
});

afterEach(async () => {
  await rm(base, { recursive: true });
});

/** What a person reads when the file is not safe to read. */
async function refusal(): Promise<string> {
  const error = await failure(readPrivate(path));
  expect(error.code).toBe('storage_unsafe');
  expect(error.message).toContain(base);
  expect(`${error.message} ${error.hint}`).not.toContain('secret');
  return error.message;
}

describe('a private file', () => {
  test('is written whole, for its owner alone, in folders that it makes for its owner alone', async () => {
    expect(await readPrivate(path)).toBeUndefined();
    await writePrivate(path, 'ä text');
    expect(await readPrivate(path)).toBe('ä text');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    expect((await stat(join(base, 'state'))).mode & 0o777).toBe(0o700);
  });

  test('leaves nothing beside it', async () => {
    for (const text of ['long '.repeat(1000), 'short', '']) {
      await writePrivate(path, text);
      expect(await readFile(path, 'utf8')).toBe(text);
    }
    expect(await readdir(folder)).toEqual(['file']);
  });

  test('of many exclusive writers one wins and the others change nothing', async () => {
    const won = await Promise.all(
      Array.from({ length: 20 }, async (_, index) =>
        (await reservePrivate(folder, 0)).commit(path, `writer ${index}`, { exclusive: true }),
      ),
    );
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await readPrivate(path)).toBe(`writer ${won.indexOf(true)}`);
    expect(await readdir(folder)).toEqual(['file']);
  });

  test('is removed once', async () => {
    await writePrivate(path, '');
    expect(await removePrivate(path)).toBe(true);
    expect(await removePrivate(path)).toBe(false);
  });

  test('is listed without unfinished ones', async () => {
    expect(listPrivate(folder)).toEqual([]);
    await writePrivate(join(folder, 'b'), '');
    await writePrivate(join(folder, 'a'), '');
    const room = await reservePrivate(folder, 10);
    expect(listPrivate(folder)).toEqual(['a', 'b']);
    await room.release();
  });
});

describe('room taken beforehand', () => {
  test('is really taken, is used for the text, and leaves nothing of itself', async () => {
    const room = await reservePrivate(folder, 50_000);
    const [name = ''] = await readdir(folder);
    expect((await stat(join(folder, name))).blocks).toBeGreaterThanOrEqual(50_000 / 512);
    await room.commit(path, 'short');
    expect(await readFile(path, 'utf8')).toBe('short');
    expect(await readdir(folder)).toEqual(['file']);
    await room.release();
    expect(await readPrivate(path)).toBe('short');
  });

  test('takes a longer text too, and goes when it is given back', async () => {
    const room = await reservePrivate(folder, 10);
    await room.commit(path, 'x'.repeat(1000));
    expect(await readPrivate(path)).toHaveLength(1000);
    const unused = await reservePrivate(folder, 10);
    await unused.release();
    expect(await readdir(folder)).toEqual(['file']);
  });
});

describe('what a killed process left', () => {
  test('is swept away when it is old, whatever time it claims, and stays while it may be in use', async () => {
    const room = await reservePrivate(folder, 10);
    const [name = ''] = await readdir(folder);
    await utimes(join(folder, name), new Date('2040-01-01'), new Date('2040-01-01'));
    sweepTemporary(folder, Date.now());
    expect(await readdir(folder)).toEqual([name]);
    sweepTemporary(folder, Date.now(), -1);
    expect(await readdir(folder)).toEqual([]);
    await room.release();
  });
});

describe('refused as unsafe, naming the path and what to do', () => {
  beforeEach(async () => {
    await writePrivate(path, 'secret');
  });

  test.each([0o644, 0o640, 0o602, 0o610])('a file with mode %o', async (mode) => {
    await chmod(path, mode);
    expect(await refusal()).toMatch(/can be used by others/);
  });

  test.each([0o755, 0o750, 0o701])('a folder with mode %o', async (mode) => {
    await chmod(folder, mode);
    expect(await refusal()).toMatch(/can be used by others/);
    expect((await failure(writePrivate(path, 'other'))).code).toBe('storage_unsafe');
  });

  test('a link in the place of the file', async () => {
    await writeFile(join(folder, 'elsewhere'), 'secret', { mode: 0o600 });
    await rm(path);
    await symlink(join(folder, 'elsewhere'), path);
    expect(await refusal()).toMatch(/is a symbolic link/);
  });

  test('a link in the place of the folder', async () => {
    await mkdir(join(base, 'other'), { mode: 0o700 });
    await rm(folder, { recursive: true });
    await symlink(join(base, 'other'), folder);
    expect(await refusal()).toMatch(/is a symbolic link/);
    expect((await failure(writePrivate(path, 'other'))).code).toBe('storage_unsafe');
    expect(await readdir(join(base, 'other'))).toEqual([]);
  });

  test('a pipe in the place of the file, without waiting for whoever writes to it', async () => {
    await rm(path);
    execFileSync('mkfifo', [path]);
    await chmod(path, 0o600);
    expect(await refusal()).toMatch(/is not a regular file/);
  });

  test.skipIf(!isRoot)('a file or folder of another user', async () => {
    await chown(path, 12345, 12345);
    expect(await refusal()).toMatch(/belongs to another user/);
    await chown(path, 0, 0);
    await chown(folder, 12345, 12345);
    expect(await refusal()).toMatch(/belongs to another user/);
  });

  test.skipIf(!isRoot)('a new folder in the home of another user, which would lock that user out', async () => {
    const home = join(base, 'home');
    await mkdir(home);
    await chown(home, 12345, 12345);
    const error = await failure(writePrivate(join(home, '.local', 'state', 'kleis', 'file'), 'secret'));
    expect([error.code, error.message]).toEqual(['storage_unsafe', expect.stringContaining(home)]);
    expect(await readdir(home)).toEqual([]);
  });

  test('a write does not follow a link: it replaces it', async () => {
    const target = join(base, 'target');
    await writeFile(target, 'not ours');
    await rm(path);
    await symlink(target, path);
    await writePrivate(path, 'new');
    expect(await readFile(target, 'utf8')).toBe('not ours');
    expect(await readPrivate(path)).toBe('new');
  });

  test('a second name of the file is not written through', async () => {
    await link(path, join(base, 'second'));
    await writePrivate(path, 'new');
    expect(await readFile(join(base, 'second'), 'utf8')).toBe('secret');
  });
});

describe('refused for what it is', () => {
  test('a file too large to be ours', async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(path, Buffer.alloc(1024 * 1024 + 1), { mode: 0o600 });
    expect((await failure(readPrivate(path))).code).toBe('storage_corrupt');
  });

  test('a file where the folder should be', async () => {
    await mkdir(join(base, 'state'), { mode: 0o700 });
    await writeFile(folder, '');
    for (const work of [() => readPrivate(path), () => writePrivate(path, '')]) {
      const error = await failure(work());
      expect([error.code, error.message]).toEqual(['storage_unavailable', `${folder} is not a folder.`]);
    }
  });

  test('a folder where the file should be', async () => {
    await mkdir(path, { recursive: true, mode: 0o700 });
    expect((await failure(writePrivate(path, ''))).message).toMatch(/there is a folder in its place/);
    expect(await readdir(folder)).toEqual(['file']);
  });
});

test('a folder where the system lets nobody make one is an error at once, not an endless attempt', async () => {
  for (const place of [
    ...(existsSync('/proc/self') ? ['/proc/kleis/file', '/proc/kleis/deep/er/file', '/proc/self/kleis/file'] : []),
    '/dev/null/kleis/file',
  ]) {
    const error = await failure(writePrivate(place, ''));
    expect([place, error.code]).toEqual([place, 'storage_unavailable']);
    expect(error.message).toMatch(/^Cannot (?:write|read) .*: /);
  }
});
