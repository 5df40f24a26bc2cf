import type { ClusterClient } from '../../cluster/client.ts';
import { sentence } from './words.ts';
import { clean } from '../../../shared/text.ts';

/** The counters of the API server that answered. */
export type Metrics =
  | {
      readonly kind: 'read';
      /** Whether there is a value of such a name. */
      readonly has: (name: RegExp) => boolean;
      /** The values of a label, of metrics of such a name. */
      readonly labels: (name: RegExp, label: string) => ReadonlySet<string>;
    }
  | { readonly kind: 'unknown'; readonly why: string };

/** Throws as `ClusterClient.ask`. */
export async function readMetrics(cluster: ClusterClient): Promise<Metrics> {
  const { status, body, text } = await cluster.ask({ method: 'GET', path: '/metrics', accept: 'text/plain' });
  if (status !== 200) {
    return {
      kind: 'unknown',
      why: sentence(`/metrics: ${clean(body?.['message'] ?? `HTTP ${status}`, 300)}`),
    };
  }
  const lines = text.split('\n').filter((line) => line.startsWith('apiserver_'));
  return {
    kind: 'read',
    has: (name) => lines.some((line) => name.test(line)),
    labels: (name, label) =>
      new Set(
        lines
          .filter((line) => name.test(line))
          .map((line) => new RegExp(`[{,]${label}="([^"]*)"`).exec(line)?.[1] ?? '')
          .filter((value) => value !== ''),
      ),
  };
}
