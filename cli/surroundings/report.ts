import { inspect, styleText } from 'node:util';
import { useColour } from '../../shared/colour.ts';
import { widthOf } from '../../shared/table.ts';
import { fold } from '../../shared/text.ts';
import type { WriteStream } from 'node:tty';
import type { KleisError } from '../../shared/errors.ts';

export const logLevels = ['silent', 'error', 'info', 'debug'] as const;
export type LogLevel = (typeof logLevels)[number];

export function isLogLevel(value: string): value is LogLevel {
  return (logLevels as readonly string[]).includes(value);
}

/** What a person reads while the program runs. Everything goes to stderr: stdout belongs to results. */
export interface Report {
  readonly level: LogLevel;
  setLevel(level: LogLevel): void;
  /** Something the person wants to know or must do. */
  info(text: string): void;
  warn(text: string): void;
  /** On a terminal, once for each host: it takes its time. */
  waiting(host: string): void;
  /** For `--verbose`. Fields are printed with `inspect`, so a `Secret` prints `[redacted]`; never pass a bare token. */
  debug(text: string, fields?: Readonly<Record<string, unknown>>): void;
  error(error: KleisError): void;
}

export function createReport(
  stderr: WriteStream,
  env: Readonly<Record<string, string | undefined>>,
  initial: LogLevel = 'info',
): Report {
  let level = initial;
  const waitedFor = new Set<string>();
  const colour = useColour(stderr, env);
  const paint = (format: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(format, text, { validateStream: false }) : text;
  /** Behind a word of so many columns, which it stands below from the second line on. */
  const prose = (text: string, before = 0) => fold(' '.repeat(before) + text, widthOf(stderr)).slice(before);
  const write = (needed: LogLevel, text: string) => {
    if (logLevels.indexOf(level) >= logLevels.indexOf(needed)) stderr.write(`${text}\n`);
  };
  return {
    get level() {
      return level;
    },
    setLevel(next) {
      level = next;
    },
    info: (text) => write('info', prose(text)),
    warn: (text) => write('info', `${paint('yellow', 'warning:')} ${prose(text, 9)}`),
    waiting(host) {
      if (!stderr.isTTY || waitedFor.has(host)) return;
      waitedFor.add(host);
      write('info', `Waiting for ${host} …`);
    },
    debug(text, fields) {
      const rest = fields === undefined ? '' : ` ${inspect(fields, { breakLength: Infinity, depth: 3 })}`;
      write('debug', paint('dim', `debug: ${text}${rest}`));
    },
    error(error) {
      write('error', `${paint('red', 'error:')} ${prose(error.message, 7)}`);
      write('error', `${paint('bold', 'next:')}  ${prose(error.hint, 7)}`);
      if (error.detail !== undefined) write('debug', paint('dim', `debug: ${error.code}: ${error.detail}`));
    },
  };
}

/** Makes text bold where the stream shows it. */
export function boldOn(stream: WriteStream, env: Readonly<Record<string, string | undefined>>) {
  const colour = useColour(stream, env);
  return (text: string): string => (colour ? styleText('bold', text, { validateStream: false }) : text);
}
