import type { Steps } from '../../shared/steps.ts';
import { type Condition, compileCondition, ConditionFault } from './condition.ts';
import type { Grant } from './grant.ts';
import { claimPath, describeMatcher, type Matcher } from './match.ts';
import { parseWhere, type PolicyFault } from './parse-where.ts';

export interface CompiledClaim {
  /** Names from the top of the claims down. */
  readonly path: readonly string[];
  readonly name: string;
  readonly matcher: Matcher;
  readonly expected: string;
  /** It states one of the issuer's id claims by value, so only tokens of whoever the grant is for meet it. */
  readonly identifies: boolean;
}

export interface CompiledGrant {
  readonly name: string;
  readonly issuer: string;
  readonly cluster: string;
  readonly config: Grant;
  /** Seconds. */
  readonly usualTtl: number;
  readonly maxTtl: number;
  readonly claims: readonly CompiledClaim[];
  readonly condition: Condition | undefined;
}

/** What a policy is made of, as far as a configuration concerns it. */
export interface PolicySource {
  readonly issuers: Readonly<Record<string, { readonly idClaims: readonly string[] }>>;
  readonly grants: Readonly<Record<string, Grant>>;
}

export class PolicyFaults extends Error {
  override readonly name = 'PolicyFaults';
  readonly faults: readonly PolicyFault[];

  constructor(faults: readonly PolicyFault[]) {
    super(faults.map((fault) => `${fault.path.join('.')}: ${fault.message}`).join('\n'));
    this.faults = faults;
  }
}

const permission = Symbol('compilePolicy');

/**
 * Grants that can decide. Made by `compilePolicy` alone: whatever else is passed off as one (an empty object, a
 * configuration that nobody compiled, nothing at all) knows no grant, and so denies.
 */
export class CompiledPolicy {
  readonly #grants: ReadonlyMap<string, CompiledGrant>;
  #endsAt = Number.POSITIVE_INFINITY;

  constructor(key: symbol, grants: ReadonlyMap<string, CompiledGrant>) {
    if (key !== permission) throw new Error('a policy is made by compilePolicy()');
    this.#grants = grants;
  }

  /** Undefined for an unknown grant, and for every grant of what is no compiled policy. */
  static grant(policy: unknown, name: string): CompiledGrant | undefined {
    return CompiledPolicy.#is(policy) ? policy.#grants.get(name) : undefined;
  }

  static grants(policy: CompiledPolicy): Iterable<CompiledGrant> {
    return policy.#grants.values();
  }

  /** Whether it may still decide; never for what is no compiled policy. */
  static inForce(policy: unknown, now: number): boolean {
    return CompiledPolicy.#is(policy) && now < policy.#endsAt;
  }

  /** From then on (ms) it denies everything; for a configuration whose successor cannot be read. */
  static end(policy: CompiledPolicy, at: number): void {
    policy.#endsAt = at;
  }

  static #is(value: unknown): value is CompiledPolicy {
    return typeof value === 'object' && value !== null && #grants in value;
  }
}

/** Throws PolicyFaults, with all of them. What it makes no longer depends on the object that it was made from. */
export function* compilePolicy(source: PolicySource): Steps<CompiledPolicy> {
  const faults: PolicyFault[] = [];
  const grants = new Map<string, CompiledGrant>();
  // Grants repeat one another's demands: sharing them keeps a hundred thousand grants small, and so in the CPU's caches.
  const shared: SharedClaims = new Map();
  for (const name of Object.keys(source.grants)) {
    const grant = copy(source.grants[name]!);
    const idClaims = Object.hasOwn(source.issuers, grant.issuer) ? source.issuers[grant.issuer]!.idClaims : [];
    grants.set(name, compileGrant(name, grant, idClaims, shared, faults));
    yield;
  }
  if (faults.length > 0) throw new PolicyFaults(faults);
  return new CompiledPolicy(permission, grants);
}

/** `structuredClone` for plain data, ten times faster. */
function copy<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copy) as T;
  // Not by assignment, which would lose a key called __proto__, and with it a demand.
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, copy(part as unknown)])) as T;
}

function compileGrant(
  name: string,
  config: Grant,
  idClaims: readonly string[],
  shared: SharedClaims,
  faults: PolicyFault[],
): CompiledGrant {
  const path = ['grants', name];
  if (Object.keys(config.where).length === 0 && config.condition === undefined) {
    const message =
      'demands nothing, so every token of the issuer would get it: say in `where` which claims it must have';
    faults.push({ path: [...path, 'where'], message });
  }
  return {
    name,
    issuer: config.issuer,
    cluster: config.cluster,
    config,
    usualTtl: config.ttl.default / 1000,
    maxTtl: config.ttl.max / 1000,
    claims: compileWhere(config, [...path, 'where'], idClaims, shared, faults),
    condition: config.condition === undefined ? undefined : compileCel(config.condition, path, faults),
  };
}

type SharedClaims = Map<string, readonly CompiledClaim[]>;

function compileWhere(
  { issuer, where }: Grant,
  path: readonly string[],
  idClaims: readonly string[],
  shared: SharedClaims,
  faults: PolicyFault[],
): CompiledClaim[] {
  return Object.entries(where).flatMap(([claim, demand]) => {
    const key = JSON.stringify([issuer, claim, demand]);
    const known = shared.get(key);
    if (known !== undefined) return known;
    const before = faults.length;
    const matchers = parseWhere(Object.fromEntries([[claim, demand]]), path, faults);
    const compiled = Array.from(matchers, ([name, matcher]) => flatten([name], matcher, idClaims)).flat();
    // What is at fault is told for each grant, at its own place.
    if (faults.length === before) shared.set(key, compiled);
    return compiled;
  });
}

/** Each nested claim by itself, so that a denial can name the one that failed. */
function flatten(path: readonly string[], matcher: Matcher, idClaims: readonly string[]): CompiledClaim[] {
  if (matcher.kind === 'nested') {
    return Array.from(matcher.of, ([name, inner]) => flatten([...path, name], inner, idClaims)).flat();
  }
  const name = claimPath(path);
  const identifies = (idClaims.includes(path[0]!) || idClaims.includes(name)) && statesValues(matcher);
  return [{ path, name, matcher, expected: describeMatcher(matcher), identifies }];
}

/** Whether only values that are written out meet it; a glob or a `not` may be met by a stranger. */
export function statesValues(matcher: Matcher): boolean {
  switch (matcher.kind) {
    case 'exact':
      return true;
    case 'anyOf':
      return matcher.of.every(statesValues);
    case 'allOf':
      return matcher.of.some(statesValues);
    case 'contains':
      return statesValues(matcher.of);
    case 'glob':
    case 'not':
    case 'exists':
    case 'nested':
      return false;
  }
}

function compileCel(source: string, path: readonly string[], faults: PolicyFault[]): Condition | undefined {
  try {
    return compileCondition(source);
  } catch (error) {
    if (!(error instanceof ConditionFault)) throw error;
    const where = error.offset === undefined ? '' : ` (at character ${error.offset + 1})`;
    faults.push({ path: [...path, 'condition'], message: `${error.message}${where}` });
    return undefined;
  }
}
