import { isIP } from 'node:net';
import express, { type NextFunction, type Request, type Response } from 'express';
import { rateLimit } from 'express-rate-limit';
import { recordRefusal } from './audited.ts';
import { KleisError } from '../../shared/errors.ts';
import { routes } from '../../shared/protocol.ts';
import { keyOfAddress, storeOf, tooMany } from './limits.ts';
import { callOf, withoutPort } from './request.ts';
import type { Counters } from '../service/counters.ts';
import type { Services } from '../service/services.ts';

/** A token in clear text is everybody's, and probes bring none: only from this machine, or from a proxy that is named and did TLS itself. */
export function refuseClearText(current: () => Services, confidential: boolean) {
  return (request: Request, _: Response, next: NextFunction): void => {
    if (!confidential && !isProbe(request.path)) {
      const proto = request.get('x-forwarded-proto')?.split(',').at(-1)?.trim().toLowerCase();
      const trusted = trustOf(current()).covers(request.socket.remoteAddress ?? '', 0);
      if (!trusted) throw new KleisError('proxy_untrusted', 'This address takes requests from its proxies alone.');
      if (proto !== undefined && proto !== 'https') {
        throw new KleisError('proxy_untrusted', 'The request came to the proxy without TLS.');
      }
    }
    next();
  };
}

interface Trust {
  readonly covers: (address: string, hop: number) => boolean;
}

const trusts = new WeakMap<object, Trust>();

/** Compiled once for each configuration. */
export function trustOf({ loaded: { config } }: Services): Trust {
  let trust = trusts.get(config);
  if (trust === undefined) {
    trust = { covers: compileTrust(config.trustedProxies) };
    trusts.set(config, trust);
  }
  return trust;
}

function compileTrust(proxies: readonly string[]): Trust['covers'] {
  // Express's own compiler, with the names it knows.
  const app = express();
  app.set('trust proxy', proxies.length === 0 ? false : [...proxies]);
  const covers = app.get('trust proxy fn') as Trust['covers'];
  return (given, hop) => {
    const address = withoutPort(given);
    return isIP(address) !== 0 && covers(address, hop);
  };
}

/** By address, before anything is verified. */
export function limitAddresses(current: () => Services, addresses: Counters) {
  return rateLimit({
    windowMs: 60_000,
    store: storeOf(addresses),
    limit: () => current().loaded.config.limits.perAddress,
    // Kubelets ask often; what comes with a token costs the verification of one.
    skip: (request) => isProbe(request.path) && request.get('authorization') === undefined,
    keyGenerator: (request) => keyOfAddress(callOf(request).address),
    standardHeaders: false,
    legacyHeaders: false,
    // They look at how the keys are made, which a test here does.
    validate: false,
    handler: (request, _response, next) => {
      const services = current();
      const { used, limit, resetTime } = (request as Request & { rateLimit: RateLimitInfo }).rateLimit;
      const wait = Math.ceil(((resetTime?.getTime() ?? 0) - services.clock.now()) / 1000);
      const error = tooMany('address', Math.max(1, wait));
      services.telemetry.limited('address');
      // One event for each minute and address: a flood of requests must not become a flood of events.
      if (used === limit + 1) {
        void services.background.run('record', async () => recordRefusal('limited', callOf(request), services, error));
      }
      next(error);
    },
  });
}

function isProbe(path: string): boolean {
  return path === routes.healthz || path === routes.readyz || path === routes.metrics;
}

interface RateLimitInfo {
  readonly used: number;
  readonly limit: number;
  readonly resetTime: Date | undefined;
}
