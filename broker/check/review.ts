import { KubeError } from '../../shared/kube/error.ts';
import type { KubeClient } from '../../shared/kube/client.ts';
import { type ClusterNeeds, keyOf, type MintedAccount } from '../rbac/needs.ts';
import { about, indexBindings } from './accounts.ts';
import type { Finding } from '../../shared/findings.ts';
import { serviceAccount } from '../../shared/rbac/holders.ts';
import { findPowers } from '../../shared/rbac/powers.ts';
import type { Live } from './cluster-objects.ts';

const concurrency = 16;

const questions = [
  {
    id: 'mint',
    verb: 'create',
    resource: 'serviceaccounts',
    subresource: 'token',
    may: 'mint tokens for service accounts',
  },
  { id: 'secrets', verb: 'get', resource: 'secrets', subresource: '', may: 'read Secrets' },
] as const;

/**
 * RBAC objects tell what RBAC allows, and a cluster can have other authorizers: so the API server itself is asked about
 * the two things that matter most, for each account in each namespace that it works in.
 */
export async function reviewAccess(kube: KubeClient, needs: ClusterNeeds, live: Live): Promise<Finding[]> {
  const known = knownPowers(live);
  const tasks = [...needs.identities, ...needs.elsewhere].flatMap((account) =>
    placesOf(account).flatMap((namespace) =>
      questions
        .filter(({ id }) => !known(account, namespace).has(id))
        .map((question) => ({ account, namespace, question })),
    ),
  );
  const findings: Finding[] = [];
  let asked = 0;
  let refused: KubeError | undefined;
  const work = async () => {
    for (let task = tasks.pop(); task !== undefined && refused === undefined; task = tasks.pop()) {
      const { account, namespace, question } = task;
      try {
        asked += 1;
        if (await isAllowed(kube, account, namespace, question)) {
          findings.push({
            ...about(account),
            severity: 'error',
            code: 'escape',
            what: `${keyOf(account)} may ${question.may} in ${namespace ?? 'the whole cluster'}, by the API server's own answer, though no Role says so.`,
            why: 'Another authorizer of the cluster (a webhook, a cloud) allows it.',
            next: 'Take it away there.',
          });
        }
      } catch (error) {
        if (!(error instanceof KubeError) || error.status === undefined || error.status >= 500) throw error;
        refused = error;
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  const place = { about: `clusters.${needs.cluster.name}`, code: 'access-review' } as const;
  if (refused !== undefined) {
    return [
      {
        ...place,
        severity: 'warning',
        what: `The API server could not be asked what the accounts may do: ${refused.message}`,
      },
    ];
  }
  if (findings.length > 0 || asked === 0) return findings;
  return [{ ...place, severity: 'ok', what: `${asked} SubjectAccessReviews agree with what the Roles say.` }];
}

/** Its own namespace, and where `access` is about; undefined is the whole cluster. */
function placesOf({ namespace: home, access }: MintedAccount): (string | undefined)[] {
  return [...new Set([home, ...access.map(({ namespace }) => namespace)])];
}

function knownPowers(live: Live): (account: MintedAccount, namespace: string | undefined) => ReadonlySet<string> {
  const index = indexBindings(live);
  return (account, namespace) => {
    const groups = serviceAccount(account.namespace, account.name).groups;
    const bindings = [...index.of(account), ...groups.flatMap((group) => index.ofGroup(group))];
    return new Set(
      bindings
        .filter((binding) => binding.kind === 'ClusterRoleBinding' || binding.namespace === namespace)
        .flatMap((binding) => findPowers(live.rulesOf(binding), 'cluster').map(({ id }) => id)),
    );
  };
}

async function isAllowed(
  kube: KubeClient,
  account: MintedAccount,
  namespace: string | undefined,
  { verb, resource, subresource }: (typeof questions)[number],
): Promise<boolean> {
  const { user, groups } = serviceAccount(account.namespace, account.name);
  const { body } = await kube.request<{ status?: { allowed?: boolean } }>(
    'POST',
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    {
      repeatable: true,
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user, groups, resourceAttributes: { namespace, verb, group: '', resource, subresource } },
      },
    },
  );
  return body.status?.allowed === true;
}
