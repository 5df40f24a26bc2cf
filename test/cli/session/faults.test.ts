import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Keyring } from '../../../cli/session/keyring.ts';
import { SessionChanged, type SessionStore } from '../../../cli/session/contract.ts';
import { bundle } from '../../support/bundle.ts';
import { failure } from '../../support/failure.ts';
import { needs } from '../../support/needs.ts';
import { type SecretService, startSecretService } from '../../support/secret-service.ts';
import { key, sessionBed, tokens } from '../../support/sessions.ts';

const bed = sessionBed();
let writer: string;

beforeAll(async () => {
  writer = await bundle('test/support/session-writer.ts');
});

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

function startWriter(mode: string, cache = 'file', env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [writer, mode, join(bed.base, 'state'), cache], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  started.push(child);
  return { child, lines: createInterface({ input: child.stdout }) };
}

/** Kills a writer at some moment; gives the last generation that it said was saved. */
async function killInTheMiddle(cache: string, env: Readonly<Record<string, string>>): Promise<number> {
  const { child, lines } = startWriter('loop', cache, env);
  let saved = 0;
  lines.on('line', (line) => (saved = Number(line)));
  await once(lines, 'line');
  await sleep(Math.random() * 40);
  child.kill('SIGKILL');
  await once(child, 'close');
  return saved;
}

describe('a process that is killed while it saves', () => {
  test('leaves the old session or the new one, and never loses one that was saved', async () => {
    await bed.begin(bed.open());
    for (let round = 0; round < 20; round++) {
      const saved = await killInTheMiddle('file', {});
      const session = await bed.load(bed.open());
      expect(session.generation).toBeGreaterThanOrEqual(saved);
      expect(session.tokens.refreshToken?.reveal()).toBe(`refresh-${session.generation}`);
      expect(session.tokens.idToken?.reveal()).toBe(`refresh-${session.generation}.`.repeat(2000));
    }
  }, 60_000);

  describe.skipIf(!needs('secret-service'))('with the real keyring', () => {
    let service: SecretService;

    beforeAll(async () => {
      service = await startSecretService();
    });

    afterAll(() => service.stop());

    test('leaves the old session or the new one, and what it left in the keyring is removed with it', async () => {
      const options = { cache: 'keyring' as const, env: service.env };
      await bed.begin(bed.open(options));
      for (let round = 0; round < 8; round++) {
        const saved = await killInTheMiddle('keyring', service.env);
        const session = await bed.load(bed.open(options));
        expect(session.generation).toBeGreaterThanOrEqual(saved);
        expect(session.tokens.refreshToken?.reveal()).toBe(`refresh-${session.generation}`);
      }
      await bed.open(options).remove(key);
      // The probe is no secret, and the next check takes it away.
      expect(service.labels().filter((label) => !label.includes('probe'))).toEqual([]);
    }, 60_000);
  });
});

describe('twenty processes that save at once', () => {
  test('one of them makes each generation, and the others are told', async () => {
    await bed.begin(bed.open());
    const writers = Array.from({ length: 20 }, () => startWriter('race'));
    const all = async (word?: string) => {
      const answers = writers.map(async ({ lines }) => String(await once(lines, 'line')));
      if (word !== undefined) for (const { child } of writers) child.stdin.write(`${word}\n`);
      return Promise.all(answers);
    };
    await all();
    for (let generation = 2; generation <= 5; generation++) {
      expect((await all('go')).filter((answer) => answer === 'won')).toHaveLength(1);
      await all('load');
      const session = await bed.load(bed.open());
      expect(session.generation).toBe(generation);
      expect(session.tokens.refreshToken?.reveal()).toBe(`refresh-${generation}`);
    }
    expect(await bed.names()).toEqual([`${key}.5.json`]);
  }, 60_000);
});

describe('whoever reads while others save', () => {
  test('finds one generation or the next, and never that nobody is signed in', async () => {
    await bed.begin(bed.open());
    const { lines } = startWriter('loop');
    await once(lines, 'line');
    let latest = 0;
    for (let read = 0; read < 500; read++) {
      const { generation } = await bed.load(bed.open());
      expect(generation).toBeGreaterThanOrEqual(latest);
      latest = generation;
    }
    expect(latest).toBeGreaterThan(1);
  }, 60_000);

  test('finds the next one when the items of this one are gone from the keyring', async () => {
    const items = new Map<string, string>();
    const first = await bed.begin(openWith(items));
    let rotated = false;
    const reading = openWith(items, {
      async get(account) {
        if (!rotated) await openWith(items).save({ ...first, tokens: tokens('two') });
        rotated = true;
        return items.get(account);
      },
    });
    expect((await bed.load(reading)).tokens.refreshToken?.reveal()).toBe('refresh-two');
    expect(bed.said).toEqual([]);
  });
});

