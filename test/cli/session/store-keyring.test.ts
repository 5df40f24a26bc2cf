import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Keyring, openKeyring } from '../../../cli/session/keyring.ts';
import type { SessionsOptions } from '../../../cli/session/store.ts';
import { KleisError } from '../../../shared/errors.ts';
import { failure } from '../../support/failure.ts';
import { needs } from '../../support/needs.ts';
import { type SecretService, startSecretService } from '../../support/secret-service.ts';
import { sessionsContract } from '../../support/sessions-contract.ts';
import { key, reportTo, sessionBed, tokens } from '../../support/sessions.ts';

let service: SecretService;

function real(): Partial<SessionsOptions> {
  return { cache: 'keyring', env: service.env };
}

function directly(): Keyring {
  return openKeyring({ env: service.env, report: reportTo([]), background: false, openMark: undefined, now: Date.now });
}

/** The real keyring, until so many items have been written. */
function dying(writes: number): Keyring {
  const direct = directly();
  let left = writes;
  return {
    ...direct,
    async set(account, value) {
      if (left-- === 0) {
        direct.close();
        throw new KleisError('unexpected', 'killed');
      }
      await direct.set(account, value);
    },
  };
}

describe.skipIf(!needs('secret-service'))('sessions in the real keyring', () => {
  beforeAll(async () => {
    service = await startSecretService();
  });

  afterAll(() => service.stop());

  describe('as everywhere', () => {
    sessionsContract('keyring', real, () => service.labels().length);
  });

  describe('and', () => {
    const bed = sessionBed();
    sessionsInKeyring(bed);
  });

  test('nothing is left in it', () => {
    expect(service.labels()).toEqual([]);
  });
});

function sessionsInKeyring(bed: ReturnType<typeof sessionBed>): void {
  test('no secret is in a file', async () => {
    await bed.begin(bed.open(real()));
    for (const name of await bed.names()) {
      expect(await readFile(join(bed.folder, name), 'utf8')).not.toMatch(/refresh-one|id-one|private/);
    }
    await bed.open(real()).remove(key);
    expect(await bed.names()).toEqual([]);
  });

  test('auto uses it, and says nothing', async () => {
    expect((await bed.begin(bed.open({ ...real(), cache: 'auto' }))).storage).toBe('keyring');
    expect(bed.said).toEqual([]);
    await bed.open(real()).remove(key);
  });

  test('a locked keyring: said so, nobody is signed out, nothing is lost or left behind', async () => {
    const auto = { ...real(), cache: 'auto' as const };
    await bed.begin(bed.open(auto));
    service.lock();
    try {
      const works = [
        () => bed.open(auto).load(key),
        () => bed.open(auto).remove(key),
        () => bed.open(real()).reserve(key),
      ];
      for (const work of works) {
        const error = await failure(work());
        expect(error.code).toBe('keyring_unavailable');
        expect(error.message).toMatch(/^The keyring is locked\./);
      }
      expect(await bed.open(auto).list()).toMatchObject([{ key, info: { storage: 'keyring' } }]);
    } finally {
      await service.unlock();
    }
    expect((await bed.open(auto).load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-one');
    await bed.open(auto).remove(key);
  });

  test('a session whose item was removed there counts as signed out, with the reason', async () => {
    await bed.begin(bed.open(real()));
    const direct = directly();
    const [mark = ''] = (await bed.names()).filter((name) => name.endsWith('.set'));
    expect(await direct.remove(`${mark.split('.').slice(0, 3).join('.')}#0`)).toBe(true);
    direct.close();
    expect(await bed.open(real()).load(key)).toBeUndefined();
    expect(bed.said).toEqual([
      'The keyring no longer holds the session at https://login.example.com: it was removed there.',
    ]);
    await bed.open(real()).remove(key);
  });

  test('--cache file leaves it alone, says why, and starts anew', async () => {
    await bed.begin(bed.open(real()));
    const store = bed.open({ cache: 'file', env: {} });
    expect(await store.load(key)).toBeUndefined();
    expect(bed.said).toHaveLength(1);
    expect((await bed.begin(store, 'two')).storage).toBe('file');
    expect((await bed.open(real()).load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-two');
    await bed.open(real()).remove(key);
  });

  test('--cache keyring moves a session out of its file', async () => {
    await bed.begin(bed.open());
    const store = bed.open(real());
    expect((await store.save(await bed.load(store))).storage).toBe('keyring');
    expect((await bed.names()).filter((name) => name.endsWith('.json'))).toEqual([`${key}.2.json`]);
    expect(await readFile(join(bed.folder, `${key}.2.json`), 'utf8')).not.toContain('refresh-one');
    await store.remove(key);
  });

  test('what a process that was killed while writing left in the keyring is removed by the next', async () => {
    const store = bed.open(real());
    const first = await bed.begin(store);
    const broken = bed.open({ cache: 'keyring', keyring: { keyring: dying(1), chunk: 100 } });
    await failure(broken.save({ ...first, tokens: tokens('lost') }));
    expect(service.labels()).toHaveLength(2);
    expect((await store.load(key))?.tokens.refreshToken?.reveal()).toBe('refresh-one');
    const second = await store.save({ ...first, tokens: tokens('two') });
    await store.save({ ...second, tokens: tokens('three') });
    expect(service.labels()).toHaveLength(1);
    await store.remove(key);
  });

  test('in the background a keyring that was not used lately is left alone', async () => {
    await bed.begin(bed.open(real()));
    bed.now += 9 * 3_600_000;
    const error = await failure(bed.open({ ...real(), background: true }).load(key));
    expect(error.code).toBe('keyring_unavailable');
    await bed.open(real()).load(key);
    expect((await bed.open({ ...real(), background: true }).load(key))?.generation).toBe(1);
    await bed.open(real()).remove(key);
  });
}
