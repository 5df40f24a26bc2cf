import { KleisError } from '../../shared/errors.ts';
import type { Readiness } from '../../shared/protocol.ts';
import { type Answer, json } from '../http/answer.ts';
import type { Route } from '../http/audited.ts';
import { signedInAdmin } from '../http/caller.ts';
import type { Call } from '../http/request.ts';
import type { Health } from '../service/health.ts';
import type { Services } from '../service/services.ts';

type Handler = Route['handle'];

/**
 * Who learns what is well and what is not: names of grants, issuers and clusters are not for strangers. Whoever comes from
 * this machine is one: a sidecar, a tunnel or a proxy makes everybody local.
 */
export type Reader = 'everybody' | 'admins' | 'nobody';

/** `GET /healthz`: alive. Whatever else is wrong, starting anew would not help. */
export async function healthz(): Promise<Answer> {
  return json({ alive: true });
}

/** `GET /readyz`. */
export function readyz(health: () => Health, reader: Reader): Handler {
  return async (call, services) => {
    const { ready, checks } = health();
    const readiness: Readiness = { ready, ...((await mayKnow(call, services, reader)) && { checks }) };
    return json(readiness, ready ? 200 : 503);
  };
}

/** `GET /metrics`; for those who may not know it does not exist. */
export function metrics(reader: Reader): Handler {
  return async (call, services) => {
    if (!(await mayKnow(call, services, reader)))
      throw new KleisError('route_unknown', 'There is nothing at this path.');
    const { type, text } = await services.telemetry.read(call.header('accept'));
    return { status: 200, type, body: text };
  };
}

async function mayKnow(call: Call, services: Services, reader: Reader): Promise<boolean> {
  if (reader !== 'admins') return reader === 'everybody';
  if (call.header('authorization') === undefined) return false;
  // Asked every few seconds, and it changes nothing: it leaves no event.
  await signedInAdmin(call, services, () => undefined);
  return true;
}
