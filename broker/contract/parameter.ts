import type { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import { isOneOf } from '../../shared/text.ts';
import { malformed } from './faults.ts';

// One parameter of a form, a query or a header is one value here: what judges it and what docs/openapi.json says of it.

/** What texts are taken. */
export interface Kind<T> {
  /** JSON Schema. */
  readonly schema: Readonly<Record<string, unknown>>;
  /** Throws `KleisError`. */
  readonly read: (text: string, name: string) => T;
}

interface Notes {
  /** Markdown; a sentence. */
  readonly description: string;
  readonly example?: string | number;
}

export interface Parameter<T = unknown> extends Notes {
  readonly schema: Kind<T>['schema'];
  readonly required: boolean;
  /** What was sent becomes a value; undefined: nothing was sent. Throws `KleisError`. */
  readonly read: (text: string | undefined, name: string) => T;
}

export type Parameters = Readonly<Record<string, Parameter>>;
export type Read<P extends Parameters> = { readonly [Name in keyof P]: ReturnType<P[Name]['read']> };

/** In the order of the table, so that of several faults the first is told. Throws `KleisError`. */
export function readParameters<P extends Parameters>(
  parameters: P,
  sent: (name: string) => string | undefined,
): Read<P> {
  const values: Record<string, unknown> = {};
  for (const name in parameters) values[name] = parameters[name]!.read(sent(name), name);
  return values as Read<P>;
}

type Refuse = (name: string) => KleisError;

export function required<T>(kind: Kind<T>, { missing, ...notes }: Notes & { readonly missing: Refuse }): Parameter<T> {
  const read: Parameter<T>['read'] = (text, name) => {
    if (text === undefined) throw missing(name);
    return kind.read(text, name);
  };
  return { schema: kind.schema, required: true, read, ...notes };
}

export function optional<T>(kind: Kind<T>, notes: Notes): Parameter<T | undefined> {
  const read: Parameter<T | undefined>['read'] = (text, name) =>
    text === undefined ? undefined : kind.read(text, name);
  return { schema: kind.schema, required: false, read, ...notes };
}

/** Where nothing is sent, it is as if `usual` were. */
export function usually<T extends string | number>(kind: Kind<T>, usual: T, notes: Notes): Parameter<T> {
  const read: Parameter<T>['read'] = (text, name) => (text === undefined ? usual : kind.read(text, name));
  return { schema: { ...kind.schema, default: usual }, required: false, read, ...notes };
}

export function oneOf<const T extends string>(
  values: readonly T[],
  wrong: Refuse = (name) => malformed(`${name} is one of ${values.join(', ')}.`),
): Kind<T> {
  return {
    schema: { type: 'string', enum: values },
    read(text, name) {
      if (!isOneOf(values, text)) throw wrong(name);
      return text;
    },
  };
}

export function matching(pattern: RegExp, wrong: Refuse): Kind<string> {
  return {
    schema: { type: 'string', pattern: pattern.source },
    read(text, name) {
      if (!pattern.test(text)) throw wrong(name);
      return text;
    },
  };
}

export function upTo(maxLength: number, wrong: Refuse): Kind<string> {
  return {
    schema: { type: 'string', maxLength },
    read(text, name) {
      if (text.length > maxLength) throw wrong(name);
      return text;
    },
  };
}

/** In decimal digits. */
export function wholeNumber(
  minimum: number,
  maximum: number,
  wrong: Refuse = (name) => malformed(`${name} is a number from ${minimum} to ${maximum}.`),
): Kind<number> {
  return {
    schema: { type: 'integer', minimum, maximum },
    read(text, name) {
      const number = /^(?:0|[1-9]\d{0,14})$/.test(text) ? Number(text) : Number.NaN;
      if (!(number >= minimum && number <= maximum)) throw wrong(name);
      return number;
    },
  };
}

/** What is understood elsewhere and would change the question: to ignore it would be to answer another one. */
export function refused(fault: Refuse): Kind<never> {
  return {
    schema: { not: {} },
    read(_, name) {
      throw fault(name);
    },
  };
}

/**
 * Without the blanks and line breaks that files and command lines put around it. What no token can be is a fault, so that
 * nobody takes it for one that is not known.
 */
export const token: Kind<Secret> = {
  schema: { type: 'string', pattern: String.raw`^[\x21\x23-\x26\x28-\x7e]+$` },
  read(text, name) {
    const trimmed = text.trim();
    if (trimmed === '') throw malformed(`The form has no ${name}.`);
    const wrong = /[^\x21-\x7e]|["']/.exec(trimmed)?.[0];
    if (wrong === undefined) return new Secret(trimmed);
    const what =
      wrong.trim() === '' ? 'a blank or a line break' : /["']/.test(wrong) ? 'a quotation mark' : 'a character';
    throw malformed(
      `The ${name} has ${what} in it that no token has: send it as its issuer gave it, and nothing else.`,
    );
  },
};
