import type { ASTNode } from '@marcbachmann/cel-js';

/** Upper bounds of a value: how long a list or mapping it is, how long a text, how many values it holds in all. */
export interface Bounds {
  readonly length: number;
  readonly characters: number;
  readonly size: number;
  /** Of each of its elements. */
  readonly element?: Bounds | undefined;
}

interface Estimate extends Bounds {
  /** Steps of about 0.1 µs. */
  readonly steps: number;
}

/** A tenth of a second at the very worst; policies that people write stay a thousand times below it. */
export const stepBudget = 1_000_000;

/** What an expression must be able to afford to be accepted at all: a token with a hundred groups. */
export const typicalBounds: Bounds = {
  length: 40,
  characters: 0,
  size: 400,
  element: { length: 100, characters: 1000, size: 101, element: { length: 0, characters: 100, size: 1 } },
};

/** Regular expressions see at most this much of a claim; a longer one is an error, and so denies. */
export const maxMatchedLength = 1024;

/**
 * The library's matches() is JavaScript's RegExp, which backtracks (`^(a+)+$` takes minutes) and is not the RE2 that CEL
 * prescribes; its lowerAscii() lowers all of Unicode. It lets nobody override a function, so these methods get another
 * name in the parsed tree, before it is checked.
 */
export const ownMethods = { matches: 'kleisMatches', lowerAscii: 'kleisLowerAscii' } as const;

const plain: Bounds = { length: 0, characters: 0, size: 1 };
// Counting more than this is pointless; it keeps the arithmetic away from infinity.
const ceiling = 1e15;

export function boundsOf(value: unknown): Bounds {
  if (typeof value === 'string') return { ...plain, characters: value.length };
  if (value instanceof Map) return containerBounds([...value.keys(), ...value.values()].map(boundsOf), value.size);
  return Array.isArray(value) ? containerBounds(value.map(boundsOf), value.length) : plain;
}

function containerBounds(parts: readonly Bounds[], length: number): Bounds {
  return {
    length,
    characters: 0,
    size: parts.reduce((sum, part) => cap(sum + part.size), 1),
    element: parts.length === 0 ? undefined : parts.reduce(widest),
  };
}

/** Steps that an expression takes at most for claims within these bounds; what CEL calls its cost, estimated before it runs. */
export function estimateSteps(ast: ASTNode, claims: Bounds): number {
  return estimate(ast, new Map([['claims', claims]])).steps;
}

function estimate(node: ASTNode, scope: ReadonlyMap<string, Bounds>): Estimate {
  switch (node.op) {
    case 'value':
      return { steps: 1, ...boundsOf(node.args) };
    case 'id':
      return { steps: 1, ...(scope.get(node.args) ?? plain) };
    case '.':
    case '.?': {
      const receiver = estimate(node.args[0], scope);
      return { ...elementOf(receiver), steps: receiver.steps + 1 };
    }
    case '[]':
    case '[?]': {
      const [receiver, key] = node.args.map((part) => estimate(part, scope)) as [Estimate, Estimate];
      return { ...elementOf(receiver), steps: receiver.steps + key.steps + 1 };
    }
    case 'list':
      return literal(node.args, node.args.length, scope);
    case 'map':
      return literal(node.args.flat(), node.args.length, scope);
    case 'call':
      return call(node.args[0], node.args[1], scope);
    case 'rcall':
      return method(node.args[0], node.args[1], node.args[2], scope);
    case '!_':
    case '-_':
      return estimate(node.args, scope);
    case '?:': {
      const [condition, yes, no] = node.args.map((part) => estimate(part, scope)) as [Estimate, Estimate, Estimate];
      return { ...widest(yes, no), steps: condition.steps + yes.steps + no.steps };
    }
    case '||':
    case '&&':
    case 'in':
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=':
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return binary(node.op, node.args, scope);
  }
}

