import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { run } from '../../../broker/program.ts';
import type { Deps } from '../../../broker/surroundings.ts';
import { testDeps } from '../routes/world.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface Surroundings {
  /** Columns of a terminal; none: standard output is a pipe. */
  readonly columns?: number;
  readonly stdin?: string | Buffer;
  readonly env?: Deps['env'];
  readonly now?: number;
}

/** A command that goes on until it is ended. */
export interface Running {
  readonly ended: Promise<Ran>;
  out(): string;
  err(): string;
  interrupt(): void;
}

/** `kleis-broker ARGUMENTS`, as it is typed. */
export function begin(argv: readonly string[], { columns, stdin = '', env = {}, now }: Surroundings = {}): Running {
  const [out, err] = [collector(), collector()];
  if (columns !== undefined) Object.assign(out.stream, { isTTY: true, columns });
  const { deps, end } = testDeps();
  const surroundings = {
    ...deps,
    env: { NO_COLOR: '1', ...env },
    stdin: Readable.from([Buffer.from(stdin)]),
    stdout: out.stream,
    stderr: err.stream,
    clock: { ...deps.clock, ...(now !== undefined && { now: () => now }) },
  } as unknown as Deps;
  const ended = run(argv, surroundings).then((code) => ({ code, out: out.text(), err: err.text() }));
  return { ended, out: out.text, err: err.text, interrupt: end };
}

export async function ran(argv: readonly string[], surroundings?: Surroundings): Promise<Ran> {
  return begin(argv, surroundings).ended;
}

function collector() {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk);
      done();
    },
  });
  void once(stream, 'close').catch(() => undefined);
  return { stream, text: () => Buffer.concat(chunks).toString() };
}
