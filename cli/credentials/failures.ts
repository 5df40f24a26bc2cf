import { isErrorCode, KleisError } from '../../shared/errors.ts';
import type { Deps } from '../surroundings/deps.ts';
import { ToldFailure } from '../surroundings/failure.ts';
import type { Asker } from './asker.ts';
import type { CredentialFolder } from './folder.ts';
import { formatAssignments, parseAssignments } from './key.ts';

const lifetime = 20_000;

/**
 * What attempts failed with, under the name of a credential or of a session. It is also the answer for those who waited
 * for the attempt, and for a while for the further calls of their parents: kubectl runs a plugin that fails up to six
 * times. The launcher does the same (is_told, tell).
 */
export class Failures {
  readonly #folder: CredentialFolder;
  readonly #asker: Asker;
  readonly #clock: Deps['clock'];

  constructor(folder: CredentialFolder, asker: Asker, { clock }: Pick<Deps, 'clock'>) {
    this.#folder = folder;
    this.#asker = asker;
    this.#clock = clock;
  }

  /** Leaves what this process failed with, whose parent is told thereby. */
  note(name: string, error: KleisError): void {
    // That one kubectl was stopped is nobody else's failure: whoever waited takes over.
    if (error.code === 'interrupted') return;
    this.#folder.remove(`told-${name}`);
    const values = {
      O: String(this.#asker.pid),
      Q: String(this.#asker.parent ?? ''),
      C: String(error.exitCode),
      K: error.code,
      X: error.message,
      H: error.hint,
      // As report.ts prints it, without colour.
      M: `error: ${error.message}\nnext:  ${error.hint}`,
    };
    this.#folder.write(`failed-${name}`, formatAssignments(values), this.#clock.now() + lifetime);
  }

  /**
   * The failure that is also this process's: it waited for its owner, or was started before that failed, or its parent
   * was told. In that last case it is a `ToldFailure`.
   */
  find(name: string, waitedFor: readonly number[]): KleisError | undefined {
    const stored = this.#folder.read(`failed-${name}`);
    if (stored === undefined || stored.mtime <= this.#clock.now()) return undefined;
    const values = parseAssignments(stored.text);
    const code = values.get('K') ?? '';
    const owner = values.get('O') ?? '';
    if (!isErrorCode(code)) return undefined;
    const { parent, startedAt } = this.#asker;
    const line = `,${owner}-${parent}`;
    const isTold = parent !== undefined && (values.get('Q') === String(parent) || this.#toldLines(name).includes(line));
    const isShared = waitedFor.includes(Number(owner)) || startedAt <= stored.mtime - lifetime;
    if (!isTold && !isShared) return undefined;
    if (!isTold && parent !== undefined) this.#folder.append(`told-${name}`, `W=$W${line}\n`);
    const Failure = isTold ? ToldFailure : KleisError;
    return new Failure(code, values.get('X') ?? '', { hint: values.get('H') ?? '' });
  }

  /** Nothing failed any more. */
  forget(name: string): void {
    this.#folder.remove(`failed-${name}`);
    this.#folder.remove(`told-${name}`);
  }

  #toldLines(name: string): string[] {
    const text = this.#folder.read(`told-${name}`)?.text ?? '';
    return text.split('\n').map((line) => line.replace('W=$W', ''));
  }
}
