import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { asText, clean } from '../../shared/text.ts';
import { type ClusterClient, isTooLarge } from './client.ts';

export interface ListRequest<T> {
  /** Without a query. */
  readonly path: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** No more of each object than its metadata (PartialObjectMetadataList): what a Secret holds is not even sent. */
  readonly metadataOnly?: boolean;
  /** What is kept of an object; undefined: nothing. */
  readonly read: (object: Readonly<Record<string, unknown>>) => T | undefined;
}

export type Listed<T> =
  | { readonly kind: 'read'; readonly items: readonly T[]; readonly complete: boolean }
  /** The server's words, cleaned. */
  | { readonly kind: 'refused'; readonly status: number; readonly message: string };

const pageSize = 500;
/** Objects that are looked at; whoever has more reads so. An empty page counts as a full one, or some lists have no end. */
const most = 250_000;
/** Characters of all pages, and so of what is kept of them. */
const mostText = 256 * 1024 * 1024;
const metadataList = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';

/**
 * Reads a list page by page (meta/v1 ListOptions). A page that is too long is asked for again with half of the objects,
 * so that large ones hide nothing that stands behind them. Throws as `ClusterClient.ask`.
 */
export async function listObjects<T>(
  cluster: ClusterClient,
  { path, fieldSelector, labelSelector, metadataOnly = false, read }: ListRequest<T>,
): Promise<Listed<T>> {
  const items: T[] = [];
  let limit = pageSize;
  let seen = 0;
  let size = 0;
  let after = '';
  for (;;) {
    const query = new URLSearchParams({
      limit: String(limit),
      ...(after !== '' && { continue: after }),
      ...(fieldSelector !== undefined && { fieldSelector }),
      ...(labelSelector !== undefined && { labelSelector }),
    });
    const answer = await cluster
      .ask({ method: 'GET', path: `${path}?${query.toString()}`, accept: metadataOnly ? metadataList : undefined })
      .catch((error: unknown) => {
        if (error instanceof KleisError && isTooLarge(error) && limit > 1) return undefined;
        throw error;
      });
    if (answer === undefined) {
      limit = Math.floor(limit / 2);
      continue;
    }
    const { status, body, text } = answer;
    const page = status === 200 ? itemsOf(body) : undefined;
    if (page === undefined) {
      return { kind: 'refused', status, message: clean(body?.['message'] ?? `HTTP ${status}`, 300) };
    }
    for (const item of page) {
      const kept = isObject(item) ? read(item) : undefined;
      if (kept !== undefined) items.push(kept);
    }
    seen += Math.max(page.length, limit);
    size += text.length;
    const metadata = body?.['metadata'];
    const next = isObject(metadata) ? asText(metadata['continue'] ?? '') : '';
    if (next === '') return { kind: 'read', items, complete: true };
    if (seen >= most || size >= mostText || next === after) return { kind: 'read', items, complete: false };
    after = next;
    limit = Math.min(pageSize, limit * 2);
  }
}

/** A list without objects may have no items at all. */
function itemsOf(body: Readonly<Record<string, unknown>> | undefined): readonly unknown[] | undefined {
  const items = body?.['items'] ?? [];
  return asText(body?.['kind']).endsWith('List') && Array.isArray(items) ? items : undefined;
}
