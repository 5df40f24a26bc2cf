import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Report } from '../surroundings/report.ts';
import { readPrivate, removePrivate, writePrivate } from '../files/private-files.ts';
import { keyringUnavailable as unavailable } from './contract.ts';
import type { Helper } from './keyring-helper.ts';

/**
 * The operating system's keyring. Every call fails with KleisError `keyring_unavailable` if there is none, if it is
 * locked, or if it does not answer in time; nothing is lost then.
 */
export interface Keyring {
  get(account: string): Promise<string | undefined>;
  set(account: string, value: string): Promise<void>;
  /** False if there was none. */
  remove(account: string): Promise<boolean>;
  /** Proves that it takes a new item now. */
  check(): Promise<void>;
  /** Ends the helper process. Not needed before the program ends: the helper ends with it. */
  close(): void;
}

export interface KeyringOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly report: Report;
  /** Nobody is there to answer a prompt: only a keyring that is known to be open is touched. */
  readonly background: boolean;
  /**
   * A file that says when the keyring last answered. In `$XDG_RUNTIME_DIR`, so that it ends with the login session, which
   * is what opens and closes keyrings.
   */
  readonly openMark: string | undefined;
  /** Milliseconds since the epoch. */
  now(): number;
  /** The helper's program text; another one in tests. */
  readonly helper?: string;
  readonly limits?: Limits;
  /** Aborted when the person has had enough of waiting. */
  readonly signal?: AbortSignal | undefined;
}

interface Limits {
  /** Milliseconds until the person is told what is being waited for. */
  readonly notice: number;
  /** Milliseconds until the keyring counts as unavailable. */
  readonly giveUp: number;
}

// A person needs time to read a prompt and type a password; in the background there is nobody to do so.
const foreground: Limits = { notice: 2_000, giveUp: 60_000 };
const background: Limits = { notice: Infinity, giveUp: 2_000 };

// A working day. A keyring that was locked in between costs a prompt that somebody did not ask for, and no more.
const staysOpen = 8 * 3_600_000;

const service = 'kleis';

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

export function openKeyring(options: KeyringOptions): Keyring {
  const { report } = options;
  const limits = options.limits ?? (options.background ? background : foreground);
  const pending = new Map<number, Pending>();
  let helper: Helper | undefined;
  let failure: KleisError | undefined;
  let noticed = false;
  let calls = 0;
  let known: boolean | undefined;

  // Once it has failed to answer it is not asked again in this run: each call would wait as long as the first.
  const giveUp = (error: KleisError) => {
    failure ??= error;
    helper?.kill();
    helper = undefined;
    for (const call of pending.values()) call.reject(failure);
    pending.clear();
  };

  // Not at once: an answer that is on its way may be that a token has been stored.
  options.signal?.addEventListener('abort', () => {
    setTimeout(() => {
      if (pending.size > 0) giveUp(unavailable('the wait for it was interrupted'));
    }, 1_000).unref();
  });

  const answer = (line: string) => {
    const reply = parseReply(line);
    const call = pending.get(reply.id);
    pending.delete(reply.id);
    if (reply.error === undefined) call?.resolve(reply.value);
    else call?.reject(refusal(reply.error));
  };

  const ask = async (call: string, ...args: string[]): Promise<unknown> => {
    if (failure !== undefined) throw failure;
    if (options.background) {
      known ??= await isKnownOpen(options);
      if (!known) throw unavailable('this run may not wake it, and nobody has used it lately');
    }
    const { startHelper } = await import('./keyring-helper.ts');
    if (failure !== undefined) throw failure;
    helper ??= startHelper(options, answer, (why) => giveUp(unavailable(`its helper process ended (${why})`)));
    const id = ++calls;
    const notice = setTimeout(
      () => {
        if (!noticed) report.info('Waiting for the keyring. It may be asking for its password in another window.');
        noticed = true;
      },
      Math.min(limits.notice, 2 ** 31 - 1),
    );
    const end = setTimeout(() => {
      giveUp(unavailable(`it did not answer within ${Math.round(limits.giveUp / 1000)} s`));
    }, limits.giveUp);
    helper.hold(true);
    try {
      const value = await new Promise<unknown>((resolve, reject) => {
        pending.set(id, { resolve, reject });
        helper?.send(`${JSON.stringify({ id, call, args: [service, ...args] })}\n`);
      });
      // A value or a write: what a locked Secret Service never gives.
      if (typeof value === 'string' || call === 'setPassword') await rememberOpen(true);
      return value;
    } catch (error) {
      await rememberOpen(false);
      throw error;
    } finally {
      clearTimeout(notice);
      clearTimeout(end);
      if (pending.size === 0) helper?.hold(false);
    }
  };

  let remembered: boolean | undefined;
  const rememberOpen = async (open: boolean) => {
    const { openMark } = options;
    if (openMark === undefined || remembered === open) return;
    remembered = open;
    // Without the mark a refresh in the background is left to the next run in the foreground: nothing to stop for.
    await (open ? writePrivate(openMark, String(options.now())) : removePrivate(openMark)).catch(() => undefined);
  };

  const check = async () => {
    // Only a write tells: a locked Secret Service answers a read with "no such item".
    await ask('setPassword', probe, 'probe');
    await ask('deletePassword', probe);
  };

  return {
    async get(account) {
      const value = await ask('getPassword', account);
      if (typeof value === 'string') return value;
      await check();
      return undefined;
    },
    async set(account, value) {
      await ask('setPassword', account, value);
    },
    async remove(account) {
      if ((await ask('deletePassword', account)) === true) return true;
      await check();
      return false;
    },
    check,
    close() {
      giveUp(unavailable('it was closed'));
    },
  };
}

const probe = 'probe';

/** Whatever else stands on the helper's stdout (GLib's messages with G_MESSAGES_DEBUG) answers no call. */
function parseReply(line: string): { id: number; value?: unknown; error?: string } {
  let reply: unknown;
  try {
    reply = JSON.parse(line);
  } catch {
    reply = undefined;
  }
  if (typeof reply !== 'object' || reply === null || !('id' in reply) || typeof reply.id !== 'number') return { id: 0 };
  if ('error' in reply) return { id: reply.id, error: String(reply.error) };
  return { id: reply.id, value: 'value' in reply ? reply.value : undefined };
}

async function isKnownOpen(options: KeyringOptions): Promise<boolean> {
  if (options.openMark === undefined) return false;
  const text = await readPrivate(options.openMark).catch(() => undefined);
  const age = options.now() - Number(text ?? NaN);
  return age >= 0 && age < staysOpen;
}

// The words of libsecret and of macOS (errSecInteractionNotAllowed, errSecAuthFailed).
const lockedWords = /locked|dismissed|interaction is not allowed|passphrase you entered is not correct/i;

function refusal(message: string): KleisError {
  if (lockedWords.test(message)) {
    return new KleisError('keyring_unavailable', 'The keyring is locked.', {
      hint: 'Unlock it (sign in to the desktop, or open its passwords program) and try again, or use --cache file.',
      detail: clean(message),
    });
  }
  if (/Failed to load keytar/.test(message)) {
    return new KleisError('keyring_unavailable', 'The keyring cannot be used: its library does not load.', {
      hint: 'On Linux install libsecret (the package libsecret-1-0 or libsecret), or use --cache file.',
      detail: clean(message),
    });
  }
  return unavailable(clean(message));
}
