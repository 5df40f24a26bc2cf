import { apiVersion, fullName, type Resource } from './resources.ts';
import { ApiError, badRequest } from './status.ts';
import type { KubeObject, Preconditions, Store, WatchEvent } from './store.ts';

/** What a request names: a collection, or one object of it. */
export interface Target {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

export function createObject(store: Store, target: Target, body: unknown, dryRun: boolean): KubeObject {
  const object = checked(target, body);
  const { namespace } = target;
  if (namespace !== undefined) store.get('namespaces', undefined, namespace);
  if (target.resource.kind === 'Namespace') object['status'] ??= { phase: 'Active' };
  if (target.resource.kind === 'Pod') object['status'] ??= { phase: 'Pending' };
  return dryRun ? object : store.create(fullName(target.resource), object);
}

export function replaceObject(store: Store, target: Target, body: unknown, dryRun: boolean): KubeObject {
  const object = checked(target, body);
  return dryRun ? object : store.update(fullName(target.resource), object);
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

export function deleteObject(store: Store, target: Target, body: unknown, dryRun: boolean): KubeObject {
  const { resource, namespace, name = '' } = target;
  const { preconditions } = (body ?? {}) as { preconditions?: Preconditions };
  const old = store.get(fullName(resource), namespace, name);
  if (!dryRun) store.remove(fullName(resource), namespace, name, preconditions);
  return {
    apiVersion: 'v1',
    kind: 'Status',
    metadata: { name: '' },
    status: 'Success',
    details: { name, kind: resource.plural, uid: old.metadata.uid },
  };
}

/** Those that the selectors of a list or watch let through. */
export function selector(query: URLSearchParams): (object: KubeObject) => boolean {
  const terms = (name: string) => (query.get(name) ?? '').split(',').filter((term) => term !== '');
  const fields = terms('fieldSelector').map((term) => /^metadata\.(name|namespace)==?(.*)$/.exec(term));
  const labels = terms('labelSelector').map((term) => /^([^=!]+)==?(.*)$/.exec(term));
  if ([...fields, ...labels].includes(null)) throw badRequest('the stand-in knows no such selector');
  return ({ metadata }) =>
    fields.every((field) => metadata[field?.[1] ?? ''] === field?.[2]) &&
    labels.every((label) => metadata.labels?.[label?.[1] ?? ''] === label?.[2]);
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
  return {
    ...object,
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: { ...metadata, ...(namespace === undefined ? {} : { namespace }) },
  };
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
