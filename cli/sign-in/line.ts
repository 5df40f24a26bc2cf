import { StringDecoder } from 'node:string_decoder';
import { KleisError } from '../../shared/errors.ts';
import type { Deps } from '../surroundings/deps.ts';

/** Far above the longest code of a known provider. */
const longest = 64 * 1024;

/**
 * What the person pastes, up to the end of the line. Throws `sign_in_cancelled` (Ctrl-C, Ctrl-D, end of input),
 * `sign_in_invalid` (too long), and the signal's reason.
 */
export async function readLine(deps: Deps, signal: AbortSignal): Promise<string> {
  return deps.stdin.isTTY ? readFromTerminal(deps, signal) : readFromPipe(deps, signal);
}

async function readFromPipe({ stdin }: Deps, signal: AbortSignal): Promise<string> {
  return read(stdin, signal, (feed) => {
    let line = '';
    return {
      data(chunk) {
        line += chunk;
        if (line.length > longest) throw new KleisError('sign_in_invalid', 'What was pasted is too long.');
        const end = line.indexOf('\n');
        if (end >= 0) feed(line.slice(0, end));
      },
      end: () => feed(line),
    };
  });
}

/**
 * On a terminal, in raw mode: a canonical line is cut at 4096 bytes, and some codes are longer. The code is a secret
 * until it is used, so dots and a count are shown in its place.
 */
async function readFromTerminal({ stdin, stderr, env }: Deps, signal: AbortSignal): Promise<string> {
  const redraw = env['TERM'] !== 'dumb';
  const write = (text: string) => void (redraw && stderr.write(text));
  const wasRaw = stdin.isRaw;
  stdin.setRawMode(true);
  write('\u001b[?2004h');
  try {
    return await read(stdin, signal, (feed) => {
      const keys = createLineEditor();
      return {
        data(chunk) {
          const done = keys.type(chunk);
          const { length } = keys.text();
          write(`\r\u001b[K${'•'.repeat(Math.min(length, 12))}${length > 12 ? ` ${length} characters` : ''}`);
          if (done === 'cancel') throw new KleisError('sign_in_cancelled', 'The sign-in was cancelled.');
          if (done === 'submit') feed(keys.text());
        },
        end() {
          throw new KleisError('sign_in_cancelled', 'The terminal was closed.');
        },
      };
    });
  } finally {
    write('\u001b[?2004l\r\u001b[K');
    stdin.setRawMode(wasRaw);
  }
}

interface LineEditor {
  type(chunk: string): 'submit' | 'cancel' | undefined;
  text(): string;
}

/** The few keys that matter, and bracketed paste, inside which a line break is part of what was pasted. */
export function createLineEditor(): LineEditor {
  let text = '';
  let pending = '';
  let pasting = false;
  return {
    text: () => text,
    type(chunk) {
      pending += chunk;
      while (pending !== '') {
        // oxlint-disable-next-line no-control-regex -- an escape sequence begins with one
        const [sequence] = /^\u001b(?:\[[0-9;?]*[ -/]*[@-~]|O.|[^[O])/.exec(pending) ?? [];
        if (sequence !== undefined) {
          if (sequence === '\u001b[200~') pasting = true;
          if (sequence === '\u001b[201~') pasting = false;
          pending = pending.slice(sequence.length);
          continue;
        }
        // The rest of a sequence comes with the next chunk.
        if (pending.startsWith('\u001b') && pending.length < 16) return undefined;
        const [key = ''] = pending;
        pending = pending.slice(key.length);
        if (key === '\u0003') return 'cancel';
        if (key === '\u0004') return text === '' ? 'cancel' : 'submit';
        if ((key === '\r' || key === '\n') && !pasting) {
          if (text !== '') return 'submit';
        } else if (key === '\u007f' || key === '\b') text = text.slice(0, -1);
        else if (key === '\u0015' || key === '\u0017') text = '';
        else if (key >= ' ' && text.length < longest) text += key;
      }
      return undefined;
    },
  };
}

interface Reader {
  data(chunk: string): void;
  end(): void;
}

async function read(
  stdin: Deps['stdin'],
  signal: AbortSignal,
  make: (feed: (text: string) => void) => Reader,
): Promise<string> {
  signal.throwIfAborted();
  const decoder = new StringDecoder('utf8');
  const undo: (() => void)[] = [];
  try {
    return await new Promise<string>((resolve, reject) => {
      const reader = make(resolve);
      const guarded = (work: () => void) => {
        try {
          work();
        } catch (error) {
          reject(error);
        }
      };
      const data = (chunk: Buffer | string) =>
        guarded(() => reader.data(typeof chunk === 'string' ? chunk : decoder.write(chunk)));
      const end = () => guarded(() => reader.end());
      const abort = () => reject(signal.reason as Error);
      stdin.on('data', data).once('end', end).once('error', reject);
      signal.addEventListener('abort', abort, { once: true });
      undo.push(() => {
        stdin.off('data', data).off('end', end).off('error', reject);
        signal.removeEventListener('abort', abort);
        stdin.pause();
      });
      stdin.resume();
    });
  } finally {
    for (const step of undo) step();
  }
}
