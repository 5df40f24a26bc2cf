import { apiVersion, fullName, type Resource } from './resources.ts';
import { ApiError, badRequest, conflict, expired } from './status.ts';
import type { KubeObject, Preconditions, Store, WatchEvent } from './store.ts';
import { validate } from './validation.ts';

/** What a request names: a collection, or one object of it. */
export interface Target {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource?: string | undefined;
}

export function createObject(store: Store, target: Target, body: unknown, dryRun: boolean): KubeObject {
  const object = checked(target, body);
  const { namespace } = target;
  if (namespace !== undefined) store.get('namespaces', undefined, namespace);
  if (target.resource.kind === 'Namespace') object['status'] ??= { phase: 'Active' };
  if (target.resource.kind === 'Pod') object['status'] ??= { phase: 'Pending' };
  return store.create(fullName(target.resource), object, dryRun);
}

export function replaceObject(store: Store, target: Target, body: unknown, dryRun: boolean): KubeObject {
  const object = checked(target, body);
  const { resource, name = '' } = target;
  // Of all kinds here only a Lease can be made with a PUT, unless that says which one it means.
  if (resource.plural === 'leases' && !exists(store, target)) {
    if (object.metadata.uid !== undefined) {
      const why = `Precondition failed: UID in precondition: ${object.metadata.uid}, UID in object meta: `;
      throw conflict(fullName(resource), name, why);
    }
    return store.create(fullName(resource), object, dryRun);
  }
  return dryRun ? object : store.update(fullName(resource), object);
}

function exists(store: Store, { resource, namespace, name = '' }: Target): boolean {
  try {
    store.get(fullName(resource), namespace, name);
    return true;
  } catch {
    return false;
  }
}

/** RFC 7386; what kubectl sends as a strategic merge patch is taken as one: lists are replaced whole. */
export function patchObject(store: Store, target: Target, type: string, body: unknown, dryRun: boolean): KubeObject {
  if (!/^application\/(strategic-)?merge-patch\+json/.test(type)) {
    throw new ApiError(415, 'UnsupportedMediaType', `the body of the request was in an unknown format - ${type}`);
  }
  const old = store.get(fullName(target.resource), target.namespace, target.name ?? '');
  const object = checked(target, mergePatch(old, body));
  return dryRun ? object : store.update(fullName(target.resource), object);
}

/** kube-apiserver reads the options from the body, and from the query only where there is none. */
export function deleteObject(store: Store, target: Target, body: unknown, query: URLSearchParams): KubeObject {
  const { resource, namespace, name = '' } = target;
  const options = (body ?? { dryRun: query.getAll('dryRun') }) as {
    preconditions?: Preconditions;
    dryRun?: readonly string[];
  };
  const { preconditions, dryRun = [] } = options;
  const old = store.get(fullName(resource), namespace, name);
  const removed = store.remove(fullName(resource), namespace, name, preconditions, dryRun.includes('All'));
  if (removed.metadata['deletionTimestamp'] !== undefined && exists(store, target)) return removed;
  return {
    apiVersion: 'v1',
    kind: 'Status',
    metadata: { name: '' },
    status: 'Success',
    details: { name, kind: resource.plural, uid: old.metadata.uid },
  };
}

type Test = (labels: Readonly<Record<string, string>>) => boolean;

/** Those that the selectors of a list or watch let through. */
export function selector(query: URLSearchParams): (object: KubeObject) => boolean {
  const terms = (name: string) => (query.get(name) ?? '').split(',').filter((term) => term !== '');
  const fields = terms('fieldSelector').map((term) => /^metadata\.(name|namespace)==?(.*)$/.exec(term));
  if (fields.includes(null)) throw badRequest('the stand-in knows no such selector');
  const tests = terms('labelSelector').map(labelTest);
  return ({ metadata }) =>
    fields.every((field) => metadata[field?.[1] ?? ''] === field?.[2]) &&
    tests.every((test) => test(metadata.labels ?? {}));
}

