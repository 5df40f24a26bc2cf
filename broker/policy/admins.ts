import type { AdminRule } from '../config/schema.ts';
import { type Claims, claimOf } from './match.ts';

/** Whether a verified token of this issuer (its name) is an admin's: the claim is the rule's value, or a list with it. */
export function isAdmin(rules: readonly AdminRule[], issuer: string, claims: Claims): boolean {
  return rules.some((rule) => {
    const value = claimOf(claims, rule.claim);
    return rule.issuer === issuer && (value === rule.value || (Array.isArray(value) && value.includes(rule.value)));
  });
}
