import express, { type Express, type NextFunction, type Request, type RequestHandler, type Response } from 'express';
import helmet from 'helmet';
import { KleisError } from '../../shared/errors.ts';
import type { Services } from '../service/services.ts';
import { refusal, send } from './answer.ts';
import type { Route } from './audited.ts';
import { translate } from './faults.ts';
import { callOf, openCall } from './request.ts';

/** Methods by address. */
export type RouteTable = Readonly<Record<string, Partial<Record<'GET' | 'POST' | 'DELETE', Route>>>>;

export interface Service {
  /** Of the configuration in force; each request keeps what it began with. */
  readonly current: Services;
  /** It is ending: nobody is to send anything more on a connection. */
  readonly draining: boolean;
}

export interface AppParts {
  /** As express calls it: whose X-Forwarded-For counts. */
  readonly trustProxy: false | ((address: string, hop: number) => boolean);
  /** What every request must pass before it comes to a route. */
  readonly guards?: readonly RequestHandler[];
  readonly routes: RouteTable;
}

/** Answers with what the routes say and, in one form, with what is wrong; does not listen. */
export function createBase(service: Service, { trustProxy, guards = [], routes }: AppParts): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);
  app.set('trust proxy', trustProxy);
  app.use(begin(service));
  for (const guard of guards) app.use(guard);
  for (const [path, methods] of Object.entries(routes)) {
    const allow = Object.keys(methods).join(', ');
    app.all(path, async (request, response) => {
      // RFC 9110 section 9.3.2: as GET, without the body, which express leaves out.
      const method = request.method === 'HEAD' ? 'GET' : request.method;
      const route = Object.hasOwn(methods, method) ? methods[method as keyof typeof methods] : undefined;
      if (route !== undefined) return serve(route, request, response, service.current);
      response.set('Allow', allow);
      throw new KleisError('method_unsupported', `This path takes ${allow.replaceAll(', ', ' and ')}.`);
    });
  }
  app.use(() => {
    throw new KleisError('route_unknown', 'There is nothing at this path.');
  });
  app.use(fail(service));
  return app;
}

function begin(service: Service): RequestHandler {
  const protect = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    referrerPolicy: { policy: 'no-referrer' },
  });
  return (request, response, next) => {
    const { requestId } = openCall(request, response);
    response.set({ 'X-Request-Id': requestId, 'Cache-Control': 'no-store', Pragma: 'no-cache' });
    if (service.draining) response.set('Connection', 'close');
    protect(request, response, next);
  };
}

async function serve(route: Route, request: Request, response: Response, services: Services): Promise<void> {
  const call = callOf(request);
  const takeBack = (): void => {
    for (const { what, work } of call.takeUndelivered()) void services.background.run(what, work);
  };
  const even = async (): Promise<void> => {
    const wait = call.wait();
    if (wait > 0) await services.clock.sleep(wait, call.gone).catch(() => undefined);
  };
  const answer = await route.handle(call, services).catch(async (error: unknown) => {
    takeBack();
    await even();
    throw error;
  });
  await even();
  if (call.gone.aborted) return takeBack();
  // Finished: handed to the network. What is lost after that, the caller has an Idempotency-Key for.
  response.once('close', () => {
    if (!response.writableFinished) takeBack();
  });
  send(response, answer);
}

function fail(service: Service) {
  return (thrown: unknown, request: Request, response: Response, next: NextFunction): void => {
    if (response.headersSent) return next(thrown);
    const error = translate(thrown);
    logFailure(service, request, error);
    if (!response.destroyed) send(response, refusal(error, callOf(request).requestId));
  };
}

/** Faults of the broker and of what it depends on; what callers do wrong is in the audit. */
function logFailure({ current: { log } }: Service, request: Request, error: KleisError): void {
  const { requestId, address, trace } = callOf(request);
  const { code, detail, status } = error;
  const fields = { requestId, traceId: trace?.id, address, method: request.method, code, status, detail };
  if (status < 500) log.debug(fields, 'refused');
  else if (code === 'unexpected') log.error({ ...fields, stack: stackOf(error.cause) }, 'failed');
  else log.warn(fields, 'failed');
}

/** Where, and not what: a message may quote what was sent. */
function stackOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const lines = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return [error.name, ...lines.slice(0, 12)].join('\n');
}
