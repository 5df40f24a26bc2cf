import { apiPath, type KubeClient } from '../../shared/kube/client.ts';
import { isStatus } from '../../shared/kube/error.ts';
import { createPager, eachPage } from '../../shared/kube/pages.ts';
import { agreedTime } from '../../shared/kube/time.ts';
import { clean } from '../../shared/text.ts';
import type { Head } from './chain.ts';

/** What stands in the cluster, out of reach of whoever holds the log files. */
export interface Anchor extends Head {
  /** RFC 3339. */
  readonly time: string;
}

export interface AnchorStore {
  put(head: Head): Promise<void>;
  list(): Promise<readonly Anchor[]>;
  /** Removes those that have not moved for so many milliseconds, if it is certain what the time is. */
  removeOlder(than: number): Promise<void>;
}

interface LeaseObject {
  readonly metadata: {
    readonly name: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly renewTime?: string };
}

const groupVersion = 'coordination.k8s.io/v1';
/** Its value is the minute (of the epoch) in which the anchor last moved, so that the API server can select by age. */
const label = 'kleis.dev/anchor';
const pageSize = 500;

/** Anchors as Leases `audit-CHAIN` in the namespace that holds nothing else but the broker's leases. */
export function kubeAnchors(client: KubeClient, namespace: string, now: () => number): AnchorStore {
  const known = new Map<string, LeaseObject['metadata']>();
  const path = (...name: string[]) => apiPath(groupVersion, namespace, 'leases', ...name);

  const readPage = createPager<LeaseObject>(
    client,
    { groupVersion, namespace, resource: 'leases' },
    { maxBody: () => 8 * 1024 * 1024 },
  );
  const pages = (labelSelector: string) => eachPage(readPage, { labelSelector, limit: pageSize });

  return {
    async put(head) {
      const name = `audit-${head.chain}`;
      const object = (metadata: Partial<LeaseObject['metadata']>) => ({
        apiVersion: groupVersion,
        kind: 'Lease',
        metadata: {
          ...metadata,
          name,
          labels: { [label]: String(Math.floor(now() / 60_000)) },
          annotations: { 'kleis.dev/seq': String(head.seq), 'kleis.dev/hash': head.hash },
        },
        // MicroTime takes six decimals and no fewer.
        spec: { holderIdentity: head.chain, renewTime: new Date(now()).toISOString().replace('Z', '000Z') },
      });
      // A PUT without uid and resourceVersion would bring back what somebody removed, or overwrite what they wrote.
      const write = async (old: LeaseObject['metadata'] | undefined) =>
        old === undefined
          ? client.request<LeaseObject>('POST', path(), { body: object({}) })
          : client.request<LeaseObject>('PUT', path(name), {
              body: object({ uid: old.uid ?? '', resourceVersion: old.resourceVersion ?? '' }),
            });
      try {
        const { body } = await write(known.get(head.chain));
        known.set(head.chain, body.metadata);
      } catch (error) {
        // An answer that was lost, or a hand of somebody else: look once, and go on from what is there.
        if (!isStatus(error, 409) && !isStatus(error, 404)) throw error;
        known.delete(head.chain);
        const there = await client.request<LeaseObject>('GET', path(name)).catch((reason: unknown) => {
          if (isStatus(reason, 404)) return undefined;
          throw reason;
        });
        const { body } = await write(there?.body.metadata);
        known.set(head.chain, body.metadata);
      }
    },

    async list() {
      const found: Anchor[] = [];
      for await (const page of pages(label)) found.push(...page.map(toAnchor).filter((one) => one !== undefined));
      return found;
    },

    async removeOlder(than) {
      const time = await agreedTime(client);
      if (time === undefined) return;
      for await (const page of pages(`${label}<${Math.floor((time - than) / 60_000)}`)) {
        for (const { metadata } of page) {
          const { uid } = metadata;
          await client
            .request('DELETE', path(metadata.name), { body: { preconditions: { uid } }, repeatable: true })
            .catch((error: unknown) => {
              if (!isStatus(error, 404) && !isStatus(error, 409)) throw error;
            });
        }
      }
    },
  };
}

function toAnchor({ metadata: { name, annotations = {} }, spec }: LeaseObject): Anchor | undefined {
  const seq = Number(annotations['kleis.dev/seq']);
  const hash = annotations['kleis.dev/hash'] ?? '';
  if (!name.startsWith('audit-') || !Number.isSafeInteger(seq) || !/^[0-9a-f]{64}$/.test(hash)) return undefined;
  return { chain: name.slice('audit-'.length), seq, hash, time: clean(spec?.renewTime ?? '', 40) };
}

export interface Anchoring {
  readonly health: { readonly ok: boolean; readonly at: number | undefined; readonly lastError: string | undefined };
  /** Anchors what is written now. Never throws. */
  anchor(): Promise<void>;
  /** Those of all replicas. Throws `KubeError`. */
  list(): Promise<readonly Anchor[]>;
  stop(): void;
}

const anchorEvery = 60_000;
/** Longer than audits are usually kept. */
const keepFor = 400 * 24 * 60 * 60 * 1000;

/** Puts the head of the chain into the cluster once a minute if it has moved. */
export function startAnchoring(
  store: AnchorStore,
  head: () => Head,
  { now, every = anchorEvery }: { readonly now: () => number; readonly every?: number },
): Anchoring {
  let last: Head | undefined;
  let at: number | undefined;
  let lastError: string | undefined;
  let running: Promise<void> | undefined;
  let rounds = 0;

  const put = async (): Promise<void> => {
    const next = head();
    if (next.seq === last?.seq) return;
    try {
      await store.put(next);
      last = next;
      at = now();
      lastError = undefined;
    } catch (error) {
      lastError = clean(error instanceof Error ? error.message : error);
    }
  };
  const anchor = async (): Promise<void> => {
    await running;
    running = put();
    await running;
  };
  const round = async (): Promise<void> => {
    await anchor();
    // At the start, and then once a day.
    if (rounds % Math.ceil((24 * 60 * 60 * 1000) / every) === 0) {
      await store.removeOlder(keepFor).catch((error: unknown) => {
        lastError = clean(error instanceof Error ? error.message : error);
      });
    }
    rounds += 1;
  };
  const timer = setInterval(() => void round(), every);
  timer.unref();
  void round();
  return {
    get health() {
      return { ok: lastError === undefined, at, lastError };
    },
    anchor,
    list: () => store.list(),
    stop: () => clearInterval(timer),
  };
}