/** k8s.io/apimachinery/pkg/labels: `k=v`, `k!=v`, `k`, `!k`, and whole numbers with `<` and `>`. */
function labelTest(term: string): Test {
  const match = /^(!?)([\w./-]+)(?:(==|=|!=|<|>)(.*))?$/.exec(term);
  if (match === null) throw badRequest('the stand-in knows no such selector');
  const [, not, key = '', operator, value = ''] = match;
  const number = (text: string | undefined) => (/^\d+$/.test(text ?? '') ? Number(text) : Number.NaN);
  switch (operator) {
    case undefined:
      return (labels) => (labels[key] === undefined) === (not === '!');
    case '!=':
      return (labels) => labels[key] !== value;
    case '<':
      return (labels) => number(labels[key]) < number(value);
    case '>':
      return (labels) => number(labels[key]) > number(value);
    default:
      return (labels) => labels[key] === value;
  }
}

export interface Page {
  readonly items: readonly KubeObject[];
  readonly continue: string | undefined;
}

/** `limit` and `continue` (meta/v1 ListOptions); `oldest` is the version before which a `continue` is answered with 410. */
export function pageOf(objects: readonly KubeObject[], query: URLSearchParams, version: string, oldest: number): Page {
  const from = readContinue(query.get('continue'), oldest);
  const place = ({ metadata }: KubeObject) => `${metadata.namespace ?? ''}/${metadata.name}`;
  const rest = from === undefined ? objects : objects.filter((object) => place(object) > from);
  const limit = Number(query.get('limit') ?? 0);
  const items = limit > 0 ? rest.slice(0, limit) : rest;
  const last = items.at(-1);
  if (last === undefined || items.length === rest.length) return { items, continue: undefined };
  const token = Buffer.from(JSON.stringify({ rv: Number(version), start: place(last) })).toString('base64url');
  return { items, continue: token };
}

function readContinue(token: string | null, oldest: number): string | undefined {
  if (token === null || token === '') return undefined;
  let value: { rv?: number; start?: string };
  try {
    value = JSON.parse(Buffer.from(token, 'base64url').toString()) as typeof value;
  } catch {
    throw badRequest('continue key is not valid');
  }
  if ((value.rv ?? 0) < oldest) throw expired();
  return value.start;
}

/** Tells the changes since the query's resourceVersion; without one, first all that there is. The result ends it. */
export function watchObjects(
  store: Store,
  target: Target,
  query: URLSearchParams,
  tell: (event: WatchEvent) => void,
): () => void {
  const selected = selector(query);
  const told = (event: WatchEvent) => {
    if (selected(event.object)) tell(event);
  };
  const name = fullName(target.resource);
  const since = query.get('resourceVersion') ?? '';
  if (since === '' || since === '0')
    for (const object of store.list(name, target.namespace)) told({ type: 'ADDED', object });
  return store.watch(name, target.namespace, since === '' || since === '0' ? store.version : since, told);
}

function checked({ resource, namespace, name }: Target, body: unknown): KubeObject {
  const object = body as Partial<KubeObject> | undefined;
  if (object?.kind !== resource.kind || object.apiVersion !== apiVersion(resource)) {
    throw badRequest(`the object provided is not a ${apiVersion(resource)} ${resource.kind}`);
  }
  // Reviews have no name, and kubectl leaves their metadata out.
  const metadata = object.metadata ?? { name: '' };
  if (name !== undefined && metadata.name !== name)
    throw badRequest('the name of the object does not match the name on the URL');
  if (namespace !== undefined && (metadata.namespace ?? namespace) !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  const whole = {
    ...object,
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: { ...metadata, ...(namespace === undefined ? {} : { namespace }) },
  };
  validate(resource, whole);
  return whole;
}

function mergePatch(old: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof old === 'object' && old !== null ? { ...old } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}
