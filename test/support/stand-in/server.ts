import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { KeyPair } from '../certificates.ts';
import type { AuditEvent, ClusterOidc } from '../cluster.ts';
import { createAuthenticator, isAllowed, review, type User } from './access.ts';
import {
  createObject,
  deleteObject,
  patchObject,
  replaceObject,
  selector,
  watchObjects,
  type Target,
} from './objects.ts';
import { decodeReview, protobufType } from './protobuf.ts';
import { apiVersion, describePath, fullName, resources, versionInfo } from './resources.ts';
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
  stop(): Promise<void>;
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
  for (const name of ['default', 'kube-public', 'kube-system']) {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name }, status: { phase: 'Active' } };
    store.create('namespaces', namespace);
  }
  const authenticate = createAuthenticator(adminToken, oidc);
  const refused = new Set<string>();
  const requests: AuditEvent[] = [];

  async function identify(header: string | undefined): Promise<User | undefined> {
    const token = /^Bearer (.+)$/i.exec(header ?? '')?.[1];
    if (token === undefined) return undefined;
    const user = refused.has(token) ? undefined : await authenticate(token);
    if (user === undefined) throw unauthorized();
    return user;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname: path, searchParams: query } = new URL(request.url ?? '/', 'https://stand-in.invalid');
    const method = request.method ?? 'GET';
    let user: User | undefined;
    // When the answer begins, not when it ends: a watch is seen while it runs.
    const record = (status: number) =>
      requests.push({ method: method.toLowerCase(), uri: request.url ?? '/', user: user?.username, status });
    try {
      user = await identify(request.headers.authorization);
      await answer({ method, path, query, request, response, user }, store, oidc, record);
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError(500, 'InternalError', String(error));
      record(failure.code);
      send(response, failure.code, failure.toStatus());
    }
  }

  const server = createServer({ ...tls }, (request, response) => void handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    store,
    requests,
    refuse: (token) => void refused.add(token),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  call: Call,
  store: Store,
  oidc: ClusterOidc | undefined,
  record: (status: number) => void,
): Promise<void> {
  const { method, path, query, request, response, user } = call;
  const succeed = (status: number, body: object | string) => {
    record(status);
    send(response, status, body);
  };
  if (publicPaths.has(path)) return succeed(200, path === '/version' ? versionInfo : 'ok');
  if (user === undefined) throw forbidden(undefined, `cannot get path "${path}"`);
  const described = method === 'GET' ? describePath(path) : undefined;
  if (described) return succeed(200, described);

  const target = parsePath(path);
  const { resource } = target;
  const verb = verbOf(method, target, query);
  if (!isAllowed(user, { verb, group: resource.group, resource: resource.plural }, oidc)) {
    const where = target.namespace === undefined ? 'at the cluster scope' : `in the namespace "${target.namespace}"`;
    const what = `${fullName(resource)} ${target.name === undefined ? 'is' : `"${target.name}" is`} forbidden: `;
    throw forbidden(
      user,
      `cannot ${verb} resource "${resource.plural}" in API group "${resource.group}" ${where}`,
      what,
    );
  }
  const table = wantsTable(request.headers.accept);
  if (verb === 'watch') {
    record(200);
    return streamWatch(call, store, target, table);
  }
  if (verb === 'list') {
    const items = store.list(fullName(resource), target.namespace).filter(selector(query));
    const list = {
      kind: `${resource.kind}List`,
      apiVersion: apiVersion(resource),
      metadata: { resourceVersion: store.version },
      items,
    };
    return succeed(200, table ? toTable(resource, items, store.version) : list);
  }
  const body = method === 'GET' ? undefined : await readBody(request);
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
  if (resource.review) return review(body as KubeObject, call.user as User, oidc);
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
      return deleteObject(store, target, body, dryRun);
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
  if (resource === undefined || subresource.length > 0 || (inNamespace && !resource.namespaced)) throw unknownPath();
  return { resource, namespace: inNamespace ? second : undefined, name };
}

function verbOf(method: string, { name }: Target, query: URLSearchParams): string {
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
  if (response.headersSent) {
    response.end();
    return;
  }
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  response.writeHead(status, { 'content-type': typeof body === 'string' ? 'text/plain' : 'application/json' });
  response.end(text);
}
