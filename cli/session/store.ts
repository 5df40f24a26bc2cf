import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Clock } from '../surroundings/deps.ts';
import type { Report } from '../surroundings/report.ts';
import type { Settings } from '../settings/sign-in.ts';
import {
  maxBytes,
  readPrivate,
  removePrivate,
  reservePrivate,
  type Reservation,
  writePrivate,
} from '../files/private-files.ts';
import { type Claim, type ClaimOptions, takeClaim } from '../files/claim.ts';
import { removeFile } from '../files/draft.ts';
import { ForeignOwner, listPrivate, sweepTemporary } from '../files/private-folder.ts';
import { thisProcess } from '../surroundings/process.ts';
import { SessionChanged, type SessionEntry, type SessionStore } from './contract.ts';
import { type Keyring, openKeyring } from './keyring.ts';
import { chunkSize, planSet, readSet, removeSet, writeSet } from './keyring-items.ts';
import { type SessionFile, type SessionFiles, type SetMark, markOf, scan } from './file-names.ts';
import { decodeSession, encodeSecrets, encodeSession, type KeyringSet, type Session } from './file-format.ts';

export interface SessionsOptions {
  readonly cache: Settings['cache'];
  /** The state folder; without one sessions live as long as the program. */
  readonly dir: string | undefined;
  /** The credential folder, where it is noted that the keyring is open. */
  readonly runtimeDir: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly report: Report;
  readonly clock: Clock;
  readonly background: boolean;
  readonly signal?: AbortSignal;
  /** Another keyring, and how many characters its items take. */
  readonly keyring?: { readonly keyring: Keyring; readonly chunk: number };
}

export function openSessions(options: SessionsOptions): SessionStore {
  const { cache, dir, report } = options;
  if (cache === 'none') return memorySessions();
  if (dir === undefined) {
    return memorySessions(() => report.info(`${notKept} Neither KLEIS_STATE_DIR nor HOME says where it could be.`));
  }
  return new StoredSessions(options, dir);
}

// Others may be quicker as often; more often than this, something else is wrong.
const maxAttempts = 20;

const notKept = 'The session is not kept, so it ends with its token.';
// Room for tokens with many groups in them; a session is 5 to 20 KiB otherwise.
const usualRoom = 64 * 1024;

class StoredSessions implements SessionStore {
  readonly #options: SessionsOptions;
  readonly #dir: string;
  readonly #folder: string;
  readonly #keyring: Keyring;
  readonly #chunk: number;
  /** They may still be on their way to the disk. */
  readonly #rooms = new Map<string, Promise<Reservation>>();
  /** Where the session that was loaded is, or where `reserve` found that it can be. */
  readonly #storage = new Map<string, Session['storage']>();

  constructor(options: SessionsOptions, dir: string) {
    this.#options = options;
    this.#dir = dir;
    this.#folder = join(dir, 'sessions');
    this.#keyring =
      options.keyring?.keyring ??
      openKeyring({
        env: options.env,
        report: options.report,
        background: options.background,
        openMark: options.runtimeDir === undefined ? undefined : join(options.runtimeDir, 'keyring-open'),
        now: () => options.clock.now(),
        signal: options.signal,
      });
    this.#chunk = options.keyring?.chunk ?? chunkSize(thisProcess.platform);
  }