function binary(op: string, parts: readonly [ASTNode, ASTNode], scope: ReadonlyMap<string, Bounds>): Estimate {
  const left = estimate(parts[0], scope);
  const right = estimate(parts[1], scope);
  const steps = left.steps + right.steps + 1;
  if (op === 'in') return result(steps + right.length * (1 + compareSteps(left, elementOf(right))));
  if (op !== '+') return result(steps + compareSteps(left, right));
  return {
    ...widest(left, right),
    steps: cap(steps + left.length + right.length),
    length: cap(left.length + right.length),
    characters: cap(left.characters + right.characters),
    size: cap(left.size + right.size),
  };
}

function literal(parts: readonly ASTNode[], length: number, scope: ReadonlyMap<string, Bounds>): Estimate {
  const inner = parts.map((part) => estimate(part, scope));
  return { ...containerBounds(inner, length), steps: inner.reduce((steps, part) => cap(steps + part.steps), 1) };
}

function call(name: string, parts: readonly ASTNode[], scope: ReadonlyMap<string, Bounds>): Estimate {
  const inner = parts.map((part) => estimate(part, scope));
  const bounds = inner.reduce<Bounds>(widest, plain);
  const steps = inner.reduce((sum, part) => cap(sum + part.steps), 1);
  if (name === 'dyn') return { ...bounds, steps };
  return {
    ...plain,
    characters: name === 'string' ? bounds.characters + 32 : 0,
    steps: cap(steps + bounds.characters / 16),
  };
}

function method(
  name: string,
  receiver: ASTNode,
  parts: readonly ASTNode[],
  scope: ReadonlyMap<string, Bounds>,
): Estimate {
  const range = estimate(receiver, scope);
  if (isComprehension(name)) {
    const variable = parts[0]!.args as string;
    const inner = new Map(scope).set(variable, elementOf(range));
    const bodies = parts.slice(1).map((part) => estimate(part, inner));
    const each = bodies.reduce((steps, body) => cap(steps + body.steps), 1);
    const steps = cap(range.steps + range.length * each);
    if (name === 'filter') return { ...range, steps };
    if (name !== 'map') return result(steps);
    const made = bodies.at(-1)!;
    return { steps, length: range.length, characters: 0, size: cap(1 + range.length * made.size), element: made };
  }
  const argument: Estimate = parts[0] === undefined ? { ...plain, steps: 0 } : estimate(parts[0], scope);
  const steps = range.steps + argument.steps + 1;
  switch (name) {
    case 'contains':
      return result(steps + (range.characters * (1 + argument.characters)) / 64);
    case ownMethods.matches:
      return result(steps + Math.min(range.characters, maxMatchedLength) * patternWeight(parts[0]));
    case ownMethods.lowerAscii:
      return { ...range, steps: cap(steps + range.characters / 16) };
    default:
      return result(steps + (range.characters + argument.characters) / 16);
  }
}

/** How much of a regular expression may be busy with one character: its length, times what its repetitions unfold to. */
export function regexWeight(pattern: string): number {
  let weight = pattern.length;
  for (const [, low, high] of pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g)) {
    weight *= Math.max(Number(low), Number(high ?? 0), 1);
  }
  return weight;
}

function patternWeight(node: ASTNode | undefined): number {
  return node?.op === 'value' && typeof node.args === 'string' ? regexWeight(node.args) / 4 : ceiling;
}

const comprehensions: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'filter', 'map']);

export function isComprehension(name: string): boolean {
  return comprehensions.has(name);
}

function elementOf(bounds: Bounds): Bounds {
  return bounds.element ?? plain;
}

/** Comparing ends with the smaller of the two. */
function compareSteps(left: Bounds, right: Bounds): number {
  const texts = Math.min(deepCharacters(left), deepCharacters(right)) / 64;
  return Math.min(left.size, right.size) * (1 + texts);
}

function deepCharacters({ characters, element }: Bounds): number {
  return Math.max(characters, element === undefined ? 0 : deepCharacters(element));
}

function widest(left: Bounds, right: Bounds): Bounds {
  return {
    length: Math.max(left.length, right.length),
    characters: Math.max(left.characters, right.characters),
    size: Math.max(left.size, right.size),
    element: left.element && right.element ? widest(left.element, right.element) : (left.element ?? right.element),
  };
}

function result(steps: number): Estimate {
  return { ...plain, steps: cap(steps) };
}

function cap(amount: number): number {
  return Math.min(amount, ceiling);
}
