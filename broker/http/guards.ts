import { isIP } from 'node:net';
import express, { type Request } from 'express';
import { recordRefusal } from './audited.ts';
import { KleisError } from '../../shared/errors.ts';
import { routes } from '../../shared/protocol.ts';
import { keyOfAddress, tooMany } from './limits.ts';
import { type Call, withoutPort } from './request.ts';
import type { Counters } from '../service/counters.ts';
import type { Services } from '../service/services.ts';

/** What a request must pass before it comes to a route. Throws `KleisError`. */
export type Guard = (call: Call, request: Request) => void;

/** A token in clear text is everybody's, and probes bring none: only from this machine, or from a proxy that is named and did TLS itself. */
export function refuseClearText(current: () => Services, confidential: boolean): Guard {
  return (call, request) => {
    if (confidential || isProbe(request.path)) return;
    const proto = call.header('x-forwarded-proto')?.split(',').at(-1)?.trim().toLowerCase();
    if (!isProxy(current(), request.socket.remoteAddress ?? ''))
      throw new KleisError('proxy_untrusted', 'This address takes requests from its proxies alone.');
    if (proto !== undefined && proto !== 'https') {
      throw new KleisError('proxy_untrusted', 'The request came to the proxy without TLS.');
    }
  };
}

type Covers = (address: string, hop: number) => boolean;

const trusts = new WeakMap<object, Covers>();

/** Whether the address is one of the trusted proxies; compiled once for each configuration. */
export function isProxy({ loaded: { config } }: Services, address: string, hop = 0): boolean {
  let covers = trusts.get(config);
  if (covers === undefined) {
    covers = compileTrust(config.trustedProxies);
    trusts.set(config, covers);
  }
  return covers(address, hop);
}

function compileTrust(proxies: readonly string[]): Covers {
  // Express's own compiler, with the names it knows.
  const app = express();
  app.set('trust proxy', proxies.length === 0 ? false : [...proxies]);
  const covers = app.get('trust proxy fn') as Covers;
  return (given, hop) => {
    const address = withoutPort(given);
    return isIP(address) !== 0 && covers(address, hop);
  };
}

/** By address, before anything is verified. Throws `rate_limited`. */
export function limitAddresses(current: () => Services, addresses: Counters): Guard {
  return (call, request) => {
    // Kubelets ask often; what comes with a token costs the verification of one.
    if (isProbe(request.path) && call.header('authorization') === undefined) return;
    const services = current();
    const limit = services.loaded.config.limits.perAddress;
    const { hits, resetAt } = addresses.increment(keyOfAddress(call.address));
    if (hits <= limit) return;
    const error = tooMany('address', resetAt - services.clock.now());
    services.telemetry.limited('address');
    // One event for each minute and address: a flood of requests must not become a flood of events.
    if (hits === limit + 1) {
      void services.background.run('record', async () => recordRefusal('limited', call, services, error));
    }
    throw error;
  };
}

function isProbe(path: string): boolean {
  return path === routes.healthz || path === routes.readyz || path === routes.metrics;
}
