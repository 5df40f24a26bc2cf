import type { KubeClient } from '../../shared/kube/client.ts';
import type { Rule } from '../../shared/rbac/kinds.ts';
import { brokerRules } from './manifests.ts';
import type { ClusterNeeds } from './needs.ts';

/** One thing that RBAC must let the broker do, as authorization.k8s.io/v1 ResourceAttributes have it. */
export interface Right {
  readonly namespace: string;
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  /** Of one object alone. */
  readonly name: string | undefined;
  /** Like `delete secrets in kleis-identities`. */
  readonly text: string;
}

/** All that `kleis-broker rbac` gives for these needs, but for what is not needed to mint tokens and to end them. */
export function rightsOf(needs: ClusterNeeds): Right[] {
  return [...brokerRules(needs)].flatMap(([namespace, rules]) =>
    rules.filter(({ optional }) => !optional).flatMap(({ rule }) => rightsOfRule(namespace, rule)),
  );
}

function rightsOfRule(namespace: string, rule: Rule): Right[] {
  const { apiGroups = [], resources = [], verbs, resourceNames: names = [undefined] } = rule;
  return apiGroups.flatMap((group) =>
    resources.flatMap((resource) =>
      verbs.flatMap((verb) => names.map((name) => toRight(namespace, group, resource, verb, name))),
    ),
  );
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
