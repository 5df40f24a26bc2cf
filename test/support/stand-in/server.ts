import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { KeyPair } from '../certificates.ts';
import type { AuditEvent, ClusterOidc } from '../cluster.ts';
import { createAuthenticator, isAllowed, review, type User } from './access.ts';
import { admit } from './validation.ts';
import {
  createObject,
  deleteObject,
  pageOf,
  patchObject,
  replaceObject,
  selector,
  watchObjects,
  type Target,
} from './objects.ts';
import { decodeReview, protobufType } from './protobuf.ts';
import { apiVersion, describePath, fullName, resources, versionInfo } from './resources.ts';
import { createServiceAccounts, type ServiceAccounts } from './service-accounts.ts';
import { ApiError, badRequest, unauthorized, unknownPath } from './status.ts';
import { createStore, type KubeObject, type Store } from './store.ts';
import { toTable, wantsTable } from './table.ts';

export interface StandInOptions {
  readonly tls: KeyPair;
  readonly adminToken: string;
  readonly oidc: ClusterOidc | undefined;
}

export interface StandIn {
  /** https://127.0.0.1:PORT */
  readonly url: string;
  readonly store: Store;
  /** Every request so far. */
  readonly requests: readonly AuditEvent[];
  /** 401 for this token from now on, however valid it is. */
  refuse(token: string): void;
  /** Asked before each request is dealt with; undefined lets it be. */
  fault:
    | ((request: { readonly method: string; readonly path: string; readonly query?: string }) => Fault | undefined)
    | undefined;
  /** Milliseconds that its clock is ahead of ours. */
  clockOffset: number;
  /** A list that was begun before now cannot be continued: 410. */
  compact(): void;
  stop(): Promise<void>;
}

/** What goes wrong with a request; `after` it was carried out, or instead. */
export type Fault =
  | { readonly kind: 'hang' | 'drop'; readonly after?: boolean }
  | { readonly kind: 'wait'; readonly until: Promise<unknown> }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Record<string, string | string[]>;
      readonly body?: unknown;
    };

/** What the server has, besides its connections. */
interface World {
  readonly store: Store;
  readonly accounts: ServiceAccounts;
  readonly oidc: ClusterOidc | undefined;
  /** The version before which lists cannot be continued. */
  oldest: number;
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly user: User | undefined;
}

const maxBody = 1024 * 1024;
const publicPaths = new Set(['/healthz', '/livez', '/readyz', '/version']);

/** An API server in this process, over TLS: as much of Kubernetes as kubectl and the broker use, and nothing behind it. */
export async function startStandIn({ tls, adminToken, oidc }: StandInOptions): Promise<StandIn> {
  const store = createStore();
  for (const name of ['default', 'kube-node-lease', 'kube-public', 'kube-system']) {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, status: { phase: 'Active' } };
    store.create('namespaces', namespace);
  }
  const refused = new Set<string>();
  const requests: AuditEvent[] = [];
  const server = createServer({ ...tls }, (request, response) => void handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const now = () => Date.now() + standIn.clockOffset;
  const accounts = createServiceAccounts(store, url, now);
  const people = createAuthenticator(adminToken, oidc);
  const world: World = { store, accounts, oidc, oldest: 0 };

  async function identify(header: string | undefined): Promise<User | undefined> {
    const token = /^Bearer (.+)$/i.exec(header ?? '')?.[1];
    if (token === undefined) return undefined;
    const user = refused.has(token) ? undefined : ((await people(token)) ?? (await accounts.authenticate(token)));
    if (user === undefined) throw unauthorized();
    return user;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'https://stand-in.invalid');
    const method = request.method ?? 'GET';
    if (standIn.clockOffset !== 0) response.setHeader('date', new Date(now()).toUTCString());
    let user: User | undefined;
    // When the answer begins, not when it ends: a watch is seen while it runs.
    const record = (status: number) =>
      requests.push({ method: method.toLowerCase(), uri: request.url ?? '/', user: user?.username, status });
    try {
      const fault = standIn.fault?.({ method, path, query: query.toString() });
      if (fault?.kind === 'wait') await fault.until;
      else if (fault && (await fail(fault, request, response))) return;
      user = await identify(request.headers.authorization);
      await answer({ method, path, query, request, response, user }, world, record);
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError(500, 'InternalError', String(error));
      record(failure.code);
      send(response, failure.code, failure.toStatus());
    }
  }

  const standIn: StandIn = {
    url,
    store,
    requests,
    fault: undefined,
    clockOffset: 0,
    refuse: (token) => void refused.add(token),
    compact: () => void (world.oldest = Number(store.version) + 1),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return standIn;
}

