import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire as requireFrom } from 'node:module';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { thisProcess } from '../surroundings/process.ts';
import { keyringUnavailable as unavailable } from './contract.ts';
import { helperName, helperText } from './keyring-process.ts';

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

export interface Helper {
  send(line: string): void;
  /** Whether this program stays alive for it. */
  hold(on: boolean): void;
  kill(): void;
}

interface HelperOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The program text; another one in tests. */
  readonly helper?: string;
}

/** Throws `keyring_unavailable`. */
export function startHelper(
  options: HelperOptions,
  onLine: (line: string) => void,
  onEnd: (why: string) => void,
): Helper {
  // Without what would run other code in it, or slow its start (Node 20 reads NODE_EXTRA_CA_CERTS at each).
  const { NODE_OPTIONS: _, NODE_PATH: __, NODE_EXTRA_CA_CERTS: ___, ...env } = options.env;
  let child: ChildProcessByStdio<Writable, Readable, null>;
  try {
    const { args, argv0 } = helperCommand(options.helper);
    child = spawn(thisProcess.node, args, {
      argv0,
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

/** Node with the text; the standalone executable has it in itself, under another name. */
function helperCommand(text = `const load = () => require(process.argv[1]);${helperText}`): {
  readonly args: readonly string[];
  readonly argv0?: string;
} {
  const { standalone } = thisProcess;
  if (standalone === undefined) return { args: ['-e', text, keytarPath()] };
  const path = join(standalone, 'lib', 'keytar.node');
  if (existsSync(path)) return { args: [path], argv0: helperName };
  throw new KleisError('keyring_unavailable', `The keyring cannot be used: there is no ${clean(path, 400)}.`, {
    hint: 'Put the folder `lib` of the archive beside kleis, or use --cache file.',
  });
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
