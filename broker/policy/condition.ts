import { RE2JS } from '@bufbuild/re2';
import { type ASTNode, Environment } from '@marcbachmann/cel-js';
import { clean } from '../../shared/text.ts';
import {
  boundsOf,
  estimateSteps,
  isComprehension,
  maxMatchedLength,
  ownMethods,
  regexWeight,
  stepBudget,
  typicalBounds,
} from './cost.ts';
import type { Claims } from './match.ts';

/** A CEL expression over `claims`, checked and ready. */
export interface Condition {
  readonly source: string;
  /** Never throws: every error is a denial with its reason. */
  evaluate(claims: Claims): { readonly ok: boolean; readonly reason?: string };
  /** Patterns of `matches()` that do not say where they begin and end. */
  readonly unanchored: readonly string[];
}

export class ConditionFault extends Error {
  override readonly name = 'ConditionFault';
  /** Zero-based character of the expression; undefined if it is about the whole. */
  readonly offset: number | undefined;

  constructor(message: string, offset?: number) {
    super(message);
    this.offset = offset;
  }
}

export const maxConditionLength = 2048;
const maxPatternLength = 256;
const maxPatternWeight = 4096;

const functions: ReadonlySet<string> = new Set([
  'has',
  'size',
  'int',
  'uint',
  'double',
  'string',
  'bool',
  'type',
  'dyn',
]);
const methods: ReadonlySet<string> = new Set(['contains', 'startsWith', 'endsWith', 'size', 'matches', 'lowerAscii']);

let environment: Environment | undefined;

function celEnvironment(): Environment {
  environment ??= new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: false,
    limits: { maxAstNodes: 400, maxDepth: 32, maxListElements: 200, maxMapEntries: 200, maxCallArguments: 8 },
  })
    .registerVariable('claims', 'map<string, dyn>')
    .registerFunction(`string.${ownMethods.matches}(string): bool`, matchRegex)
    .registerFunction(`string.${ownMethods.lowerAscii}(): string`, (text: string) =>
      text.replaceAll(/[A-Z]+/g, (upper) => upper.toLowerCase()),
    );
  return environment;
}

/** Throws ConditionFault. */
export function compileCondition(source: string): Condition {
  if (source.trim() === '') throw new ConditionFault('is empty: leave it out, or say what must hold');
  if (source.length > maxConditionLength) throw new ConditionFault(`has more than ${maxConditionLength} characters`);
  const run = parse(source);
  const found = inspect(run.ast);
  const checked = run.check();
  if (!checked.valid) throw fault(checked.error);
  if (!found.claims) throw new ConditionFault('does not look at `claims`, so it says the same for every token');
  if (checked.type !== 'bool') {
    throw new ConditionFault(
      `must be true or false, and may be ${checked.type ?? 'anything'}: compare it with something`,
    );
  }
  if (estimateSteps(run.ast, typicalBounds) > stepBudget) {
    throw new ConditionFault('costs too much for a token with lists of a hundred: nest fewer loops');
  }
  const bounded = !found.loops && found.patterns.length === 0;
  return {
    source,
    unanchored: found.patterns.filter((pattern) => !isAnchored(pattern)),
    evaluate: (claims) => {
      const value = toMap(claims);
      if (!bounded && estimateSteps(run.ast, boundsOf(value)) > stepBudget) {
        return { ok: false, reason: 'the claims are too large for what the condition does with them' };
      }
      try {
        const answer: unknown = run({ claims: value });
        return answer === true ? { ok: true } : { ok: false };
      } catch (error) {
        return { ok: false, reason: describe(error) };
      }
    },
  };
}

function parse(source: string): ReturnType<Environment['parse']> {
  try {
    return celEnvironment().parse(source);
  } catch (error) {
    throw fault(error);
  }
}

interface Inspected {
  claims: boolean;
  loops: boolean;
  readonly patterns: string[];
}

/** Refuses what is not plain CEL or cannot be bounded, and puts our own functions in place of the library's. */
function inspect(ast: ASTNode): Inspected {
  const found: Inspected = { claims: false, loops: false, patterns: [] };
  visit(ast, found);
  return found;
}

function visit(node: ASTNode, found: Inspected): void {
  if (node.op === 'id' && node.args === 'claims') found.claims = true;
  if (node.op === 'call' && !functions.has(node.args[0])) {
    throw new ConditionFault(`knows no function ${clean(node.args[0])}(): there are ${list(functions)}`, node.start);
  }
  if (node.op === 'rcall') visitMethod(node, found);
  if (Array.isArray(node.args)) {
    for (const part of (node.args as readonly unknown[]).flat(2)) if (isNode(part)) visit(part, found);
  } else if (isNode(node.args)) {
    visit(node.args, found);
  }
}

