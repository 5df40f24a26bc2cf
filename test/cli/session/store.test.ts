import type { ClaimOptions } from '../../../cli/files/claim.ts';
import { chmod, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Keyring } from '../../../cli/session/keyring.ts';
import { startSession } from '../../../cli/session/file-format.ts';
import { KleisError } from '../../../shared/errors.ts';
import { failure } from '../../support/failure.ts';
import { sessionsContract } from '../../support/sessions-contract.ts';
import { key, metadata, sessionBed, settings, tokens } from '../../support/sessions.ts';

describe('sessions in files', () => {
  sessionsContract(
    'file',
    () => ({ cache: 'file' }),
    () => 0,
  );
});

const bed = sessionBed();

function path(): string {
  return join(bed.folder, `${key}.1.json`);
}

describe('a session file that cannot be used', () => {
  test.each([
    ['nothing', ''],
    ['no JSON, with a token in it', '{"refreshToken":"refresh-one'],
    ['another kind of JSON', '[]'],
    ['another version', '{"version":2}'],
    ['another session', '{"version":1,"key":"b","generation":1}'],
    ['half of the fields', `{"version":1,"key":"${key}","generation":1,"what":{}}`],
  ])('%s: is named, listed, and replaced by the next sign-in', async (_, text) => {
    const store = bed.open();
    await bed.begin(store);
    await writeFile(path(), text);
    const error = await failure(store.load(key));
    expect(error.code).toBe('storage_corrupt');
    expect(error.message).toContain(path());
    expect(`${error.message} ${error.detail}`).not.toContain('refresh-one');
    expect(await store.list()).toMatchObject([{ key, problem: { code: 'storage_corrupt' } }]);
    await store.save(startSession(bed.now, key, settings, tokens('two'), metadata));
    expect((await store.load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-two');
  });

  test('values out of their bounds are not taken', async () => {
    const store = bed.open();
    await bed.begin(store);
    const good = await readFile(path(), 'utf8');
    const bad = [
      good.replace('"signedInAt":1700000000000', '"signedInAt":1e300'),
      good.replace('"signedInAt":1700000000000', '"signedInAt":-1'),
      good.replace('"signedInAt":1700000000000', '"signedInAt":"1"'),
      good.replace('"clusters":[]', `"clusters":[${'"a",'.repeat(99)}"a"]`),
      good.replace('"clusters":[]', '"clusters":[{}]'),
      good.replace('"identity":"sso"', '"identity":"root"'),
      good.replace('"refreshToken":"refresh-one"', '"refreshToken":{}'),
      good.replace('"dpop":true', '"dpop":1'),
    ];
    for (const text of bad) {
      expect(text).not.toBe(good);
      await writeFile(path(), text);
      expect((await failure(store.load(key))).code).toBe('storage_corrupt');
    }
  });

  test('one that others can read is refused, and listed as such', async () => {
    const store = bed.open();
    await bed.begin(store);
    await chmod(path(), 0o644);
    const error = await failure(store.load(key));
    expect(error.code).toBe('storage_unsafe');
    expect(error.message).toContain(path());
    expect(await store.list()).toMatchObject([{ key, problem: { code: 'storage_unsafe' } }]);
  });

  test('one that was renamed to another session is not taken for it', async () => {
    const store = bed.open();
    await bed.begin(store);
    const other = 'c'.repeat(64);
    await rename(path(), join(bed.folder, `${other}.1.json`));
    expect((await failure(store.load(other))).message).toMatch(/renamed or copied/);
  });
});

const claimOptions: ClaimOptions = {
  deps: { clock: { now: Date.now, sleep: async () => undefined }, pid: 1, signal: new AbortController().signal },
  deadline: 1000,
  purpose: 'testing',
};

describe('without a place to keep things', () => {
  test.each([{ cache: 'none' as const }, { dir: undefined }])(
    '%j: a session lives as long as the program',
    async (options) => {
      const store = bed.open(options);
      await store.reserve(key);
      const saved = await bed.begin(store);
      expect(saved.storage).toBe('memory');
      expect((await store.load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-one');
      expect(await store.claim(key, claimOptions)).toBeUndefined();
      expect(await readdir(bed.base)).toEqual([]);
      expect(await bed.open(options).load(key)).toBeUndefined();
    },
  );
});

describe('with --cache auto and no keyring', () => {
  const auto = { cache: 'auto' as const, env: {} };

  test('the file is used, and the person is told once, on one line', async () => {
    const saved = await bed.begin(bed.open(auto));
    expect(saved.storage).toBe('file');
    expect(bed.said).toHaveLength(1);
    expect(bed.said[0]).toMatch(
      /^The keyring cannot be used: .* Sessions are kept in files that only you can read, in .*sessions\.$/,
    );
    const store = bed.open(auto);
    await store.reserve(key);
    await bed.begin(store, 'two');
    await bed.open(auto).save(startSession(bed.now, 'd'.repeat(64), settings, tokens('x'), metadata));
    expect(bed.said).toHaveLength(1);
  });

  test('a session that is in a file stays there without asking the keyring again', async () => {
    const first = await bed.begin(bed.open({ cache: 'file' }));
    const store = bed.open({ ...auto, keyring: { keyring: brokenKeyring(), chunk: 100 } });
    const loaded = await store.load(key);
    await store.reserve(key);
    expect((await store.save({ ...(loaded ?? first), tokens: tokens('two') })).storage).toBe('file');
    expect(bed.said).toEqual([]);
  });

  test('with --cache keyring it is an error, and nothing is written', async () => {
    const store = bed.open({ cache: 'keyring', env: {} });
    expect((await failure(store.reserve(key))).code).toBe('keyring_unavailable');
    expect((await failure(bed.begin(store))).code).toBe('keyring_unavailable');
    expect((await bed.names()).filter((name) => !name.endsWith('.set'))).toEqual([]);
  });
});

describe('when the keyring fails between the probe and the write', () => {
  test('auto keeps the new tokens in the file: the provider has taken the old ones back', async () => {
    const store = bed.open({
      cache: 'auto',
      keyring: { keyring: brokenKeyring({ check: async () => undefined }), chunk: 100 },
    });
    await store.reserve(key);
    expect((await bed.begin(store)).storage).toBe('file');
    expect((await bed.open().load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-one');
    expect(bed.said).toHaveLength(1);
  });
});

describe('room for a session', () => {
  test('that was reserved and not used is given back', async () => {
    const store = bed.open();
    await store.reserve(key);
    await store.reserve(key);
    expect(await bed.names()).toHaveLength(1);
    await store.close();
    expect(await bed.names()).toEqual([]);
  });

  test('is what save uses', async () => {
    const store = bed.open();
    await store.reserve(key);
    await bed.begin(store);
    expect(await bed.names()).toEqual([`${key}.1.json`]);
  });
});

async function fail(): Promise<never> {
  throw new KleisError('keyring_unavailable', 'The keyring cannot be used: it is broken.');
}

function brokenKeyring(working: Partial<Keyring> = {}): Keyring {
  return { get: fail, set: fail, remove: fail, check: fail, close: () => undefined, ...working };
}
