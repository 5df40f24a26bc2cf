import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import helmet from 'helmet';
import { KleisError } from '../../shared/errors.ts';
import { isLoopback } from '../../shared/net/proxy.ts';
import { routes } from '../../shared/protocol.ts';
import { endLease, listLeases, signedIn, signedInAdmin } from './leases.ts';
import { sendError, sendJson } from '../http/answer.ts';
import { isAdmin } from '../policy/admins.ts';
import type { ClusterPlaces } from '../cluster/places.ts';
import { exchange, translate } from './exchange.ts';
import { explain } from '../policy/explain.ts';
import { parseForm, parseQuestion } from '../http/form.ts';
import { limitAddresses, refuseClearText, trustOf } from '../http/guards.ts';
import type { Health } from '../service/health.ts';
import { countSubject } from '../http/limits.ts';
import type { Counters } from '../service/counters.ts';
import { decide, isStranger } from '../policy/decide.ts';
import { contextOf, openContext } from '../http/request.ts';
import { revoke } from './revoke.ts';
import type { Services } from '../service/services.ts';
import { openTrail } from '../http/trail.ts';
import { describeBroker, describeGrant, grantsOf, writeKubeconfig } from './well-known.ts';

/** What the routes are served from; each of its parts may be another at the next request. */
export interface Broker {
  readonly current: Services;
  readonly health: () => Health;
  readonly draining: boolean;
  /** By address, before anything is verified. */
  readonly addresses: Counters;
  readonly places: ClusterPlaces;
}

export interface AppOptions {
  /** It is served over TLS, or to this machine alone; if not, only trusted proxies may speak to it. */
  readonly confidential: boolean;
  /** `/metrics` and the details of `/readyz` are on an address of their own. */
  readonly operationsElsewhere: boolean;
}

/** A subject token has up to 16 kB; the rest of the form is small. */
const maxBody = 48 * 1024;

/** All routes; does not listen. Answers with JSON and nothing else. */
export function createApp(broker: Broker, options: AppOptions): Express {
  const app = createBase();
  // Asked at each request, since a reload may name others.
  app.set('trust proxy', (address: string, hop: number) => trustOf(broker.current).covers(address, hop));
  app.use(forStart(broker));
  app.use(limitAddresses(() => broker.current, broker.addresses));
  describeOperations(app, broker, options.operationsElsewhere);
  app.use(refuseClearText(() => broker.current, options.confidential));
  describeRoutes(app, broker);
  return closeBase(app, broker);
}

/** `/healthz`, `/readyz` and `/metrics` with all they know, for an address that only operators reach. */
export function createOperationsApp(broker: Broker): Express {
  const app = createBase();
  app.set('trust proxy', false);
  app.use(forStart(broker));
  describeHealth(app, broker, async () => true);
  only(app, routes.metrics, {
    get: async (_, response) => sendMetrics(response, broker),
  });
  return closeBase(app, broker);
}

type Handler = (request: Request, response: Response) => Promise<void>;

/** One path with the methods that it has; 405 for all others. */
function only(app: Express, path: string, methods: Partial<Record<'get' | 'post' | 'delete', Handler>>): void {
  const allow = Object.keys(methods).map((name) => name.toUpperCase());
  if (methods.get) app.get(path, methods.get);
  if (methods.post) app.post(path, methods.post);
  if (methods.delete) app.delete(path, methods.delete);
  app.all(path, (_, response) => {
    response.set('Allow', allow.join(', '));
    throw new KleisError('method_unsupported', `This path takes ${allow.join(' and ')}.`);
  });
}

function createBase(): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);
  return app;
}

function forStart(broker: Broker) {
  const protect = helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    referrerPolicy: { policy: 'no-referrer' },
  });
  return (request: Request, response: Response, next: NextFunction): void => {
    const { requestId } = openContext(request, response);
    response.set({ 'X-Request-Id': requestId, 'Cache-Control': 'no-store', Pragma: 'no-cache' });
    if (broker.draining) response.set('Connection', 'close');
    protect(request, response, next);
  };
}

