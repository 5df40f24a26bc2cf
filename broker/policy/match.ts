import { claimOf } from '../../shared/jwt.ts';
import { isObject } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import { type Glob, matchGlob } from './glob.ts';

/** The claims of a verified subject token, as JSON gave them. */
export type Claims = Readonly<Record<string, unknown>>;

/** One demand on one value, compiled. */
export type Matcher =
  | { readonly kind: 'exact'; readonly value: string | number | boolean }
  | { readonly kind: 'glob'; readonly glob: Glob }
  | { readonly kind: 'anyOf'; readonly of: readonly Matcher[] }
  | { readonly kind: 'allOf'; readonly of: readonly Matcher[] }
  | { readonly kind: 'not'; readonly of: Matcher }
  | { readonly kind: 'exists'; readonly exists: boolean }
  | { readonly kind: 'contains'; readonly of: Matcher }
  | { readonly kind: 'nested'; readonly of: ReadonlyMap<string, Matcher> };

/**
 * Whether a value meets a matcher; undefined if the question does not fit it: the claim is absent, or of another type.
 * That is not "no": a `not` around it must not turn it into "yes". Only true allows.
 */
export function matches(matcher: Matcher, value: unknown): boolean | undefined {
  if (matcher.kind === 'exists') return (value !== undefined && value !== null) === matcher.exists;
  if (matcher.kind === 'anyOf') return either(matcher.of, value);
  if (matcher.kind === 'allOf') return all(matcher.of.map((inner) => matches(inner, value)));
  switch (matcher.kind) {
    case 'exact':
      return typeof value === typeof matcher.value ? value === matcher.value : undefined;
    case 'glob':
      return typeof value === 'string' ? matchGlob(matcher.glob, value) : undefined;
    case 'not':
      return negate(matches(matcher.of, value));
    case 'contains':
      return Array.isArray(value) ? containsMatch(matcher.of, value) : undefined;
    case 'nested':
      if (!isObject(value)) return undefined;
      return all(Array.from(matcher.of, ([name, inner]) => matches(inner, claimOf(value, name))));
  }
}

/**
 * The value at a path of claims within claims. `reached` is false if one on the way is absent or no mapping: then nothing
 * can be said about the value, not even that it is absent.
 */
export function claimAt(
  claims: Claims,
  path: readonly string[],
): { readonly value: unknown; readonly reached: boolean } {
  let value: unknown = claims;
  for (const name of path) {
    if (!isObject(value)) return { value: undefined, reached: false };
    value = claimOf(value, name);
  }
  return { value, reached: true };
}

function negate(answer: boolean | undefined): boolean | undefined {
  return answer === undefined ? undefined : !answer;
}

function all(answers: readonly (boolean | undefined)[]): boolean | undefined {
  if (answers.includes(false)) return false;
  return answers.includes(undefined) ? undefined : true;
}

function either(matchers: readonly Matcher[], value: unknown): boolean | undefined {
  let answer: boolean | undefined = false;
  for (const matcher of matchers) {
    const one = matches(matcher, value);
    if (one === true) return true;
    if (one === undefined) answer = undefined;
  }
  return answer;
}

function containsMatch(matcher: Matcher, values: readonly unknown[]): boolean | undefined {
  let answer: boolean | undefined = false;
  for (const value of values) {
    const one = matches(matcher, value);
    if (one === true) return true;
    if (one === undefined) answer = undefined;
  }
  return answer;
}

/** What a matcher demands, in words for whoever may read the policy. */
export function describeMatcher(matcher: Matcher): string {
  switch (matcher.kind) {
    case 'exact':
      return typeof matcher.value === 'string' ? quote(matcher.value) : `${typeof matcher.value} ${matcher.value}`;
    case 'glob':
      return `glob ${quote(matcher.glob.source)}`;
    case 'anyOf':
      return matcher.of.map(describeInner).join(' or ');
    case 'allOf':
      return matcher.of.map(describeInner).join(' and ');
    case 'not':
      return `not ${describeInner(matcher.of)}`;
    case 'exists':
      return matcher.exists ? 'present' : 'absent';
    case 'contains':
      return `a list that contains ${describeInner(matcher.of)}`;
    case 'nested':
      return Array.from(matcher.of, ([name, inner]) => `${name}: ${describeInner(inner)}`).join(' and ');
  }
}

function describeInner(matcher: Matcher): string {
  const text = describeMatcher(matcher);
  return matcher.kind === 'anyOf' || matcher.kind === 'allOf' || matcher.kind === 'nested' ? `(${text})` : text;
}

/** A claim's value for people and the audit: one line, type visible, at most 200 characters. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'absent';
  if (value === null) return 'null';
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object') return `${typeof value} ${clean(value)}`;
  return clean(`${Array.isArray(value) ? 'list' : 'mapping'} ${JSON.stringify(value)}`);
}

function quote(text: string): string {
  return `"${clean(text)}"`;
}

/** `a.b` where the names allow it, `["kubernetes.io"].namespace` where they do not: as CEL would spell it. */
export function claimPath(names: readonly string[]): string {
  return names
    .map((name, index) => {
      if (!/^[\w-]+$/.test(name) && names.length > 1) return `["${clean(name)}"]`;
      return index === 0 ? clean(name) : `.${clean(name)}`;
    })
    .join('');
}
