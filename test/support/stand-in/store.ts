import { randomUUID } from 'node:crypto';
import { alreadyExists, conflict, notFound } from './status.ts';

interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  creationTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  [field: string]: unknown;
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: KubeObject;
}

interface Change extends WatchEvent {
  /** The plural of the resource, with its group: `leases.coordination.k8s.io`. */
  readonly resource: string;
  readonly version: number;
}

export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** etcd's part: objects with one resourceVersion that counts through all of them, and the changes since any of them. */
export interface Store {
  /** The newest resourceVersion. */
  readonly version: string;
  get(resource: string, namespace: string | undefined, name: string): KubeObject;
  list(resource: string, namespace: string | undefined): KubeObject[];
  /** Names the object if it has a `generateName` only. */
  create(resource: string, object: KubeObject, dryRun?: boolean): KubeObject;
  /** 409 if the object names a resourceVersion that is not the newest. */
  update(resource: string, object: KubeObject): KubeObject;
  /** One with finalizers is only marked, and goes with the update that takes the last of them away. */
  remove(
    resource: string,
    namespace: string | undefined,
    name: string,
    preconditions?: Preconditions,
    dryRun?: boolean,
  ): KubeObject;
  /** Tells every change after `since` (a resourceVersion), first those already made; the result ends it. */
  watch(resource: string, namespace: string | undefined, since: string, tell: (event: WatchEvent) => void): () => void;
}

const key = (resource: string, namespace: string | undefined, name: string) => `${resource}/${namespace ?? ''}/${name}`;

const isFinal = ({ metadata }: KubeObject) => ((metadata['finalizers'] ?? []) as unknown[]).length === 0;

/** Callers get copies: what they do to one must not change what is stored. */
const copy = (object: KubeObject) => structuredClone(object);

export function createStore(): Store {
  const objects = new Map<string, KubeObject>();
  const changes: Change[] = [];
  const watchers = new Set<(change: Change) => void>();
  let version = 0;

  function record(type: WatchEvent['type'], resource: string, object: KubeObject): KubeObject {
    version += 1;
    object.metadata.resourceVersion = String(version);
    const change: Change = { type, resource, version, object: copy(object) };
    changes.push(change);
    for (const tell of watchers) tell(change);
    return copy(object);
  }

  function stored(resource: string, namespace: string | undefined, name: string): KubeObject {
    const object = objects.get(key(resource, namespace, name));
    if (object === undefined) throw notFound(resource, name);
    return object;
  }

  function check(resource: string, object: KubeObject, { uid, resourceVersion }: Preconditions): void {
    const { metadata } = object;
    if (resourceVersion !== undefined && resourceVersion !== '' && resourceVersion !== metadata.resourceVersion) {
      throw conflict(
        resource,
        metadata.name,
        'the object has been modified; please apply your changes to the latest version',
      );
    }
    if (uid !== undefined && uid !== metadata.uid) {
      throw conflict(
        resource,
        metadata.name,
        `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`,
      );
    }
  }

  return {
    get version() {
      return String(version);
    },
    get: (resource, namespace, name) => copy(stored(resource, namespace, name)),
    list(resource, namespace) {
      const prefix = namespace === undefined ? `${resource}/` : `${resource}/${namespace}/`;
      const keys = [...objects.keys()].filter((each) => each.startsWith(prefix));
      return keys.toSorted().flatMap((each) => {
        const object = objects.get(each);
        return object ? [copy(object)] : [];
      });
    },
    create(resource, given, dryRun = false) {
      const object = copy(given);
      const { metadata } = object;
      if (!metadata.name && typeof metadata['generateName'] === 'string') {
        metadata.name = `${metadata['generateName']}${randomUUID().slice(0, 5)}`;
      }
      const at = key(resource, metadata.namespace, metadata.name);
      if (objects.has(at)) throw alreadyExists(resource, metadata.name);
      metadata.uid = randomUUID();
      metadata.creationTimestamp = new Date().toISOString().replace(/\.\d+/, '');
      if (dryRun) return object;
      objects.set(at, object);
      return record('ADDED', resource, object);
    },
    update(resource, given) {
      const { metadata } = given;
      const old = stored(resource, metadata.namespace, metadata.name);
      check(resource, old, metadata);
      const { uid, creationTimestamp } = old.metadata;
      const deletionTimestamp = old.metadata['deletionTimestamp'];
      const marked = deletionTimestamp === undefined ? {} : { deletionTimestamp };
      const object = { ...copy(given), metadata: { ...metadata, uid, creationTimestamp, ...marked } } as KubeObject;
      if (deletionTimestamp !== undefined && isFinal(object)) {
        objects.delete(key(resource, metadata.namespace, metadata.name));
        return record('DELETED', resource, object);
      }
      objects.set(key(resource, metadata.namespace, metadata.name), object);
      return record('MODIFIED', resource, object);
    },
    remove(resource, namespace, name, preconditions = {}, dryRun = false) {
      const object = stored(resource, namespace, name);
      check(resource, object, preconditions);
      if (dryRun) return copy(object);
      if (!isFinal(object)) {
        object.metadata['deletionTimestamp'] ??= new Date().toISOString().replace(/\.\d+/, '');
        return record('MODIFIED', resource, object);
      }
      objects.delete(key(resource, namespace, name));
      return record('DELETED', resource, object);
    },
    watch(resource, namespace, since, tell) {
      const deliver = (change: Change) => {
        if (change.resource !== resource) return;
        if (namespace !== undefined && change.object.metadata.namespace !== namespace) return;
        tell({ type: change.type, object: copy(change.object) });
      };
      for (const change of changes) if (change.version > Number(since)) deliver(change);
      watchers.add(deliver);
      return () => void watchers.delete(deliver);
    },
  };
}
