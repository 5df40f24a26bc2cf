import { clean } from '../../shared/text.ts';
import { compileGlob, globFault } from './glob.ts';
import type { Where } from './grant.ts';
import type { Matcher } from './match.ts';

/** From the top of a document to a part of it. */
export type Path = readonly (string | number)[];

/** Something wrong with the configuration; `path` leads to it from the top of the document. */
export interface PolicyFault {
  readonly path: Path;
  readonly message: string;
}

export const operators = ['anyOf', 'not', 'exists', 'glob', 'contains'] as const;

/** Names that every JavaScript object answers to. Never claims of an issuer, so a policy that names one is mistaken. */
export const unusableNames: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

// What people write who know another product. Read as the names of nested claims they would only ever deny.
const lookalikes: ReadonlySet<string> = new Set(
  'anyof oneof in regex regexp pattern matches match equals eq globs wildcard exist contain includes startswith endswith prefix suffix like noneof notin allof and or'.split(
    ' ',
  ),
);

const maxDepth = 8;
const maxAlternatives = 1000;
const maxLength = 1024;

/** One demand for each claim; faults go into `faults`, and what has one is left out. */
export function parseWhere(where: Where, path: Path, faults: PolicyFault[]): Map<string, Matcher> {
  return parseClaims(where, path, faults, 0);
}

function parseClaims(
  input: Readonly<Record<string, unknown>>,
  path: Path,
  faults: PolicyFault[],
  depth: number,
): Map<string, Matcher> {
  const parsed = new Map<string, Matcher>();
  for (const name of Object.keys(input)) {
    const here = [...path, name];
    if (name === '' || unusableNames.has(name)) {
      faults.push({ path: here, message: `"${clean(name)}" cannot be the name of a claim` });
      continue;
    }
    const matcher = parseMatcher(input[name], here, faults, depth + 1);
    if (matcher !== undefined) parsed.set(name, matcher);
  }
  return parsed;
}

function parseMatcher(input: unknown, path: Path, faults: PolicyFault[], depth: number): Matcher | undefined {
  const refuse = (message: string, at: Path = path): undefined => {
    faults.push({ path: at, message });
    return undefined;
  };
  if (depth > maxDepth) return refuse(`is nested more than ${maxDepth} deep`);
  if (typeof input === 'string') {
    const wrong = textFault(input);
    return wrong === undefined ? { kind: 'exact', value: input } : refuse(wrong);
  }
  if (typeof input === 'boolean') return { kind: 'exact', value: input };
  if (typeof input === 'number') {
    if (Number.isFinite(input) && (!Number.isInteger(input) || Number.isSafeInteger(input))) {
      return { kind: 'exact', value: input };
    }
    return refuse('is a number that JSON does not carry exactly: quote it, if the claim is a text');
  }
  if (typeof input !== 'object') return refuse('is no value: write a text, a number, true, false, or a mapping');
  if (input === null)
    return refuse('is empty: write {exists: false} for a claim that must be absent, "" for an empty text');
  if (Array.isArray(input)) {
    return refuse(
      'is a list: write {anyOf: [...]} for one of several values, {contains: ...} for a claim that is a list',
    );
  }
  return parseMapping(input as Readonly<Record<string, unknown>>, path, faults, depth);
}

function parseMapping(
  input: Readonly<Record<string, unknown>>,
  path: Path,
  faults: PolicyFault[],
  depth: number,
): Matcher | undefined {
  const names = Object.keys(input);
  const used = operators.filter((operator) => names.includes(operator));
  if (names.length === 0) {
    faults.push({ path, message: 'is an empty mapping: write {exists: true} for a claim that must be there' });
    return undefined;
  }
  if (used.length === 0) {
    const lookalike = names.find((name) => lookalikes.has(name.toLowerCase().replaceAll(/[-_]/g, '')));
    if (lookalike !== undefined) {
      const message = `"${clean(lookalike)}" is no operator: there are ${operators.join(', ')}; regular expressions are for \`condition\``;
      faults.push({ path: [...path, lookalike], message });
      return undefined;
    }
    return { kind: 'nested', of: parseClaims(input, path, faults, depth) };
  }
  const foreign = names.filter((name) => !(operators as readonly string[]).includes(name));
  for (const name of foreign) {
    const message = `"${clean(name)}" stands beside the operator ${used[0]}: a mapping holds either operators (${operators.join(', ')}) or nested claims`;
    faults.push({ path: [...path, name], message });
  }
  if (used.length > 1 && input['exists'] === false) {
    faults.push({ path: [...path, 'exists'], message: 'a claim that must be absent can meet no other demand' });
  }
  const parts = used.map((operator) => parseOperator(operator, input[operator], [...path, operator], faults, depth));
  const good = parts.filter((part) => part !== undefined);
  if (good.length !== parts.length || foreign.length > 0) return undefined;
  return good.length === 1 ? good[0] : { kind: 'allOf', of: good };
}

function parseOperator(
  operator: (typeof operators)[number],
  input: unknown,
  path: Path,
  faults: PolicyFault[],
  depth: number,
): Matcher | undefined {
  const refuse = (message: string): undefined => {
    faults.push({ path, message });
    return undefined;
  };
  switch (operator) {
    case 'exists':
      return typeof input === 'boolean'
        ? { kind: 'exists', exists: input }
        : refuse('is true or false, without quotes');
    case 'glob': {
      if (typeof input !== 'string') return refuse('is a text with "*" in it: quote it');
      const wrong = globFault(input) ?? textFault(input);
      return wrong === undefined ? { kind: 'glob', glob: compileGlob(input) } : refuse(wrong);
    }
    case 'anyOf': {
      if (!Array.isArray(input) || input.length === 0) return refuse('is a list of at least one value');
      if (input.length > maxAlternatives) return refuse(`has more than ${maxAlternatives} alternatives`);
      const of = input.map((value: unknown, index) => parseMatcher(value, [...path, index], faults, depth + 1));
      const good = of.filter((matcher) => matcher !== undefined);
      return good.length === of.length ? { kind: 'anyOf', of: good } : undefined;
    }
    case 'not': {
      const of = parseMatcher(input, path, faults, depth + 1);
      return of === undefined ? undefined : { kind: 'not', of };
    }
    case 'contains': {
      const of = parseMatcher(input, path, faults, depth + 1);
      return of === undefined ? undefined : { kind: 'contains', of };
    }
  }
}

function textFault(text: string): string | undefined {
  if (text.length > maxLength) return `is longer than ${maxLength} characters`;
  // eslint-disable-next-line no-control-regex -- these are what must not be there
  return /[\u0000-\u001f\u007f]/.test(text) ? 'has a line break or another control character in it' : undefined;
}
