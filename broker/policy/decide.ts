import { clean } from '../../shared/text.ts';
import { type CompiledGrant, CompiledPolicy } from './compile.ts';
import { type Claims, claimAt, describeValue, matches } from './match.ts';

/** Who asks: the claims of a token that was verified. */
export interface Asker {
  /** Name of the issuer in the configuration, not its URL. */
  readonly issuer: string;
  readonly claims: Claims;
}

/** What is asked for. */
export interface Question {
  readonly grant: string;
  readonly cluster?: string | undefined;
  /** Seconds that the caller asks for. */
  readonly expiresIn?: number | undefined;
}

export interface ConditionResult {
  readonly claim: string;
  readonly expected: string;
  /** What the token has, for people: one line, at most 200 characters. */
  readonly seen: string;
  readonly ok: boolean;
}

export type DenialReason =
  | 'policy_not_in_force'
  | 'no_such_grant'
  | 'wrong_issuer'
  | 'claims'
  | 'condition'
  | 'wrong_cluster'
  | 'invalid_expires_in';

export type Decision =
  | {
      readonly allowed: true;
      readonly grant: CompiledGrant;
      /** Seconds. */
      readonly ttl: number;
      /** Claims that the grant looks at, with the token's values. */
      readonly matched: Readonly<Record<string, unknown>>;
      readonly conditions: readonly ConditionResult[];
    }
  | {
      readonly allowed: false;
      readonly reason: DenialReason;
      readonly grant?: CompiledGrant;
      readonly conditions: readonly ConditionResult[];
      /** The token is of somebody that the grant is for, so it may be told which of its own claims do not fit. */
      readonly idClaimsMatched: boolean;
    };

/** TokenRequest refuses less. */
export const minimumTtl = 600;

/**
 * Whether this subject may have this grant at this moment (ms since the epoch). Takes as long as the grant has conditions, however many grants there are;
 * never throws. Denies unless everything says yes.
 */
export function decide(policy: CompiledPolicy, { issuer, claims }: Asker, question: Question, now: number): Decision {
  if (!CompiledPolicy.inForce(policy, now)) return stranger('policy_not_in_force');
  const grant = CompiledPolicy.grant(policy, question.grant);
  if (grant === undefined) return stranger('no_such_grant');
  if (grant.issuer !== issuer) return { ...stranger('wrong_issuer'), grant };

  const conditions = checkClaims(grant, claims);
  const deny = (reason: DenialReason): Decision => ({
    allowed: false,
    reason,
    grant,
    conditions,
    idClaimsMatched: identified(grant, conditions),
  });
  if (conditions.some((condition) => !condition.ok)) return deny('claims');
  // A grant without a condition cannot be compiled; if there is one all the same, it fits nobody.
  if (conditions.length === 0 && grant.condition === undefined) return deny('claims');
  if (grant.condition !== undefined) {
    const answer = grant.condition.evaluate(claims);
    conditions.push({
      claim: 'condition',
      expected: clean(grant.condition.source),
      seen: answer.ok ? 'true' : (answer.reason ?? 'false'),
      ok: answer.ok,
    });
    if (!answer.ok) return deny('condition');
  }
  if (question.cluster !== undefined && question.cluster !== grant.cluster) return deny('wrong_cluster');
  const ttl = lifetime(grant, question.expiresIn);
  if (ttl === undefined) return deny('invalid_expires_in');
  return { allowed: true, grant, ttl, matched: matchedClaims(grant, claims), conditions };
}

/** Somebody of whom nothing is known but that the issuer vouches for them: there may be millions of these. */
export function isStranger(decision: Decision): boolean {
  return !decision.allowed && !decision.idClaimsMatched;
}

function stranger(reason: DenialReason): Extract<Decision, { allowed: false }> {
  return { allowed: false, reason, conditions: [], idClaimsMatched: false };
}

function checkClaims(grant: CompiledGrant, claims: Claims): ConditionResult[] {
  return grant.claims.map((claim) => {
    const { value, reached } = claimAt(claims, claim.path);
    return {
      claim: claim.name,
      expected: claim.expected,
      seen: describeValue(value),
      ok: reached && matches(claim.matcher, value) === true,
    };
  });
}

/** At least one id claim is stated by value, and all that are were met. */
function identified(grant: CompiledGrant, conditions: readonly ConditionResult[]): boolean {
  let any = false;
  for (const [index, claim] of grant.claims.entries()) {
    if (!claim.identifies) continue;
    if (!conditions[index]!.ok) return false;
    any = true;
  }
  return any;
}

/** Seconds: what was asked for, within what TokenRequest gives and what the grant allows. */
function lifetime(grant: CompiledGrant, asked: number | undefined): number | undefined {
  const seconds = asked ?? grant.usualTtl;
  if (!Number.isSafeInteger(seconds) || seconds <= 0) return undefined;
  return Math.min(Math.max(seconds, minimumTtl), grant.maxTtl);
}

function matchedClaims(grant: CompiledGrant, claims: Claims): Record<string, unknown> {
  const matched: Record<string, unknown> = {};
  for (const claim of grant.claims) {
    const { value } = claimAt(claims, claim.path);
    if (value === undefined) continue;
    matched[claim.name] = typeof value === 'boolean' || typeof value === 'number' ? value : plainText(value);
  }
  return matched;
}

function plainText(value: unknown): string {
  return typeof value === 'string' ? clean(value) : describeValue(value);
}