describe('a process that is stopped in the middle of a save', () => {
  test('does not take the place of a generation that has come and gone', async () => {
    const items = new Map<string, string>();
    const first = await bed.begin(openWith(items));
    const stopped = openWith(items, {
      async set(account, value) {
        const other = openWith(items);
        await other.save({ ...(await bed.load(other)), tokens: tokens('two') });
        await other.save({ ...(await bed.load(other)), tokens: tokens('three') });
        items.set(account, value);
      },
    });
    await expect(stopped.save({ ...first, tokens: tokens('late') })).rejects.toBeInstanceOf(SessionChanged);
    expect((await bed.load(openWith(items))).tokens.refreshToken?.reveal()).toBe('refresh-three');
    expect(items.size).toBe(1);
    expect(await bed.names()).toHaveLength(2);
  });
});

/** A keyring in memory, so that something can happen between two of its calls. */
function openWith(items: Map<string, string>, calls: Partial<Keyring> = {}): SessionStore {
  const keyring: Keyring = {
    get: async (account) => items.get(account),
    set: async (account, value) => void items.set(account, value),
    remove: async (account) => items.delete(account),
    check: async () => undefined,
    close: () => undefined,
    ...calls,
  };
  return bed.open({ cache: 'keyring', keyring: { keyring, chunk: 1000 } });
}

function disk(): string {
  return join(bed.base, 'disk');
}

function storeOnDisk(): SessionStore {
  return bed.open({ dir: join(disk(), 'state') });
}

async function mountDisk(): Promise<void> {
  await mkdir(disk());
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'tmpfs', disk()]);
}

async function fillDisk(): Promise<void> {
  await expect(writeFile(join(disk(), 'filler'), Buffer.alloc(1 << 20))).rejects.toMatchObject({ code: 'ENOSPC' });
}

describe.skipIf(!needs('mount'))('a disk that is full', () => {
  afterEach(() => {
    execFileSync('umount', ['-l', disk()]);
  });

  test('is found out before the refresh token is spent, says so, and the session stays', async () => {
    await mountDisk();
    await bed.begin(storeOnDisk());
    await fillDisk();
    const error = await failure(storeOnDisk().reserve(key));
    expect(error.code).toBe('storage_unavailable');
    expect(error.message).toMatch(/Cannot write .*disk\/state\/sessions: no space is left on the device\./);
    const session = await bed.load(storeOnDisk());
    expect((await failure(storeOnDisk().save({ ...session, tokens: tokens('two') }))).code).toBe('storage_unavailable');
    expect((await bed.load(storeOnDisk())).tokens.refreshToken?.reveal()).toBe('refresh-one');
    expect(await readdir(join(disk(), 'state', 'sessions'))).toEqual([`${key}.1.json`]);
    await rm(join(disk(), 'filler'));
    await storeOnDisk().save({ ...session, tokens: tokens('two') });
  });

  test('after the room was taken, changes nothing: the new tokens have their place', async () => {
    await mountDisk();
    const refreshing = storeOnDisk();
    const session = await bed.begin(refreshing);
    await refreshing.reserve(key);
    await fillDisk();
    await refreshing.save({ ...session, tokens: tokens('two', 20_000) });
    expect((await bed.load(storeOnDisk())).tokens.refreshToken?.reveal()).toBe('refresh-two');
  });
});

describe.skipIf(!needs('mount'))('a home that is read-only', () => {
  afterEach(() => {
    execFileSync('umount', ['-l', bed.folder]);
  });

  test('is found out before the refresh token is spent, says so, and the session can still be read', async () => {
    await bed.begin(bed.open());
    execFileSync('mount', ['--bind', bed.folder, bed.folder]);
    execFileSync('mount', ['-o', 'remount,bind,ro', bed.folder]);
    const error = await failure(bed.open().reserve(key));
    expect(error.code).toBe('storage_unavailable');
    expect(error.message).toBe(`Cannot write ${bed.folder}: the file system is read-only.`);
    expect((await bed.load(bed.open())).tokens.refreshToken?.reveal()).toBe('refresh-one');
    expect((await failure(bed.open().remove(key))).message).toMatch(/^Cannot remove .* read-only\.$/);
  });
});

describe.skipIf(!needs('mount'))('a folder that may not be changed', () => {
  afterEach(() => {
    spawnSync('chattr', ['-i', bed.folder]);
  });

  test('is found out before the refresh token is spent', async (context) => {
    await bed.begin(bed.open());
    context.skip(spawnSync('chattr', ['+i', bed.folder]).status !== 0, 'this file system knows no immutable folders');
    const error = await failure(bed.open().reserve(key));
    expect(error.code).toBe('storage_unavailable');
    expect(error.message).toMatch(/does not permit it \(the file or folder may be immutable\)/);
    expect((await bed.load(bed.open())).tokens.refreshToken?.reveal()).toBe('refresh-one');
  });
});

describe('a successor whose predecessor cannot be removed', () => {
  test('counts all the same', async () => {
    const store = bed.open();
    const first = await bed.begin(store);
    const path = join(bed.folder, `${key}.1.json`);
    const old = await readFile(path, 'utf8');
    await store.save({ ...first, tokens: tokens('two') });
    await writeFile(path, old, { mode: 0o600 });
    expect((await bed.load(bed.open())).tokens.refreshToken?.reveal()).toBe('refresh-two');
    expect(await bed.open().list()).toHaveLength(1);
    await store.remove(key);
    expect(await bed.names()).toEqual([]);
  });
});
