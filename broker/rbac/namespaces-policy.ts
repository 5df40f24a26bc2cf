import { literal } from './expressions.ts';
import type { Manifest } from './kinds.ts';
import type { ClusterNeeds } from './needs.ts';
import { everything, hasCredential, policy } from './policy.ts';

/** An account that is here itself. Of people it cannot be told: on 1.30 a certificate gives no credential-id. */
const isGenuine = `(!request.userInfo.username.startsWith('system:serviceaccount:') || ${hasCredential})`;

/** Keeps everybody else, plain cluster-wide `edit` included, from writing in Kleis's namespaces. */
export function namespacesPolicy(needs: ClusterNeeds): Manifest[] {
  return policy(
    needs.namespacesPolicy,
    'keeps others, cluster-wide edit included, from writing in the namespaces of Kleis; whoever may change policies is not held up',
    {
      matchConstraints: {
        ...everything,
        namespaceSelector: {
          matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: needs.namespaces }],
        },
      },
      matchConditions: [
        {
          name: 'others',
          // Nodes and the control plane do their own work; who reviews access writes nothing. Controllers come with a
          // token of their own: cluster-wide `edit` may impersonate their accounts.
          expression: [
            `request.userInfo.username != ${literal(needs.brokerUser)}`,
            `!('system:nodes' in request.userInfo.groups)`,
            `!('system:serviceaccounts:kube-system' in request.userInfo.groups && ${hasCredential})`,
            `!request.userInfo.username.startsWith('system:kube-')`,
            `!(request.operation == 'CREATE' && request.resource.group == 'authorization.k8s.io')`,
          ].join(' && '),
        },
        {
          name: 'who-may-not-change-this',
          expression: `!(${isGenuine} && authorizer.group('admissionregistration.k8s.io').resource('validatingadmissionpolicies').check('update').allowed())`,
        },
      ],
      validations: [{ message: "these namespaces are Kleis's own", expression: 'false' }],
    },
    'and refuses, rather than warns',
  );
}
