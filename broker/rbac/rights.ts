import type { KubeClient } from '../../shared/kube/client.ts';
import { brokerRules } from './manifests.ts';
import type { ClusterNeeds } from './needs.ts';

/** One thing that RBAC must let the broker do, as authorization.k8s.io/v1 ResourceAttributes have it. */
export interface Right {
  readonly namespace: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  /** Of one object: what one grant or a few need, and others do not. */
  readonly name: string | undefined;
  /** Like `delete secrets in kleis-identities`. */
  readonly text: string;
}

/** All that `kleis-broker rbac` gives for these needs, but for what the broker can do without. */
export function rightsOf(needs: ClusterNeeds): Right[] {
  return [...brokerRules(needs)]
    .flatMap(([namespace, rules]) =>
      rules.flatMap(({ rule: { apiGroups = [''], resources = [], verbs, resourceNames } }) =>
        apiGroups.flatMap((group) =>
          resources.flatMap((each) =>
            verbs.flatMap((verb) =>
              (resourceNames ?? [undefined]).map((name) => toRight(namespace, group, each, verb, name)),
            ),
          ),
        ),
      ),
    )
    .filter(({ verb, resource }) => !(verb === 'get' && resource === 'serviceaccounts'));
}

function toRight(namespace: string, group: string, whole: string, verb: string, name: string | undefined): Right {
  const [resource = '', subresource = ''] = whole.split('/');
  const text = `${verb} ${whole}${name === undefined ? '' : ` ${name}`} in ${namespace}`;
  return { namespace, verb, group, resource, subresource, name, text };
}

/**
 * Whether RBAC, or whatever authorizes there, lets the broker do it. Undefined if it cannot be told: nobody answers, or
 * the policies are older than the question. Never throws.
 */
export async function hasRight(kube: KubeClient, right: Right): Promise<boolean | undefined> {
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const { namespace, verb, group, resource, subresource, name } = right;
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { namespace, verb, group, resource, subresource, name } },
  };
  try {
    const options = { body, timeout: 5_000, repeatable: true };
    const answer = await kube.request<{ status?: { allowed?: boolean } }>('POST', path, options);
    return answer.body.status?.allowed === true;
  } catch {
    return undefined;
  }
}