function visitMethod(node: Extract<ASTNode, { op: 'rcall' }>, found: Inspected): void {
  const [name, , parts] = node.args;
  if (isComprehension(name)) {
    found.loops = true;
    if (parts[0]?.op === 'id' && parts[0].args === 'claims') {
      throw new ConditionFault('gives the name `claims` to something else', parts[0].start);
    }
    return;
  }
  if (!methods.has(name)) {
    const known = [...methods, 'all', 'exists', 'exists_one', 'filter', 'map'];
    throw new ConditionFault(`knows no method .${clean(name)}(): there are ${list(known)}`, node.start);
  }
  if (name === 'matches') found.patterns.push(literalPattern(parts[0], node.start));
  if (name === 'matches' || name === 'lowerAscii') (node.args as unknown as [string])[0] = ownMethods[name];
}

function literalPattern(node: ASTNode | undefined, offset: number): string {
  if (node?.op !== 'value' || typeof node.args !== 'string') {
    throw new ConditionFault('has a matches() whose pattern is no literal text', node?.start ?? offset);
  }
  const pattern = node.args;
  if (pattern.length > maxPatternLength || regexWeight(pattern) > maxPatternWeight) {
    throw new ConditionFault('has a pattern that is too long, or repeats too much', node.start);
  }
  try {
    compileRegex(pattern);
  } catch (error) {
    throw new ConditionFault(`has a pattern that is no RE2 expression: ${clean((error as Error).message)}`, node.start);
  }
  if (isHalfAnchored(pattern)) {
    throw new ConditionFault(
      'has a pattern whose ^ or $ holds for one side of a "|" only: put the alternatives into parentheses, like ^(a|b)$',
      node.start,
    );
  }
  return pattern;
}

const regexes = new Map<string, RE2JS>();

/** Patterns are literals of the configuration, so there are few; the bound is for years of reloads. */
function compileRegex(pattern: string): RE2JS {
  let regex = regexes.get(pattern);
  if (regex === undefined) {
    if (regexes.size >= 1000) regexes.clear();
    regex = RE2JS.compile(pattern);
    regexes.set(pattern, regex);
  }
  return regex;
}

function matchRegex(text: string, pattern: string): boolean {
  if (text.length > maxMatchedLength) throw new Error(`matches() sees texts of at most ${maxMatchedLength} characters`);
  return compileRegex(pattern).test(text);
}

/** Whether a "|" outside of parentheses splits it; such a one is anchored only if every alternative is. */
function alternatives(pattern: string): string[] {
  const parts = [''];
  let depth = 0;
  let inClass = false;
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at]!;
    if (character === '|' && depth === 0 && !inClass) {
      parts.push('');
      continue;
    }
    if (character === '\\') parts[parts.length - 1] += character + (pattern[++at] ?? '');
    else parts[parts.length - 1] += character;
    if (inClass) inClass = character !== ']';
    else if (character === '[') inClass = true;
    else if (character === '(') depth++;
    else if (character === ')') depth--;
  }
  return parts;
}

function isAnchored(pattern: string): boolean {
  return alternatives(pattern).every((part) => part.startsWith('^') && /(^|[^\\])(\\\\)*\$$/.test(part));
}

function isHalfAnchored(pattern: string): boolean {
  const parts = alternatives(pattern);
  return parts.length > 1 && parts.some((part) => part.startsWith('^') || part.endsWith('$')) && !isAnchored(pattern);
}

/** Mappings as Maps: what an object inherits is then no key. */
function toMap(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toMap);
  if (typeof value !== 'object' || value === null) return value;
  return new Map(Object.entries(value).map(([name, inner]) => [name, toMap(inner)]));
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === 'object' && value !== null && 'op' in value && 'args' in value;
}

function fault(error: unknown): ConditionFault {
  const range = (error as { range?: { start: number } } | undefined)?.range;
  return new ConditionFault(`is not valid: ${describe(error)}`, range?.start);
}

function describe(error: unknown): string {
  const { summary, message } = error as { summary?: string; message?: string };
  const text = (summary ?? message ?? 'it failed').split('\n')[0]!;
  return clean(text.replaceAll(ownMethods.matches, 'matches').replaceAll(ownMethods.lowerAscii, 'lowerAscii'));
}

function list(names: Iterable<string>): string {
  return [...names].join(', ');
}
