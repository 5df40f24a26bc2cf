import { apiPath, type KubeClient } from './client.ts';
import { KubeError } from './error.ts';

export interface Listed {
  /** Like `v1`, `coordination.k8s.io/v1`. */
  readonly groupVersion: string;
  /** Undefined: of all namespaces, or of none. */
  readonly namespace: string | undefined;
  /** The plural. */
  readonly resource: string;
}

export interface PagerOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds for one call. */
  readonly timeout?: number;
  /** Bytes of a page of so many objects. */
  readonly maxBody: (limit: number) => number;
}

export interface PageQuery {
  readonly limit: number;
  /** From the page before. */
  readonly continue?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

/** It may hold fewer than `limit` and not be the last. */
export interface Page<T> {
  readonly items: readonly T[];
  /** Undefined on the last page. */
  readonly continue: string | undefined;
}

interface List<T> {
  readonly metadata?: { readonly continue?: string };
  readonly items?: readonly T[];
}

/** What etcd takes at most (1.5 MiB) is longer in JSON, where a character may take six bytes (`\u003c`). */
const largestObject = 10 * 1024 * 1024;

/**
 * Reads a list page by page (meta/v1 ListOptions). A page that is too large in bytes is asked for again with half of
 * the objects, so that large ones hide nothing that stands behind them. Throws `KubeError`; `tooLarge` where a single
 * object is larger than any API server stores.
 */
export function createPager<T>(
  kube: KubeClient,
  { groupVersion, namespace, resource }: Listed,
  { headers = {}, timeout, maxBody }: PagerOptions,
): (query: PageQuery) => Promise<Page<T>> {
  let lastLimit = Number.POSITIVE_INFINITY;
  return async (query) => {
    // Large ones may stand next to each other: what fitted last is where the next page begins to try.
    let limit = query.continue === undefined ? query.limit : Math.min(query.limit, lastLimit * 2);
    for (;;) {
      try {
        const { body } = await kube.request<List<T>>('GET', apiPath(groupVersion, namespace, resource), {
          query: { ...query, limit },
          headers,
          ...(timeout === undefined ? {} : { timeout }),
          maxBody: limit === 1 ? Math.max(largestObject, maxBody(1)) : maxBody(limit),
        });
        lastLimit = limit;
        return { items: body.items ?? [], continue: body.metadata?.continue || undefined };
      } catch (error) {
        if (!(error instanceof KubeError) || !error.tooLarge) throw error;
        if (limit === 1) throw oversized(resource, namespace, error);
        limit = Math.floor(limit / 2);
      }
    }
  };
}

/** All pages of a list, one after the other. Throws what a pager throws. */
export async function* eachPage<T>(
  next: (query: PageQuery) => Promise<Page<T>>,
  query: Omit<PageQuery, 'continue'>,
): AsyncGenerator<readonly T[]> {
  let after: string | undefined;
  do {
    const page = await next({ ...query, continue: after });
    yield page.items;
    after = page.continue;
  } while (after !== undefined);
}

function oversized(resource: string, namespace: string | undefined, cause: KubeError): KubeError {
  const [where, flag] = namespace === undefined ? ['', ' -A'] : [` in the namespace ${namespace}`, ` -n ${namespace}`];
  const message =
    `One of the ${resource}${where} is longer than ${largestObject} bytes, so those behind it cannot be read. ` +
    `Look for it with kubectl get ${resource}${flag} -o json, and delete it.`;
  return new KubeError(message, { ambiguous: false, retryable: false, tooLarge: true, cause });
}