/** What is done with the answers of requests that went well, when nobody is to hear of it. */
const unheard = new WeakMap<ServerResponse, 'hang' | 'drop'>();

/** True if the request is not to be dealt with. */
async function fail(
  fault: Exclude<Fault, { kind: 'wait' }>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  if (fault.kind !== 'answer') {
    if (fault.after === true) {
      unheard.set(response, fault.kind);
      return false;
    }
    // Read to its end, as a server does that fails then.
    await readBody(request);
    if (fault.kind === 'drop') request.socket.destroy();
    return true;
  }
  await readBody(request);
  const text = typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body ?? {});
  response.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
  response.end(text);
  return true;
}

async function answer(call: Call, world: World, record: (status: number) => void): Promise<void> {
  const { store, accounts, oidc } = world;
  const { method, path, query, request, response, user } = call;
  const succeed = (status: number, body: object | string) => {
    record(status);
    send(response, status, body);
  };
  if (publicPaths.has(path)) return succeed(200, path === '/version' ? versionInfo : 'ok');
  if (user === undefined) throw forbidden(undefined, `cannot get path "${path}"`);
  const described = method === 'GET' ? describePath(path) : undefined;
  if (described) return succeed(200, described);

  if (path === '/openid/v1/jwks') return succeed(200, await accounts.jwks());

  const target = parsePath(path);
  const { resource, namespace, name, subresource } = target;
  const verb = verbOf(method, target, query);
  const plural = subresource === undefined ? resource.plural : `${resource.plural}/${subresource}`;
  if (!isAllowed(store, user, { verb, group: resource.group, resource: plural, namespace, name }, oidc)) {
    const where = target.namespace === undefined ? 'at the cluster scope' : `in the namespace "${target.namespace}"`;
    const what = `${fullName(resource)} ${target.name === undefined ? 'is' : `"${target.name}" is`} forbidden: `;
    throw forbidden(user, `cannot ${verb} resource "${plural}" in API group "${resource.group}" ${where}`, what);
  }
  const table = wantsTable(request.headers.accept);
  if (verb === 'watch') {
    record(200);
    return streamWatch(call, store, target, table);
  }
  if (verb === 'list') {
    const found = store.list(fullName(resource), target.namespace).filter(selector(query));
    const { items, continue: next } = pageOf(found, query, store.version, world.oldest);
    const list = {
      kind: `${resource.kind}List`,
      apiVersion: apiVersion(resource),
      metadata: { resourceVersion: store.version, ...(next === undefined ? {} : { continue: next }) },
      items,
    };
    return succeed(200, table ? toTable(resource, items, store.version) : list);
  }
  const body = method === 'GET' ? undefined : await readBody(request);
  if (subresource !== undefined) {
    const issued = await accounts.issue(namespace ?? '', name ?? '', body, (text) =>
      response.appendHeader('warning', `299 - "${text}"`),
    );
    return succeed(201, issued);
  }
  const object = run(verb, call, store, target, body, oidc);
  const isStatus = object.kind === 'Status';
  const sent = table && !isStatus ? toTable(resource, [object], object.metadata.resourceVersion ?? '') : object;
  return succeed(verb === 'create' ? 201 : 200, sent);
}

