import { isObject } from '../../../shared/json.ts';
import { shellWord } from '../../../shared/shell.ts';
import { asText, clean } from '../../../shared/text.ts';
import type { ClusterClient } from '../../cluster/client.ts';
import { type Listed, listObjects } from '../../cluster/list.ts';
import { type DoctorFinding, ok, unknown, warning } from '../finding.ts';
import { type BindingsOf, grantForAccount } from './grants.ts';
import { sentence, type Words } from './words.ts';

const about = 'secrets';
const type = 'kubernetes.io/service-account-token';
/** Findings that come with a grant of their own: a hundred thousand of them say nothing more. */
const mostGrants = 100;

/** A Secret of that type. None of what it holds was asked for. */
interface TokenSecret {
  readonly namespace: string;
  readonly name: string;
  readonly account: string;
  /** Dates, as the API server writes them (KEP-2799); undefined where it has not. */
  readonly lastUsed: string | undefined;
  readonly invalidSince: string | undefined;
  readonly made: string;
}

/** Service-account tokens without an end, those first that are in use. Throws as `ClusterClient.ask`. */
export async function checkSecrets(
  cluster: ClusterClient,
  bindingsOf: BindingsOf | undefined,
  words: Words,
): Promise<DoctorFinding[]> {
  const all = await listTokens(cluster, '/api/v1/secrets');
  // Whoever may not see all of them may see those of where they work.
  const own = all.kind === 'refused' ? await listTokens(cluster, `/api/v1/namespaces/${words.namespace}/secrets`) : all;
  const found = own.kind === 'refused' ? [] : await describe(own, cluster, bindingsOf, words);
  if (all.kind === 'refused') {
    const where = own.kind === 'refused' ? '' : ` outside of ${words.namespace}`;
    return [
      ...found,
      unknown(
        about,
        `Which service accounts have tokens without an end${where} is not known: Secrets may not be listed.`,
        {
          why: sentence(all.message),
          next: `Whoever may list Secrets in all namespaces sees them: ${words.kubectl} get secrets -A --field-selector type=${type}`,
        },
      ),
    ];
  }
  return found.length > 0 ? found : [ok(about, 'No service account has a token without an end in a Secret.')];
}

async function listTokens(cluster: ClusterClient, path: string): Promise<Listed<TokenSecret>> {
  return listObjects(cluster, { path, fieldSelector: `type=${type}`, metadataOnly: true, read: readSecret });
}

async function describe(
  listed: Extract<Listed<TokenSecret>, { kind: 'read' }>,
  cluster: ClusterClient,
  bindingsOf: BindingsOf | undefined,
  words: Words,
): Promise<DoctorFinding[]> {
  const since = await readTrackedSince(cluster);
  const sorted = listed.items.toSorted((a, b) => compare(b.lastUsed ?? '', a.lastUsed ?? ''));
  const findings = sorted.map((secret, index) => {
    const grant = index < mostGrants && secret.lastUsed !== undefined;
    return { ...toFinding(secret, since, words), ...(grant && { grant: grantOf(secret, bindingsOf, words) }) };
  });
  if (!listed.complete)
    findings.push(unknown(about, `There are more of them than the ${listed.items.length} that were read.`));
  return findings;
}

function readSecret({ metadata }: Readonly<Record<string, unknown>>): TokenSecret | undefined {
  if (!isObject(metadata)) return undefined;
  const labels = isObject(metadata['labels']) ? metadata['labels'] : {};
  const annotations = isObject(metadata['annotations']) ? metadata['annotations'] : {};
  const label = (name: string) => {
    const value = labels[name];
    return value === undefined ? undefined : clean(value, 40);
  };
  return {
    namespace: clean(metadata['namespace'] ?? '', 100),
    name: clean(metadata['name'] ?? '', 260),
    account: clean(annotations['kubernetes.io/service-account.name'] ?? '', 260),
    lastUsed: label('kubernetes.io/legacy-token-last-used'),
    invalidSince: label('kubernetes.io/legacy-token-invalid-since'),
    made: clean(asText(metadata['creationTimestamp'] ?? '').slice(0, 10), 20),
  };
}

function toFinding(secret: TokenSecret, since: string | undefined, words: Words): DoctorFinding {
  const { namespace, name, account, lastUsed, invalidSince, made } = secret;
  const removal = `${words.kubectl} -n ${shellWord(namespace, words.platform)} delete secret ${shellWord(name, words.platform)}`;
  const what = `Secret ${namespace}/${name}, made ${made === '' ? 'some day' : made}, is a token without an end of the account ${namespace}/${account}`;
  if (invalidSince !== undefined) {
    return warning(about, 'token_invalid', `${what}; the API server takes it no more since ${invalidSince}.`, {
      why: 'It was not used for a year. Whoever takes the label away makes it valid again.',
      next: removal,
    });
  }
  if (lastUsed === undefined) {
    return warning(
      about,
      'token_unused',
      `${what}; no use is recorded${since === undefined ? '' : ` since ${since}`}.`,
      {
        why: `Whoever has a copy of it is that account until it is deleted.${since === undefined ? ' Uses are recorded since Kubernetes 1.26.' : ''}`,
        next: removal,
      },
    );
  }
  return warning(about, 'token_in_use', `${what}; last used ${lastUsed}.`, {
    why: 'Whoever has a copy of it is that account until it is deleted.',
    next: `Give whoever uses it a grant and an entry: kleis kubeconfig service-account NAME --broker URL --grant NAME --cluster NAME. Then: ${removal}`,
  });
}

function grantOf({ namespace, account }: TokenSecret, bindingsOf: BindingsOf | undefined, words: Words): string {
  return grantForAccount(account, bindingsOf?.(namespace, account) ?? [], words);
}

/** Since when the API server records uses (KEP-2799); undefined where that may not be read, or it does not. */
async function readTrackedSince(cluster: ClusterClient): Promise<string | undefined> {
  const path = '/api/v1/namespaces/kube-system/configmaps/kube-apiserver-legacy-service-account-token-tracking';
  const { status, body } = await cluster.ask({ method: 'GET', path });
  const data = status === 200 && isObject(body?.['data']) ? body['data'] : {};
  return data['since'] === undefined ? undefined : clean(data['since'], 40);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
