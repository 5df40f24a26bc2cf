import { KleisError } from '../../shared/errors.ts';
import type { Claim, ClaimOptions } from '../files/claim.ts';
import type { Session, SessionInfo } from './file-format.ts';

/** A session as `kleis status` shows it; `problem` for a file that cannot be used. */
export type SessionEntry =
  | { readonly key: string; readonly path: string; readonly info: SessionInfo }
  | { readonly key: string; readonly path: string; readonly problem: KleisError };

export interface SessionStore {
  /**
   * @returns undefined if nobody is signed in; when that is a surprise, the reason has been reported
   * @throws KleisError `storage_unsafe`, `storage_corrupt`, `storage_unavailable`, `keyring_unavailable`
   */
  load(key: string): Promise<Session | undefined>;
  /**
   * Proves that `save` will succeed, by taking the room; to be called before a refresh token is spent.
   *
   * @throws KleisError `storage_unavailable`, `storage_unsafe`, `keyring_unavailable`; nothing has been lost then
   */
  reserve(key: string): Promise<void>;
  /**
   * Stores the session as the successor of the generation that was loaded; one from `startSession` replaces whatever there is. On
   * return it is on disk, and only then the earlier one is removed.
   *
   * @returns the session with its new generation
   * @throws SessionChanged if another process has stored a successor, or removed the session, in the meantime
   * @throws KleisError `storage_unavailable`, `storage_unsafe`, `keyring_unavailable`
   */
  save(session: Session): Promise<Session>;
  /**
   * False if there was none.
   *
   * @throws KleisError `keyring_unavailable` if its secrets are in a keyring that is locked: nothing has been removed then
   */
  remove(key: string): Promise<boolean>;
  /** All sessions, without opening the keyring. */
  list(): Promise<SessionEntry[]>;
  /**
   * The right to change the session, once nobody else has it. Undefined where nothing is kept, so that there is nothing to
   * share.
   *
   * @throws KleisError as `takeClaim`
   */
  claim(key: string, options: ClaimOptions): Promise<Claim | undefined>;
  /** Gives back the room that was not used. */
  close(): Promise<void>;
}

/** The session on disk is not the one that was loaded. The tokens on disk are the newer ones: load again. */
export class SessionChanged extends KleisError {
  constructor() {
    super('claim_held', 'Another process has changed this session in the meantime.', {
      hint: 'Run the command again.',
    });
  }
}

export function keyringUnavailable(why: string): KleisError {
  return new KleisError('keyring_unavailable', `The keyring cannot be used: ${why}.`);
}
