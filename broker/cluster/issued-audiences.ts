import { KubeError } from '../../shared/kube/error.ts';
import { apiPath, type KubeClient } from '../../shared/kube/client.ts';

/** What an API server makes of a TokenRequest that asks for no audience. */
export interface Issued {
  readonly audiences: readonly string[];
  /** Seconds that the server gave, of those that were asked for. */
  readonly lifetime: number;
}

interface TokenRequest {
  readonly spec?: { readonly audiences?: readonly string[]; readonly expirationSeconds?: number };
  readonly status?: { readonly expirationTimestamp?: string };
}

/**
 * The API tells its audiences and its longest lifetime in no other way than by a token. So one is asked for, of an
 * account without rights, and is thrown away unread. Undefined where there is no such account, or no right to ask.
 */
export async function askForToken(
  kube: KubeClient,
  identityNamespace: string,
  seconds: number,
): Promise<Issued | undefined> {
  for (const namespace of [identityNamespace, 'default']) {
    try {
      const { body, date } = await kube.request<TokenRequest>(
        'POST',
        apiPath('v1', namespace, 'serviceaccounts', 'default', 'token'),
        {
          query: { dryRun: 'All' },
          body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: seconds } },
        },
      );
      const audiences = body.spec?.audiences ?? [];
      const expires = Date.parse(body.status?.expirationTimestamp ?? '');
      if (audiences.length === 0 || date === undefined || Number.isNaN(expires)) continue;
      // Both are whole seconds, and a moment passed between them.
      return { audiences, lifetime: Math.round((expires - date) / 1000) };
    } catch (error) {
      if (!(error instanceof KubeError) || error.status === undefined || error.status >= 500) throw error;
    }
  }
  return undefined;
}
