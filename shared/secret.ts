import { inspect } from 'node:util';

/**
 * A value that must not be printed: string conversion, JSON and `util.inspect` all give `[redacted]`. Only `reveal()`
 * gives the value, so that every place where a secret leaves its wrapper can be found by name.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[redacted]';
  }

  toJSON(): string {
    return '[redacted]';
  }

  [inspect.custom](): string {
    return '[redacted]';
  }
}
