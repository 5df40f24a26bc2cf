import type { ClaimValue } from './grant.ts';
import { claimOf } from '../../shared/jwt.ts';
import type { Claims } from './match.ts';

export interface AdminRule {
  readonly issuer: string;
  readonly claim: string;
  /** The claim itself, or one element of it where the claim is a list. */
  readonly value: ClaimValue;
}

/** Whether one of the rules names this subject, whose token was verified; by type and value, as in grants. */
export function isAdmin(
  { issuer, claims }: { readonly issuer: string; readonly claims: Claims },
  rules: readonly AdminRule[],
): boolean {
  return rules.some((rule) => {
    const value = claimOf(claims, rule.claim);
    return rule.issuer === issuer && (value === rule.value || (Array.isArray(value) && value.includes(rule.value)));
  });
}
