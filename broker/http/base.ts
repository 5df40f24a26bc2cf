import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { KleisError } from '../../shared/errors.ts';
import type { Services } from '../service/services.ts';
import { type Answer, refusal, send } from './answer.ts';
import type { Route } from './audited.ts';
import { translate } from './faults.ts';
import type { Guard } from './guards.ts';
import { type Call, openCall, type OpenCall } from './request.ts';

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
  readonly guards?: readonly Guard[];
  readonly routes: RouteTable;
  /** Tells what is wrong in another form than the API's; undefined where that is the form. */
  readonly tell?: (error: KleisError, call: Call, services: Services) => Promise<Answer> | undefined;
}

/** Answers with what the routes say and, in one form, with what is wrong; does not listen. */
export function createBase(service: Service, { trustProxy, guards = [], routes, tell }: AppParts): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);
  app.set('trust proxy', trustProxy);
  const paths = new Map(Object.entries(routes).map(([path, methods]) => [path, serveMethods(path, methods, service)]));
  app.use((request, response, next) => {
    const call = openCall(request, response);
    response.locals[callName] = call;
    for (const guard of guards) guard(call, request);
    // Nearly all requests name a path as it stands in the table; express would try one pattern after the other.
    const handle = paths.get(request.path);
    return handle === undefined ? next() : handle(request, response);
  });
  for (const [path, handle] of paths) app.all(path, handle);
  app.use(() => {
    throw new KleisError('route_unknown', 'There is nothing at this path.');
  });
  app.use(fail(service, tell));
  return app;
}

/** Of `response.locals`. */
const callName = 'call';

function callOf({ locals }: Response): OpenCall {
  return locals[callName] as OpenCall;
}

type Handler = (request: Request, response: Response) => Promise<void>;

function serveMethods(path: string, methods: RouteTable[string], service: Service): Handler {
  const allow = Object.keys(methods);
  return async (_, response) => {
    const { method } = callOf(response);
    const route = Object.hasOwn(methods, method) ? methods[method as keyof typeof methods] : undefined;
    if (route !== undefined) return serve(route, path, response, service);
    response.setHeader('Allow', allow.join(', '));
    throw new KleisError('method_unsupported', `This path takes ${allow.join(' and ')}.`);
  };
}

async function serve(route: Route, path: string, response: Response, service: Service): Promise<void> {
  const call = callOf(response);
  const services = service.current;
  // What leaves no event is asked by probes, all the time.
  if (services.spans !== undefined && route.event !== 'none') call.collect(services.spans, path);
  const takeBack = (): void => {
    for (const { what, work } of call.takeUndelivered()) void services.background.run(what, work);
  };
  let answer: Answer;
  try {
    answer = await route.handle(call, services);
  } catch (error) {
    takeBack();
    await even(call, response, services);
    throw error;
  }
  await even(call, response, services);
  if (call.gone) return takeBack();
  // Finished: handed to the network. What is lost after that, the caller has an Idempotency-Key for.
  response.once('close', () => {
    if (!response.writableFinished) takeBack();
  });
  send(response, answer, { requestId: call.requestId, draining: service.draining });
}

/** Waits until the answer may go out, or nobody is there to take it. */
async function even(call: OpenCall, response: Response, { clock }: Services): Promise<void> {
  const wait = call.wait();
  if (wait === 0) return;
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  response.once('close', leave);
  if (!call.gone) await clock.sleep(wait, gone.signal).catch(() => undefined);
  response.off('close', leave);
}

function fail(service: Service, tell: AppParts['tell']) {
  return async (thrown: unknown, request: Request, response: Response, next: NextFunction): Promise<void> => {
    if (response.headersSent) return next(thrown);
    const call = callOf(response);
    const error = translate(thrown);
    logFailure(service, request, call, error);
    // Whoever cannot tell it in their own form leaves it to this one.
    const told = await tell?.(error, call, service.current)?.catch(() => undefined);
    if (response.destroyed) return;
    send(response, told ?? refusal(error, call.requestId), { requestId: call.requestId, draining: service.draining });
  };
}

/** Faults of the broker and of what it depends on; what callers do wrong is in the audit. */
function logFailure(
  { current: { log } }: Service,
  request: Request,
  { requestId, address, trace }: OpenCall,
  error: KleisError,
): void {
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