  async load(key: string): Promise<Session | undefined> {
    // What was listed may be superseded before it is read: then the successor is there.
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const newest = await this.#newest(key).catch((error: unknown) => {
        if (this.#isNoPlace(error)) return undefined;
        throw error;
      });
      if (newest === undefined) return undefined;
      const text = await readPrivate(newest.path);
      if (text === undefined) continue;
      const stored = decodeSession(text, key, newest.generation, newest.path);
      if (stored.set === undefined) {
        this.#storage.set(key, 'file');
        return stored.complete();
      }
      if (this.#options.cache === 'file') {
        this.#options.report.info(
          `The session at ${clean(stored.info.what.issuerUrl)} is in the keyring, which --cache file leaves alone.`,
        );
        return undefined;
      }
      const secrets = await readSet(this.#keyring, key, stored.set);
      if (secrets !== undefined) {
        this.#storage.set(key, 'keyring');
        return stored.complete(secrets);
      }
      if ((await this.#newest(key))?.generation !== newest.generation) continue;
      this.#options.report.info(
        `The keyring no longer holds the session at ${clean(stored.info.what.issuerUrl)}: it was removed there.`,
      );
      return undefined;
    }
    throw new SessionChanged();
  }

  async reserve(key: string): Promise<void> {
    await this.#release(key);
    try {
      const room = reservePrivate(this.#folder, usualRoom);
      this.#rooms.set(key, room);
      await room;
    } catch (error) {
      this.#rooms.delete(key);
      // A session that is there must not be lost; where there is none, a token is better than nothing.
      if (!this.#isNoPlace(error) || this.#storage.has(key)) throw error;
      this.#storage.set(key, 'memory');
      this.#options.report.info(`${notKept} ${error.message}`);
      return;
    }
    const { cache } = this.#options;
    if (cache === 'file' || (cache === 'auto' && this.#storage.get(key) === 'file')) return;
    try {
      await this.#keyring.check();
      this.#storage.set(key, 'keyring');
    } catch (error) {
      const mayFallBack = cache === 'auto' && !this.#storage.has(key);
      if (!mayFallBack || !isUnavailable(error)) {
        await this.#release(key);
        throw error;
      }
      await this.#fallBack(key, error);
    }
  }

  async save(session: Session): Promise<Session> {
    const { key } = session;
    if (this.#storage.get(key) === 'memory') return { ...session, storage: 'memory' };
    let room = await (this.#rooms.get(key) ?? reservePrivate(this.#folder, 0));
    this.#rooms.delete(key);
    try {
      for (let attempt = 0; attempt < maxAttempts; attempt++) {
        const newest = await this.#newest(key);
        if (session.generation !== 0 && session.generation !== newest?.generation) throw new SessionChanged();
        const stored = await this.#write({ ...session, generation: (newest?.generation ?? 0) + 1 }, room);
        if (stored !== undefined) return stored;
        if (session.generation !== 0) throw new SessionChanged();
        // A sign-in is newer than whatever came in between.
        room = await reservePrivate(this.#folder, 0);
      }
      throw new SessionChanged();
    } finally {
      await room.release();
    }
  }

  async remove(key: string): Promise<boolean> {
    const { files, marks } = await this.#scan(key);
    try {
      // First: a file that is gone would leave nothing that says what the keyring still holds.
      for (const mark of marks) await removeSet(this.#keyring, key, mark.id, mark.chunks);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      const names = clean(join(this.#folder, `${key}.*`), 400);
      throw new KleisError(error.code, `${error.message} The session was not removed from it.`, {
        hint: `Unlock the keyring and try again. If it is gone for good, remove ${names} by hand.`,
        cause: error,
      });
    }
    for (const each of [...files, ...marks]) await removePrivate(each.path);
    sweepTemporary(this.#folder, this.#options.clock.now());
    this.#storage.delete(key);
    return files.length > 0;
  }

  async list(): Promise<SessionEntry[]> {
    const newest = new Map<string, SessionFile>();
    // In the order of generations, so that the last one of each key stays.
    for (const file of (await this.#scan()).files) newest.set(file.key, file);
    const entries = await Promise.all([...newest.values()].map((file) => describe(file)));
    return entries.filter((entry) => entry !== undefined);
  }

  async claim(key: string, options: ClaimOptions): Promise<Claim | undefined> {
    try {
      return await takeClaim(join(this.#folder, `${key}.claim`), options);
    } catch (error) {
      if (this.#isNoPlace(error)) return undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const key of this.#rooms.keys()) await this.#release(key);
    this.#keyring.close();
  }

  /** Undefined if another process was first. */
  async #write(session: Session, room: Reservation): Promise<Session | undefined> {
    const { key, generation } = session;
    const secrets = encodeSecrets(session.tokens);
    const set = await this.#writeToKeyring(session, secrets);
    const next: Session = { ...session, storage: set === undefined ? 'file' : 'keyring' };
    const path = join(this.#folder, `${key}.${generation}.json`);
    const placed = await room.commit(path, encodeSession(next, set ?? secrets, maxBytes), { exclusive: true });
    const { files, marks } = await this.#scan(key);
    // The names of generations that others have removed are free again: whoever slept through them is not the successor.
    const superseded = files.some((file) => file.generation > generation);
    if (!placed || superseded) {
      if (placed) await removePrivate(path);
      // By its own name: whoever superseded us may have cleared the mark away, before our items were there.
      if (set !== undefined) await this.#dropSets([markOf(this.#folder, key, generation, set)]);
      return undefined;
    }
    this.#storage.set(key, next.storage);
    this.#options.report.debug(
      `The session ${key.slice(0, 12)} was stored (${next.storage}, generation ${generation}).`,
    );
    // The new one is on disk. What cannot be removed now, or comes back after a crash, stays until the next time; it does
    // not count any more.
    for (const file of files) if (file.generation < generation) removeFile(file.path);
    // Not one of our generation or later: someone may be writing it. And no prompt for the sake of tidiness.
    if (set !== undefined) await this.#dropSets(marks.filter((mark) => mark.generation < generation));
    sweepTemporary(this.#folder, this.#options.clock.now());
    return next;
  }

  /** Undefined if the secrets are to be in the file. */
  async #writeToKeyring(session: Session, secrets: string): Promise<KeyringSet | undefined> {
    const { cache } = this.#options;
    const { key, generation } = session;
    if (cache === 'file' || (cache === 'auto' && this.#storage.get(key) === 'file')) return undefined;
    try {
      const id = `${generation}.${randomBytes(6).toString('hex')}`;
      const set = planSet(id, secrets, this.#chunk);
      await writePrivate(markOf(this.#folder, key, generation, set).path, '');
      await writeSet(this.#keyring, key, set, secrets, this.#chunk);
      return set;
    } catch (error) {
      // The keyring took a probe a moment ago, and the provider has taken the old refresh token back: keep the new one.
      if (cache !== 'auto' || !isUnavailable(error)) throw error;
      await this.#fallBack(key, error);
      return undefined;
    }
  }

  async #fallBack(key: string, error: KleisError): Promise<void> {
    this.#storage.set(key, 'file');
    const mark = join(this.#dir, 'keyring-fallback');
    if ((await readPrivate(mark).catch(() => undefined)) !== undefined) return;
    this.#options.report.info(
      `${error.message} Sessions are kept in files that only you can read, in ${clean(this.#folder, 400)}.`,
    );
    await writePrivate(mark, 'The person has been told that sessions are kept in files.\n').catch(() => undefined);
  }

  async #dropSets(marks: readonly SetMark[]): Promise<void> {
    for (const mark of marks) {
      try {
        await removeSet(this.#keyring, mark.key, mark.id, mark.chunks);
        await removePrivate(mark.path);
      } catch {
        // Its mark stays, and with it the knowledge that there is something to remove.
      }
    }
  }

  /** With `auto` nobody has asked for a place that there is not. */
  #isNoPlace(error: unknown): error is KleisError {
    if (this.#options.cache !== 'auto' || !(error instanceof KleisError)) return false;
    return error.code === 'storage_unavailable' || error instanceof ForeignOwner;
  }

  async #release(key: string): Promise<void> {
    const room = this.#rooms.get(key);
    this.#rooms.delete(key);
    await room?.then(
      (taken) => taken.release(),
      () => undefined,
    );
  }

  async #newest(key: string): Promise<SessionFile | undefined> {
    return (await this.#scan(key)).files.at(-1);
  }

  async #scan(key?: string): Promise<SessionFiles> {
    return scan(listPrivate(this.#folder), this.#folder, key);
  }
}

/**
 * For a program that keeps nothing: it has one session at most, and shares it with nobody.
 *
 * @param beforeSignIn says that nothing will be kept, where that is not what was asked for
 */
function memorySessions(beforeSignIn?: () => void): SessionStore {
  let kept: Session | undefined;
  return {
    load: async () => kept,
    reserve: async () => beforeSignIn?.(),
    save: async (session) => (kept = { ...session, storage: 'memory' }),
    async remove() {
      const was = kept;
      kept = undefined;
      return was !== undefined;
    },
    list: async () => [],
    claim: async () => undefined,
    close: async () => undefined,
  };
}

/** Undefined if it was superseded or removed since it was listed. */
async function describe({ key, generation, path }: SessionFile): Promise<SessionEntry | undefined> {
  try {
    const text = await readPrivate(path);
    return text === undefined ? undefined : { key, path, info: decodeSession(text, key, generation, path).info };
  } catch (problem) {
    if (problem instanceof KleisError) return { key, path, problem };
    throw problem;
  }
}

function isUnavailable(error: unknown): error is KleisError {
  return error instanceof KleisError && error.code === 'keyring_unavailable';
}
