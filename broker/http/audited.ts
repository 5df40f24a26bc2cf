import type { KleisError } from '../../shared/errors.ts';
import type { AuditEvent } from '../audit/event.ts';
import type { Services } from '../service/services.ts';
import type { Attributes } from '../service/spans.ts';
import type { Answer } from './answer.ts';
import { translate } from './faults.ts';
import { type Call, sampledTrace } from './request.ts';
import { failureOf, openTrail, type Trail } from './trail.ts';

/** One method of one address. Made by `audited` or `unaudited`, so that none can forget its event by mistake. */
export interface Route {
  readonly event: AuditEvent['event'] | 'none';
  /** Throws `KleisError` alone. */
  readonly handle: (call: Call, services: Services) => Promise<Answer>;
}

/**
 * A route whose every outcome is one event and one count, whatever happens: the event is written before the caller has
 * the answer. Where it cannot be written, the caller gets `audit_unavailable` instead.
 */
export function audited(
  event: AuditEvent['event'],
  work: (call: Call, services: Services, trail: Trail) => Promise<Answer>,
): Route {
  return { event, handle: (call, services) => settle(event, call, services, (trail) => work(call, services, trail)) };
}

/** The same for what is one of several things that a request does: each has an event of its own. Throws `KleisError` alone. */
export async function settle<T>(
  event: AuditEvent['event'],
  call: Call,
  services: Services,
  work: (trail: Trail) => Promise<T>,
): Promise<T> {
  const { audit, telemetry, loaded } = services;
  const trail = openTrail(call, loaded.hash);
  const count = (outcome: string, reason: string): void => {
    const labels = { outcome, reason, grant: trail.knownGrant ?? '', issuer: trail.facts.issuer ?? '' };
    call.describe(attributesOf(trail, outcome, reason));
    telemetry.settled(event, labels, (performance.now() - call.startedAt) / 1000, sampledTrace(call));
  };
  let recording = false;
  try {
    const result = await work(trail);
    recording = true;
    await call.step('audit', async () => audit.record({ event, outcome: trail.outcome, ...trail.facts }));
    count(trail.outcome, trail.facts.reason ?? 'ok');
    return result;
  } catch (thrown) {
    const error = translate(thrown);
    const failure = failureOf(error);
    count(failure.outcome, error.code);
    // The audit log keeps an event that it could not write, and writes it later: no second one.
    const record = async () => audit.record({ event, ...trail.facts, ...failure });
    if (!recording) await call.step('audit', record).catch(() => undefined);
    throw error;
  }
}

/** For its span: names of the configuration, and words and ids of ours. */
function attributesOf({ knownGrant, facts }: Trail, outcome: string, reason: string): Attributes {
  return {
    'kleis.outcome': outcome,
    'kleis.reason': reason,
    'kleis.issuer': facts.issuer,
    'kleis.grant': knownGrant,
    'kleis.lease': facts.lease,
    'k8s.cluster.name': facts.cluster,
  };
}

/** A route that leaves no event: its answer is public, or it is asked all the time. */
export function unaudited(handle: Route['handle']): Route {
  return {
    event: 'none',
    async handle(call, services) {
      try {
        return await handle(call, services);
      } catch (thrown) {
        throw translate(thrown);
      }
    },
  };
}

/** One route for anybody, and another for who sends a bearer token. */
export function bySignIn(anonymous: Route, signedIn: Route): Route {
  return {
    event: signedIn.event,
    handle: async (call, services) =>
      (call.header('authorization') === undefined ? anonymous : signedIn).handle(call, services),
  };
}

/** For what is refused before it reaches a route. */
export async function recordRefusal(
  event: AuditEvent['event'],
  call: Call,
  { audit, loaded }: Services,
  error: KleisError,
): Promise<void> {
  await audit.record({ event, ...openTrail(call, loaded.hash).facts, ...failureOf(error) });
}
