import { apiPath, type KubeClient } from '../../shared/kube/client.ts';
import { isStatus, KubeError } from '../../shared/kube/error.ts';
import { ClusterFault, clusterFault } from '../cluster/fault.ts';
import { createPager } from '../../shared/kube/pages.ts';
import { agreedTime } from '../../shared/kube/time.ts';
import {
  isLeaseName,
  judge,
  type Lease,
  type LeaseRequest,
  type LeaseState,
  newLease,
  nextTurn,
  randomLeaseName,
} from './lease.ts';
import { fromObject, labels, type LeaseObject, toObject } from './lease-object.ts';
import type { Acquired, LeaseQuery, LeaseStore } from './store.ts';

export interface KubernetesStoreOptions {
  /** Of the state cluster. */
  readonly kube: KubeClient;
  /** As the configuration calls it; for messages. */
  readonly cluster: string;
  readonly namespace: string;
  /** Milliseconds for one call; 5 s if not given. */
  readonly timeout?: number;
}

/** A lease that a retry takes over may be taken over by another one first, but not for ever. */
const rounds = 4;

/** Leases of one namespace, shared by every broker that is given it. */
export function createKubernetesStore(options: KubernetesStoreOptions): LeaseStore {
  const { kube, cluster, namespace, timeout = 5_000 } = options;
  const listed = { groupVersion: 'coordination.k8s.io/v1', namespace, resource: 'leases' };
  const path = (...name: string[]) => apiPath(listed.groupVersion, namespace, listed.resource, ...name);
  const readPage = createPager<LeaseObject>(kube, listed, {
    timeout: timeout * 3,
    // A lease is 2 kB with what the API server adds to it.
    maxBody: (limit) => 1024 * 1024 + limit * 8192,
  });

  async function create(lease: ReturnType<typeof newLease>): Promise<Lease | 'exists'> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { body } = await kube.request<LeaseObject>('POST', path(), { body: toObject(lease, namespace), timeout });
        return fromObject(body) ?? malformed(lease.name);
      } catch (error) {
        if (isStatus(error, 409, 'AlreadyExists')) return 'exists';
        if (!(error instanceof KubeError) || !error.ambiguous || attempt > 1) throw error;
        // It may have been made, by us or by somebody else: whoever reads it can tell by its nonce.
        if ((await read(lease.name)) !== undefined) return 'exists';
      }
    }
  }

  async function read(name: string): Promise<Lease | 'foreign' | undefined> {
    try {
      const { body } = await kube.request<LeaseObject>('GET', path(name), { timeout });
      return fromObject(body) ?? 'foreign';
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  /** Undefined if somebody changed or removed it since. `done` tells whether what is there is what was to be written. */
  async function replace(lease: Lease, done: (stored: Lease) => boolean): Promise<Lease | undefined> {
    try {
      const body = toObject(lease, namespace);
      const answer = await kube.request<LeaseObject>('PUT', path(lease.name), { body, timeout });
      return fromObject(answer.body) ?? malformed(lease.name);
    } catch (error) {
      if (isStatus(error, 409) || isStatus(error, 404)) return undefined;
      if (!(error instanceof KubeError) || !error.ambiguous) throw error;
      const stored = await read(lease.name);
      if (stored === undefined || stored === 'foreign') return undefined;
      if (done(stored)) return stored;
      // Unchanged, it may change yet: that is for the caller's caller to try again.
      if (stored.resourceVersion === lease.resourceVersion) throw error;
      return undefined;
    }
  }

  async function acquire(request: LeaseRequest): Promise<Acquired> {
    const wanted = newLease(request);
    for (let round = 1; round <= rounds; round += 1) {
      const created = await create(wanted);
      if (created !== 'exists') return { kind: 'new', lease: created };
      const existing = await read(wanted.name);
      // Swept between the two questions.
      if (existing === undefined) continue;
      if (existing === 'foreign') return { kind: 'replayed', lease: undefined };
      // Its own, unless somebody ended it before it was read.
      if (existing.nonce === wanted.nonce && existing.state === 'active') return { kind: 'new', lease: existing };
      const verdict = judge(existing, request);
      if (verdict === 'replayed') {
        if (request.singleUse) return { kind: 'replayed', lease: existing };
        return acquire({ ...request, name: randomLeaseName() });
      }
      const next = nextTurn(existing, request);
      const lease = await replace(next, (stored) => stored.nonce === next.nonce && stored.state === 'active');
      if (lease === undefined) continue;
      return verdict === 'take' ? { kind: 'new', lease } : { kind: 'retry', lease, previous: existing };
    }
    throw new ClusterFault(cluster, 'unavailable', `The lease ${wanted.name} keeps changing.`, {
      ambiguous: false,
      retryable: true,
    });
  }

  async function remove(lease: Lease): Promise<boolean> {
    const { name, uid, resourceVersion } = lease;
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
    try {
      await kube.request('DELETE', path(name), { body, timeout, repeatable: true });
      return true;
    } catch (error) {
      if (isStatus(error, 404)) return true;
      if (isStatus(error, 409)) return false;
      throw error;
    }
  }

  function malformed(name: string): never {
    throw new ClusterFault(cluster, 'invalid', `The API server answers with something else than the lease ${name}.`, {
      ambiguous: true,
      retryable: false,
    });
  }

  const translated =
    <Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      try {
        return await work(...args);
      } catch (error) {
        throw clusterFault(cluster, error);
      }
    };

  return {
    acquire: translated(acquire),
    mark: translated((lease, state, why) =>
      replace({ ...lease, state, why }, (stored) => stored.state === state && stored.nonce === lease.nonce),
    ),
    get: translated(async (name) => {
      if (!isLeaseName(name)) return undefined;
      const found = await read(name);
      return found === 'foreign' ? undefined : found;
    }),
    list: translated(async (query) => {
      const { limit, continue: after } = query;
      const page = await readPage({ labelSelector: selector(query), limit, continue: after });
      return { leases: page.items.flatMap((item) => fromObject(item) ?? []), continue: page.continue };
    }),
    remove: translated(remove),
    now: async () => agreedTime(kube),
    check: translated(async () => {
      await readPage({ limit: 1 });
    }),
  };
}

const finished: readonly LeaseState[] = ['free', 'revoked', 'withdrawn'];

function selector({ grant, state, unfinished, dueBy }: LeaseQuery): string {
  return [
    // The namespace holds Leases of other kinds: those that anchor the audit have no such label.
    dueBy === undefined ? labels.until : `${labels.until}<${Math.floor(dueBy) + 1}`,
    ...(grant === undefined ? [] : [`${labels.grant}=${grant}`]),
    ...(state === undefined ? [] : [state === 'active' ? `!${labels.state}` : `${labels.state}=${state}`]),
    ...(unfinished === true ? [labels.state, ...finished.map((each) => `${labels.state}!=${each}`)] : []),
  ].join(',');
}
