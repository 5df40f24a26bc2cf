import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createRequire as requireFrom } from 'node:module';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { thisProcess } from '../surroundings/process.ts';
import type { Report } from '../surroundings/report.ts';
import { readPrivate, removePrivate, writePrivate } from '../files/private-files.ts';

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

/*
 * keytar runs in a process of its own, for three reasons, each seen with libsecret: a call that hangs (a prompt that
 * nobody answers, a stuck daemon) keeps a thread of libuv, and `process.exit` waits for that thread forever; a search in
 * a locked collection ends the process with a segmentation fault; the library writes to stderr. It costs a start of Node
 * (about 80 ms) at a refresh, beside the network, and nothing on the cached path.
 *
 * Secrets go through pipes, not through arguments, which others can see. Signals are ignored, as a Ctrl-C in the terminal reaches
 * this process too and must not lose a token that is being stored; it ends when its stdin does, by SIGKILL because
 * nothing else ends a process with a hung thread.
 */
const helperText = `
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => {});
const answer = (id, fields) => process.stdout.write(JSON.stringify({ id, ...fields }) + '\\n');
let rest = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  const lines = (rest + text).split('\\n');
  rest = lines.pop();
  for (const line of lines) run(JSON.parse(line));
});
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL'));
async function run({ id, call, args }) {
  try {
    answer(id, { value: await require(process.argv[1])[call](...args) });
  } catch (error) {
    answer(id, { error: String(error && error.message) });
  }
}
`;

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

interface Helper {
  send(line: string): void;
  /** Whether this program stays alive for it. */
  hold(on: boolean): void;
  kill(): void;
}

function startHelper(options: KeyringOptions, onLine: (line: string) => void, onEnd: (why: string) => void): Helper {
  // Without what would run other code in it, or slow its start (Node 20 reads NODE_EXTRA_CA_CERTS at each).
  const { NODE_OPTIONS: _, NODE_PATH: __, NODE_EXTRA_CA_CERTS: ___, ...env } = options.env;
  let child: ChildProcessByStdio<Writable, Readable, null>;
  try {
    child = spawn(thisProcess.node, ['-e', options.helper ?? helperText, keytarPath()], {
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
      windowsHide: true,
    });
  } catch (error) {
    if (error instanceof KleisError) throw error;
    throw unavailable(`its helper process does not start (${clean(error)})`);
  }
  let ended = false;
  const end = (why: string) => {
    if (!ended) onEnd(why);
    ended = true;
  };
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  child.on('error', (error) => end(clean(error.message)));
  child.on('exit', (code, signal) => end(String(signal ?? code)));
  // EPIPE says what `exit` says too.
  child.stdin.on('error', () => undefined);
  return {
    send: (line) => child.stdin.write(line),
    hold(on) {
      for (const each of [child, child.stdin, child.stdout]) {
        if (each !== child && !(each instanceof Socket)) continue;
        if (on) each.ref();
        else each.unref();
      }
    },
    kill() {
      ended = true;
      child.kill('SIGKILL');
    },
  };
}

/** Found from here, never from the working directory, where anybody may have put another `keytar`. */
function keytarPath(): string {
  try {
    return requireFrom(import.meta.url).resolve('keytar');
  } catch (cause) {
    throw new KleisError(
      'keyring_unavailable',
      'The keyring cannot be used: the optional package keytar is not installed.',
      {
        hint: 'Install Kleis with its optional dependencies, or use --cache file.',
        cause,
      },
    );
  }
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

function unavailable(why: string): KleisError {
  return new KleisError('keyring_unavailable', `The keyring cannot be used: ${why}.`);
}
