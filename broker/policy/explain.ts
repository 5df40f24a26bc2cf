import type { KleisError } from '../../shared/errors.ts';
import type { ExplainResponse } from '../../shared/protocol.ts';
import { Denial } from './denial.ts';
import type { Decision } from './decide.ts';

/**
 * The decision that an exchange would come to, for whoever asks. An admin sees all of it. Everybody else gets what the
 * exchange itself would answer: throws that error.
 */
export function explain(decision: Decision, grant: string, admin: boolean): ExplainResponse {
  if (!decision.allowed && !admin) throw new Denial(decision);
  return admin ? explainAll(decision, grant) : explainAllowed(decision, grant);
}

/** Everything, as `kleis-broker explain` and admins see it. */
export function explainAll(decision: Decision, grant: string): ExplainResponse {
  const conditions = decision.conditions.map(({ claim, expected, seen, ok }) => ({ claim, expected, seen, ok }));
  if (decision.allowed) {
    return { allowed: true, grant, cluster: decision.grant.cluster, expires_in: decision.ttl, conditions };
  }
  const cluster = decision.grant?.cluster;
  return { allowed: false, grant, reason: decision.reason, ...(cluster !== undefined && { cluster }), conditions };
}

function explainAllowed(decision: Decision, grant: string): ExplainResponse {
  if (!decision.allowed) return { allowed: false, grant };
  const { explain: open } = decision.grant.config;
  const conditions = decision.conditions.map(({ claim, expected, seen, ok }) => ({
    claim,
    seen,
    ok,
    ...(open && { expected }),
  }));
  return { allowed: true, grant, cluster: decision.grant.cluster, expires_in: decision.ttl, conditions };
}

/** What the error of a denial tells beside its text. */
export function failedOf(error: KleisError): Denial['failed'] | undefined {
  return error instanceof Denial && error.failed.length > 0 ? error.failed : undefined;
}