function run(
  verb: string,
  call: Call,
  store: Store,
  target: Target,
  body: unknown,
  oidc: ClusterOidc | undefined,
): KubeObject {
  const dryRun = call.query.get('dryRun') === 'All';
  const { resource, namespace, name = '' } = target;
  if (resource.review) return review(store, body as KubeObject, call.user as User, oidc);
  if (body !== undefined) admit(store, call.user, resource, verb, body as KubeObject);
  switch (verb) {
    case 'get':
      return store.get(fullName(resource), namespace, name);
    case 'create':
      return createObject(store, target, body, dryRun);
    case 'update':
      return replaceObject(store, target, body, dryRun);
    case 'patch':
      return patchObject(store, target, call.request.headers['content-type'] ?? '', body, dryRun);
    case 'delete':
      return deleteObject(store, target, body, call.query);
    default:
      throw new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource');
  }
}

function streamWatch({ query, response }: Call, store: Store, target: Target, table: boolean): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  const stop = watchObjects(store, target, query, ({ type, object }) => {
    const shown = table ? toTable(target.resource, [object], object.metadata.resourceVersion ?? '') : object;
    response.write(`${JSON.stringify({ type, object: shown })}\n`);
  });
  const seconds = Number(query.get('timeoutSeconds') ?? 0);
  const timer = seconds > 0 ? setTimeout(() => response.end(), seconds * 1000) : undefined;
  response.once('close', () => {
    clearTimeout(timer);
    stop();
  });
}

function parsePath(path: string): Target {
  const core = /^\/api\/(?<version>[^/]+)(?<rest>\/.*)$/.exec(path);
  const parts = core ?? /^\/apis\/(?<group>[^/]+)\/(?<version>[^/]+)(?<rest>\/.*)$/.exec(path);
  const { group = '', version, rest = '' } = parts?.groups ?? {};
  const [first, second, ...others] = rest.slice(1).split('/').map(decodeURIComponent);
  const inNamespace = first === 'namespaces' && others.length > 0;
  const [plural, name, ...subresource] = inNamespace ? others : [first, second, ...others];
  const resource = resources.find((each) => each.group === group && each.version === version && each.plural === plural);
  if (resource === undefined || (inNamespace && !resource.namespaced)) throw unknownPath();
  const isToken = resource.plural === 'serviceaccounts' && inNamespace && subresource.join('/') === 'token';
  if (subresource.length > 0 && !isToken) throw unknownPath();
  return { resource, namespace: inNamespace ? second : undefined, name, subresource: isToken ? 'token' : undefined };
}

function verbOf(method: string, { name, subresource }: Target, query: URLSearchParams): string {
  if (subresource !== undefined) return method === 'POST' ? 'create' : `unknown method ${method}`;
  if (method === 'GET') {
    if (['true', '1'].includes(query.get('watch') ?? '')) return 'watch';
    return name === undefined ? 'list' : 'get';
  }
  if (method === 'POST' && name === undefined) return 'create';
  const verbs: Readonly<Record<string, string>> = { PUT: 'update', PATCH: 'patch', DELETE: 'delete' };
  return (name === undefined ? undefined : verbs[method]) ?? `unknown method ${method}`;
}

function forbidden(user: User | undefined, cannot: string, what = ''): ApiError {
  return new ApiError(403, 'Forbidden', `${what}User "${user?.username ?? 'system:anonymous'}" ${cannot}`);
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBody) throw new ApiError(413, 'RequestEntityTooLarge', 'request is too large');
    chunks.push(chunk);
  }
  if (size === 0) return undefined;
  const body = Buffer.concat(chunks);
  if (request.headers['content-type'] === protobufType) return decodeReview(body);
  try {
    return JSON.parse(body.toString());
  } catch {
    throw badRequest('the body of the request is not JSON');
  }
}

function send(response: ServerResponse, status: number, body: object | string): void {
  const lost = unheard.get(response);
  if (lost === 'drop') response.socket?.destroy();
  if (lost !== undefined) return;
  if (response.headersSent) {
    response.end();
    return;
  }
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/plain' : 'application/json' });
  response.end(text);
}
