import { claimOf } from '../../shared/jwt.ts';
import type { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { AuditEvent } from '../audit/event.ts';
import { Denial } from '../policy/denial.ts';
import type { Minted } from '../cluster/mint.ts';
import type { Decision } from '../policy/decide.ts';
import type { Call } from './request.ts';
import type { MintTarget } from '../leases/bound-objects.ts';
import type { Lease } from '../leases/lease.ts';
import type { Subject } from '../issuers/issuers.ts';

export type Facts = Partial<Omit<AuditEvent, 'event' | 'outcome'>>;

/** What one request comes to: facts are gathered on the way, and `audited` makes one event of them. */
export interface Trail {
  readonly facts: Readonly<Facts>;
  /** What it comes to unless something fails; `allowed` if nothing is said. */
  readonly outcome: AuditEvent['outcome'];
  /** The grant that was asked for, if there is one of that name. */
  readonly knownGrant: string | undefined;
  add(facts: Facts): void;
  addQuestion(asked: { readonly grant: string; readonly expiresIn: number | undefined }): void;
  /** Whose token it is about. */
  readonly addSubject: (subject: Subject) => void;
  /** Who asks, where that is somebody else than the subject. */
  readonly addAsker: (asker: Subject) => void;
  addDecision(decision: Decision): void;
  addLease(opened: {
    readonly lease: Lease | undefined;
    readonly target: Pick<MintTarget, 'account'>;
    readonly retry: boolean;
  }): void;
  addMinted(minted: Minted): void;
  conclude(outcome: AuditEvent['outcome'], reason?: string): void;
}

export function openTrail({ requestId, trace, address }: Call, policy: string): Trail {
  const facts: Facts = { requestId, traceId: trace?.id, address, policy };
  let outcome: AuditEvent['outcome'] = 'allowed';
  let knownGrant: string | undefined;
  const add = (more: Facts): void => void Object.assign(facts, more);
  return {
    facts,
    get outcome() {
      return outcome;
    },
    get knownGrant() {
      return knownGrant;
    },
    add,
    addSubject: (subject) => add(describeSubject(subject)),
    addAsker: (asker) => add({ asker: describeSubject(asker) }),
    addQuestion: ({ grant, expiresIn }) => add({ grant: clean(grant, 80), asked: expiresIn }),
    addDecision(decision) {
      knownGrant = decision.grant?.name;
      const cluster = decision.grant?.cluster;
      if (decision.allowed) return add({ cluster, claims: first(decision.matched) });
      const failed = decision.conditions.filter(({ ok }) => !ok).slice(0, maxClaims);
      add({ cluster, failed: failed.map(({ claim, seen }) => ({ claim, seen })) });
    },
    addLease({ lease, target: { account }, retry }) {
      add({ account: `${account.namespace}/${account.name}`, lease: lease?.name, ...(retry && { retry }) });
    },
    addMinted({ jti, expiresAt, warnings }) {
      const expires = new Date(expiresAt).toISOString();
      add({ jti: clean(jti, 128), expires, ...(warnings.length > 0 && { warnings }) });
    },
    conclude(next, reason) {
      outcome = next;
      add({ reason });
    },
  };
}

/** How a failure stands in the audit. */
export function failureOf(error: KleisError): Facts & Pick<AuditEvent, 'outcome'> {
  const { code, status, cause } = error;
  const outcome = status < 500 && code !== 'caller_gone' ? 'denied' : 'failed';
  // Of what was not foreseen the text may hold anything; the log has its stack.
  const name = code === 'unexpected' && cause instanceof Error ? clean(cause.name, 60) : undefined;
  const detail = error.detail ?? name;
  return {
    outcome,
    code,
    reason: error instanceof Denial ? error.reason : undefined,
    detail: detail === undefined ? undefined : clean(detail, 600),
  };
}

function describeSubject({ issuer, claims, tokenHash }: Subject): Facts {
  const sub = claimOf(claims, 'sub');
  const subject = sub === undefined ? undefined : clean(typeof sub === 'string' ? sub : JSON.stringify(sub));
  const jti = claimOf(claims, 'jti');
  const subjectJti = typeof jti === 'string' ? clean(jti, 128) : undefined;
  return { issuer, subject, subjectJti, subjectSha256: tokenHash };
}

/** So that a line stays shorter than the 16 KiB at which container runtimes cut. */
const maxClaims = 40;

function first(claims: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(claims).slice(0, maxClaims));
}
