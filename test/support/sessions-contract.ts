import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startSession } from '../../cli/session/file-format.ts';
import { SessionChanged } from '../../cli/session/contract.ts';
import type { SessionsOptions } from '../../cli/session/store.ts';
import { key, metadata, reveal, sessionBed, settings, tokens } from './sessions.ts';

/**
 * What holds wherever sessions are kept.
 *
 * @param items how many items the keyring holds
 */
export function sessionsContract(
  name: 'file' | 'keyring',
  options: () => Partial<SessionsOptions>,
  items: () => number,
): void {
  const bed = sessionBed();

  afterEach(async () => {
    await bed.open(options()).remove(key);
  });

  test('nobody is signed in at first', async () => {
    expect(await bed.open(options()).load(key)).toBeUndefined();
    expect(await bed.open(options()).list()).toEqual([]);
    expect(await bed.open(options()).remove(key)).toBe(false);
  });

  test('what is saved is loaded, all of it, by another process', async () => {
    const saved = await bed.begin(bed.open(options()));
    expect([saved.generation, saved.storage]).toEqual([1, name]);
    const loaded = await bed.open(options()).load(key);
    expect(reveal(loaded?.tokens)).toEqual(reveal(tokens('one')));
    expect({ ...loaded, tokens: undefined }).toEqual({ ...saved, tokens: undefined });
    expect(loaded?.what).toEqual({
      issuerUrl: 'https://login.example.com',
      clientId: 'kleis',
      scopes: ['openid'],
      audience: undefined,
      resource: 'https://resource.example.com',
      authParams: { acr_values: 'mfa', __proto__x: 'y' },
      account: 'ann',
      identity: 'sso',
      dpop: true,
    });
  });

  test('a refresh replaces the tokens and leaves nothing of the old ones', async () => {
    const store = bed.open(options());
    const first = await bed.begin(store);
    await store.reserve(key);
    const second = await store.save({
      ...first,
      tokens: tokens('two'),
      refreshedAt: bed.now + 1,
      forcedRefreshAt: bed.now,
    });
    expect(second.generation).toBe(2);
    const loaded = await bed.open(options()).load(key);
    expect(reveal(loaded?.tokens)).toEqual(reveal(tokens('two')));
    expect([loaded?.refreshedAt, loaded?.forcedRefreshAt, loaded?.signedInAt]).toEqual([bed.now + 1, bed.now, bed.now]);
    const left = await bed.names();
    expect(left.filter((each) => each.endsWith('.json'))).toEqual([`${key}.2.json`]);
    expect(left.length).toBe(name === 'file' ? 1 : 2);
    expect(items()).toBe(name === 'file' ? 0 : 1);
  });

  test('whoever slept through a rotation cannot put the old refresh token back', async () => {
    const sleeper = bed.open(options());
    await bed.begin(sleeper);
    const asleep = await bed.load(sleeper);
    const other = bed.open(options());
    const awake = await bed.load(other);
    await other.save({ ...awake, tokens: tokens('two') });
    await expect(sleeper.save({ ...asleep, tokens: tokens('old') })).rejects.toBeInstanceOf(SessionChanged);
    await other.save({ ...(await bed.load(other)), tokens: tokens('three') });
    await expect(sleeper.save({ ...asleep, tokens: tokens('old') })).rejects.toBeInstanceOf(SessionChanged);
    expect((await sleeper.load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-three');
  });

  test('whoever slept through a sign-out does not sign in again', async () => {
    const sleeper = bed.open(options());
    const asleep = await bed.begin(sleeper);
    expect(await bed.open(options()).remove(key)).toBe(true);
    await expect(sleeper.save(asleep)).rejects.toBeInstanceOf(SessionChanged);
    expect(await sleeper.load(key)).toBeUndefined();
  });

  test('a new sign-in replaces whatever is there, and keeps the clusters', async () => {
    const store = bed.open(options());
    const first = await bed.begin(store);
    const used = await store.save({ ...first, clusters: ['https://a', 'https://b'] });
    const again = await store.save(startSession(bed.now, key, settings, tokens('new'), metadata, used));
    expect(again).toMatchObject({ generation: 3, clusters: ['https://a', 'https://b'] });
    expect((await store.load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-new');
  });

  test('several accounts are side by side, and one of them can go', async () => {
    const store = bed.open(options());
    const other = 'b'.repeat(64);
    await bed.begin(store);
    await store.save(startSession(bed.now, other, { ...settings, account: 'bob' }, tokens('bob'), metadata));
    const accounts = (await store.list()).map((entry) => ('info' in entry ? entry.info.what.account : undefined));
    expect(accounts).toEqual(['ann', 'bob']);
    await store.remove(other);
    expect((await store.load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-one');
    expect(await store.list()).toHaveLength(1);
  });

  test('tokens of 300 KB survive', async () => {
    const store = bed.open(options());
    await store.save(startSession(bed.now, key, settings, tokens('big', 200_000), metadata));
    expect(reveal((await bed.open(options()).load(key))?.tokens)).toEqual(reveal(tokens('big', 200_000)));
  });

  test('more clusters than are kept: the latest stay', async () => {
    const store = bed.open(options());
    const first = await bed.begin(store);
    const clusters = Array.from({ length: 100 }, (_, index) => `https://c${index}`);
    await store.save({ ...first, clusters });
    expect((await store.load(key))?.clusters).toEqual(clusters.slice(-64));
  });

  test('a description of the provider that is of no use is forgotten, and the session stays', async () => {
    const store = bed.open(options());
    await bed.begin(store);
    const path = join(bed.folder, `${key}.1.json`);
    await writeFile(path, (await readFile(path, 'utf8')).replace('"token_endpoint":"', '"token":"'));
    const loaded = await store.load(key);
    expect(loaded?.provider).toBeUndefined();
    expect(loaded?.tokens.refreshToken?.reveal()).toBe('refresh-one');
  });

  test('list tells who, where and until when, and no token', async () => {
    await bed.begin(bed.open(options()));
    const entries = await bed.open({ ...options(), env: {} }).list();
    expect(entries).toMatchObject([
      {
        key,
        path: join(bed.folder, `${key}.1.json`),
        info: {
          storage: name,
          subject: { sub: 'ann-ø', name: 'Ann "A"' },
          idTokenExpiresAt: bed.now + 3_600_000,
          refreshable: true,
          what: { account: 'ann' },
        },
      },
    ]);
    expect(JSON.stringify(entries)).not.toMatch(/refresh-one|id-one|private/);
  });
}