function closeBase(app: Express, broker: Broker): Express {
  app.use(() => {
    throw new KleisError('route_unknown', 'There is nothing at this path.');
  });
  app.use((thrown: unknown, request: Request, response: Response, next: NextFunction): void => {
    if (response.headersSent) return next(thrown);
    const context = contextOf(request);
    const error = translate(isHttpError(thrown) ? bodyError(thrown) : thrown);
    logFailure(broker, request, error);
    if (!response.destroyed) sendError(response, error, context.requestId);
  });
  return app;
}

/** Faults of ours and of what we depend on; what callers do wrong is in the audit. */
function logFailure(broker: Broker, request: Request, error: KleisError): void {
  const { requestId, address, trace } = contextOf(request);
  const { code, detail, status } = error;
  const fields = { requestId, traceId: trace?.id, address, method: request.method, code, status, detail };
  const { log } = broker.current;
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

interface HttpError {
  readonly status: number;
  readonly type?: string;
}

/** Of express's own: bodies that cannot be read, paths that cannot be decoded. */
function isHttpError(error: unknown): error is HttpError {
  return (
    error instanceof Error &&
    !(error instanceof KleisError) &&
    typeof (error as { status?: unknown }).status === 'number'
  );
}

function bodyError({ status, type }: HttpError): KleisError {
  if (status === 413) return new KleisError('request_too_large', `The body is longer than ${maxBody} bytes.`);
  if (type === 'request.aborted') return new KleisError('caller_gone', 'The request ended in its middle.');
  if (status === 415) return new KleisError('request_malformed', 'The body is compressed, which is not supported.');
  return new KleisError('request_malformed', 'The request cannot be read.');
}

const readRaw = express.raw({ type: 'application/x-www-form-urlencoded', limit: maxBody, inflate: false });

/** The body as it came, read when it is asked for, so that what is wrong with it is an outcome like any other. */
function bodyOf(request: Request, response: Response): () => Promise<unknown> {
  return async () =>
    new Promise((resolve, reject) => {
      readRaw(request, response, (error?: unknown) => {
        if (error === undefined) resolve(request.body);
        else reject(isHttpError(error) ? bodyError(error) : error);
      });
    });
}

function describeRoutes(app: Express, broker: Broker): void {
  only(app, routes.token, {
    post: async (request, response) => {
      const services = broker.current;
      const context = contextOf(request);
      const idempotencyKey = request.get('idempotency-key');
      const { response: body, withdraw } = await exchange(
        { context, idempotencyKey, body: bodyOf(request, response) },
        services,
      );
      // Finished: handed to the network. What is lost after that, the caller has an Idempotency-Key for.
      const takeBack = (): void => {
        if (!response.writableFinished) void services.background.run('withdraw', withdraw);
      };
      if (context.gone.aborted) return takeBack();
      response.once('close', takeBack);
      sendJson(response, 200, body);
    },
  });

  only(app, routes.revoke, {
    post: async (request, response) => {
      const body = bodyOf(request, response);
      sendJson(response, 200, await revoke({ context: contextOf(request), body }, broker.current));
    },
  });

  only(app, routes.explain, {
    post: async (request, response) => sendJson(response, 200, await explainTo(request, response, broker.current)),
  });

  only(app, routes.wellKnown, {
    get: async (request, response) => {
      const services = broker.current;
      const subject = await signedIn(request.get('authorization'), services);
      const open = describeBroker(services.loaded.config);
      if (subject === undefined) return sendJson(response, 200, open);
      const grants = await grantsOf(services.loaded.policy, subject, services.clock.now());
      const clusters = await broker.places.describe(
        services.loaded.config.clusters,
        new Set(grants.map(({ cluster }) => cluster)),
      );
      sendJson(response, 200, { ...open, clusters, grants: grants.map(describeGrant) });
    },
  });

  only(app, routes.kubeconfig, {
    get: async (request, response) => {
      const services = broker.current;
      const { loaded, audit, clock } = services;
      const trail = openTrail('kubeconfig', contextOf(request), audit, loaded.hash);
      try {
        const subject = await signedIn(request.get('authorization'), services);
        if (subject === undefined) throw new KleisError('bearer_missing', 'A kubeconfig is for somebody who signs in.');
        trail.addSubject(subject);
        const grants = await grantsOf(loaded.policy, subject, clock.now());
        const clusters = await broker.places.describe(
          services.loaded.config.clusters,
          new Set(grants.map(({ cluster }) => cluster)),
        );
        const issuer = loaded.config.issuers[subject.issuer]!;
        const text = writeKubeconfig(loaded.config.publicUrl, issuer, grants, clusters);
        await trail.end('allowed');
        response.status(200).type('application/yaml').send(text);
      } catch (thrown) {
        const error = translate(thrown);
        await trail.fail(error);
        throw error;
      }
    },
  });

  only(app, routes.leases, {
    get: async (request, response) => {
      const call = { context: contextOf(request), authorization: request.get('authorization'), query: request.query };
      sendJson(response, 200, await listLeases(call, broker.current));
    },
  });
  only(app, `${routes.leases}/:id`, {
    delete: async (request, response) => {
      const id = String(request.params['id']);
      const call = { context: contextOf(request), authorization: request.get('authorization'), id };
      sendJson(response, 200, await endLease(call, broker.current));
    },
  });
}

async function explainTo(request: Request, response: Response, services: Services) {
  const { loaded, issuers, counters, audit, clock } = services;
  const trail = openTrail('explain', contextOf(request), audit, loaded.hash);
  try {
    const asked = parseQuestion(parseForm(await bodyOf(request, response)()));
    trail.addQuestion(asked);
    const asker = await signedIn(request.get('authorization'), services);
    const subject = await issuers.verify(asked.subjectToken.reveal());
    trail.addSubject(subject);
    const admin = isAdmin(asker ?? subject, loaded.config.admins);
    const decision = decide(loaded.policy, subject, asked, clock.now());
    if (asker === undefined) {
      countSubject(counters, subject, !admin && isStranger(decision), loaded.config.limits, clock.now());
    }
    const answer = explain(decision, asked.grant, admin);
    await trail.end(answer.allowed ? 'allowed' : 'denied', { reason: answer.reason });
    return answer;
  } catch (thrown) {
    const error = translate(thrown);
    await trail.fail(error);
    throw error;
  }
}

function describeOperations(app: Express, broker: Broker, elsewhere: boolean): void {
  /** Names of grants, issuers and clusters are not for strangers. */
  const mayKnow = async (request: Request): Promise<boolean> => {
    if (elsewhere) return false;
    const { remoteAddress } = request.socket;
    const direct = request.get('x-forwarded-for') === undefined && request.get('forwarded') === undefined;
    const local = remoteAddress !== undefined && isLoopback(remoteAddress.replace(/^::ffff:/, ''));
    // A proxy on the same machine makes everybody local.
    if (local && direct && !trustOf(broker.current).covers(remoteAddress, 0)) return true;
    const authorization = request.get('authorization');
    return authorization !== undefined && (await signedInAdmin(authorization, broker.current)) !== undefined;
  };
  describeHealth(app, broker, mayKnow);
  only(app, routes.metrics, {
    get: async (request, response) => {
      if (!(await mayKnow(request))) throw new KleisError('route_unknown', 'There is nothing at this path.');
      await sendMetrics(response, broker);
    },
  });
}

function describeHealth(app: Express, broker: Broker, mayKnow: (request: Request) => Promise<boolean>): void {
  only(app, routes.healthz, {
    // Alive: whatever else is wrong, starting anew would not help.
    get: async (_, response) => sendJson(response, 200, { alive: true }),
  });
  only(app, routes.readyz, {
    get: async (request, response) => {
      const { ready, checks } = broker.health();
      sendJson(response, ready ? 200 : 503, { ready, ...((await mayKnow(request)) && { checks }) });
    },
  });
}

async function sendMetrics(response: Response, broker: Broker): Promise<void> {
  const { telemetry } = broker.current;
  response
    .status(200)
    .set('Content-Type', telemetry.contentType)
    .send(await telemetry.text());
}
