import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { AuditLog } from '../audit/log.ts';
import { Denial } from '../policy/denial.ts';
import type { Minted } from '../cluster/mint.ts';
import type { Decision } from '../policy/decide.ts';
import type { RequestContext } from './request.ts';
import type { MintTarget } from '../leases/bound-objects.ts';
import type { Lease } from '../leases/lease.ts';
import type { Subject } from '../issuers/issuers.ts';

type Facts = Partial<Omit<AuditEvent, 'event' | 'outcome'>>;

/** What one request comes to: facts are gathered on the way, and there is one event in the end. */
export interface Trail {
  readonly facts: Readonly<Facts>;
  add(facts: Facts): void;
  addQuestion(asked: { readonly grant: string; readonly expiresIn: number | undefined }): void;
  addSubject(subject: Subject): void;
  addDecision(decision: Decision): void;
  addLease(opened: {
    readonly lease: Lease | undefined;
    readonly target: Pick<MintTarget, 'account'>;
    readonly retry: boolean;
  }): void;
  addMinted(minted: Minted): void;
  /** Writes the event. Throws `audit_unavailable`. */
  end(outcome: AuditEvent['outcome'], facts?: Facts): Promise<void>;
  /** Writes the event of a failure, as far as that is possible; never throws. */
  fail(error: unknown): Promise<void>;
}

export function openTrail(event: AuditEvent['event'], context: RequestContext, audit: AuditLog, policy: string): Trail {
  const { requestId, trace, address } = context;
  let facts: Facts = { requestId, traceId: trace?.id, address, policy };
  let ended = false;

  const end = async (outcome: AuditEvent['outcome'], more: Facts = {}): Promise<void> => {
    ended = true;
    facts = { ...facts, ...more };
    await audit.record({ event, outcome, ...facts });
  };
  return {
    get facts() {
      return facts;
    },
    add(more) {
      facts = { ...facts, ...more };
    },
    addSubject({ issuer, claims, tokenHash }) {
      const sub = Object.hasOwn(claims, 'sub') ? claims['sub'] : undefined;
      const subject = sub === undefined ? undefined : clean(typeof sub === 'string' ? sub : JSON.stringify(sub));
      facts = { ...facts, issuer, subject, subjectSha256: tokenHash };
    },
    addQuestion({ grant, expiresIn }) {
      facts = { ...facts, grant: clean(grant, 80), asked: expiresIn };
    },
    addDecision(decision) {
      const cluster = decision.grant?.cluster;
      if (decision.allowed) facts = { ...facts, cluster, claims: first(decision.matched) };
      else {
        const failed = decision.conditions.filter(({ ok }) => !ok).slice(0, maxClaims);
        facts = { ...facts, cluster, failed: failed.map(({ claim, seen }) => ({ claim, seen })) };
      }
    },
    addLease({ lease, target: { account }, retry }) {
      facts = { ...facts, account: `${account.namespace}/${account.name}`, lease: lease?.name };
      if (retry) facts = { ...facts, retry };
    },
    addMinted({ jti, expiresAt, warnings }) {
      facts = { ...facts, jti: clean(jti, 128), expires: new Date(expiresAt).toISOString() };
      if (warnings.length > 0) facts = { ...facts, warnings };
    },
    end,
    async fail(error) {
      // An event whose own writing failed is told already.
      if (ended) return;
      await end(isDenied(error) ? 'denied' : 'failed', whyOf(error)).catch(() => undefined);
    },
  };
}

/** So that a line stays shorter than the 16 KiB at which container runtimes cut. */
const maxClaims = 40;

function first(claims: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(claims).slice(0, maxClaims));
}

function isDenied(error: unknown): boolean {
  return error instanceof KleisError && error.status < 500 && error.code !== 'caller_gone';
}

function whyOf(error: unknown): Facts {
  if (!(error instanceof KleisError)) {
    // Its text may hold anything; the log has its stack.
    return { code: 'unexpected', detail: error instanceof Error ? clean(error.name, 60) : undefined };
  }
  const reason = error instanceof Denial ? error.reason : undefined;
  return { code: error.code, reason, detail: error.detail === undefined ? undefined : clean(error.detail, 600) };
}
