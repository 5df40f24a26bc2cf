import { clean } from '../../shared/text.ts';
import type { Clusters } from '../cluster/clusters.ts';
import type { IssuerConfig } from '../config/broker-config.ts';
import type { LoadedKeys } from '../issuers/discovery.ts';
import { type IssuerDeps, loaderOf } from '../issuers/issuers.ts';
import type { Finding } from '../../shared/findings.ts';

interface Asked {
  readonly issuer: IssuerConfig;
  readonly answer: LoadedKeys | { readonly error: Error };
}

/** Asks every issuer for its keys, as the broker will. */
export async function checkIssuers(
  issuers: readonly IssuerConfig[],
  clusters: Clusters,
  deps: IssuerDeps,
): Promise<Finding[]> {
  const asked = await Promise.all(
    issuers.map(async (issuer): Promise<Asked> => {
      const connection = issuer.cluster === undefined ? undefined : clusters.get(issuer.cluster)?.kube;
      const load = async () => loaderOf(issuer, connection, deps)();
      return { issuer, answer: await load().catch((error: unknown) => ({ error: error as Error })) };
    }),
  );
  return asked.map((each, index) => judge(each, asked.slice(0, index)));
}

function judge({ issuer, answer }: Asked, earlier: readonly Asked[]): Finding {
  const about = `issuers.${issuer.name}`;
  if ('error' in answer || answer.keys.length === 0) {
    const why = 'error' in answer ? clean(answer.error.message, 600).replace(/\.$/, '') : 'it publishes none';
    return {
      severity: 'error',
      code: 'issuer-keys',
      about,
      what: `There are no keys of it: ${why}.`,
      why: 'Without keys no token of it can be verified.',
      next: 'Correct its url, name what vouches for it in certificateAuthority, or give its keys with jwks or cluster.',
    };
  }
  const rival = earlier.find((other) => isRival(other, { issuer, answer }));
  if (rival !== undefined) {
    return {
      severity: 'error',
      code: 'issuer-shared',
      about,
      what: `It has the URL of issuers.${rival.issuer.name} and cannot be told from it.`,
      why: 'Tokens of one would be taken for tokens of the other, so they are refused.',
      next: 'Give each cluster a key of its own for service accounts, or an issuer URL of its own (--service-account-issuer).',
    };
  }
  const count = answer.keys.length;
  const what = `It gives ${count === 1 ? 'one key' : `${count} keys`} that can be used.`;
  return { severity: 'ok', code: 'issuer', about, what };
}

/** Two API servers of one URL are told apart by their keys; with one that is no cluster, a cluster cannot share its URL. */
function isRival(one: Asked, other: { readonly issuer: IssuerConfig; readonly answer: LoadedKeys }): boolean {
  if ('error' in one.answer) return false;
  if ((one.issuer.url ?? one.answer.issuer) !== (other.issuer.url ?? other.answer.issuer)) return false;
  if (one.issuer.cluster === undefined || other.issuer.cluster === undefined) return true;
  const thumbprints = new Set(one.answer.keys.map(({ thumbprint }) => thumbprint));
  return other.answer.keys.some(({ thumbprint }) => thumbprints.has(thumbprint));
}
