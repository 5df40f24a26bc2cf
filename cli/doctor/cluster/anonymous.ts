import { describeBinding, describeRole, userOf } from '../../../shared/rbac/bindings.ts';
import type { Binding, RbacState } from '../../../shared/rbac/kinds.ts';
import { findPowers } from '../../../shared/rbac/powers.ts';
import type { ClusterClient } from '../../cluster/client.ts';
import { type DoctorFinding, ok, unknown, warning } from '../finding.ts';
import { danger } from './danger.ts';
import type { RbacRead } from './rbac-objects.ts';
import { removal, type Words } from './words.ts';

/** Whom the API server takes a request for that says nothing of who sends it. */
const nobody = new Set(['user system:anonymous', 'group system:unauthenticated']);
/** What system:public-info-viewer gives everybody, and what a node needs before it is one (kubeadm). */
const usual = new Set(['system:public-info-viewer', 'kubeadm:bootstrap-signer-clusterinfo']);

/** What an API server need not show to whoever comes, and how bad it is that it does. */
const probes: readonly { readonly path: string; readonly worst?: true }[] = [
  { path: '/api' },
  { path: '/apis' },
  { path: '/openapi/v2' },
  { path: '/openapi/v3' },
  { path: '/metrics' },
  { path: '/flagz' },
  { path: '/debug/pprof/' },
  { path: '/logs/' },
  { path: '/api/v1/namespaces?limit=1' },
  { path: '/api/v1/nodes?limit=1', worst: true },
  { path: '/api/v1/pods?limit=1', worst: true },
  { path: '/api/v1/configmaps?limit=1', worst: true },
  { path: '/api/v1/secrets?limit=1', worst: true },
];
const metadata = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, */*;q=0.5';

/** What somebody without a credential gets. Throws as `ClusterClient.ask`. */
export async function checkAnonymous(anonymous: ClusterClient, rbac: RbacRead, words: Words): Promise<DoctorFinding[]> {
  const { status } = await anonymous.ask({ method: 'GET', path: '/api' });
  if (status === 401) return [ok('anonymous', 'A request without a credential is refused (401).')];
  const open: { readonly path: string; readonly worst?: true }[] = [];
  for (const probe of probes) {
    // Of a Secret no more than its name is asked for, and not kept.
    const answer = await anonymous.ask({ method: 'GET', path: probe.path, accept: metadata });
    if (answer.status === 200) open.push(probe);
  }
  const findings = [...openFindings(open, words), ...(rbac.kind === 'read' ? bindingFindings(rbac.state, words) : [])];
  if (findings.length > 0) return findings;
  const limits = 'A request without a credential is taken for system:anonymous, which reads versions and health alone';
  if (rbac.kind === 'read') return [ok('anonymous', `${limits}.`)];
  return [
    ok('anonymous', `${limits}, of ${probes.length} addresses that were tried.`),
    unknown('anonymous', 'What else system:anonymous may do is not known: RBAC may not be read.', { why: rbac.why }),
  ];
}

function openFindings(
  open: readonly { readonly path: string; readonly worst?: true }[],
  words: Words,
): DoctorFinding[] {
  if (open.length === 0) return [];
  const list = open.map(({ path }) => path.replace('?limit=1', '')).join(', ');
  const what = `Whoever reaches ${words.host} reads ${list} without a credential.`;
  const more = {
    why: 'By default system:anonymous reads versions and health alone.',
    next: `Find what gives it: ${words.kubectl} get clusterrolebindings,rolebindings -A -o wide | grep -E 'system:(anonymous|unauthenticated)'. AuthenticationConfiguration can keep anonymous requests to /livez, /readyz and /healthz.`,
  };
  const isWorst = open.some(({ worst }) => worst === true);
  return [
    isWorst ? danger('anonymous', 'anonymous_reads', what, more) : warning('anonymous', 'anonymous_reads', what, more),
  ];
}

function bindingFindings(state: RbacState, words: Words): DoctorFinding[] {
  const given = state.bindings.filter(
    ({ subjects, roleRef }) => !usual.has(roleRef.name) && subjects.some((subject) => nobody.has(userOf(subject))),
  );
  return given.map((binding) => {
    const { kind, namespace } = binding;
    const what = `${describeBinding(binding)} gives whoever comes ${describeRole(binding)}${kind === 'RoleBinding' ? ` in ${namespace}` : ''}.`;
    const powers = findPowers(state.rulesOf(binding), kind === 'RoleBinding' ? 'namespace' : 'cluster');
    const more = {
      ...(powers.length > 0 && { why: `They may ${powers.map(({ may }) => may).join('; ')}.` }),
      next: endOf(binding, words),
    };
    return powers.length > 0
      ? danger('anonymous', 'anonymous_binding', what, more)
      : warning('anonymous', 'anonymous_binding', what, more);
  });
}

function endOf(binding: Binding, words: Words): string {
  return `If nobody needs it: ${removal(binding, words)}. Who does need it signs in: kleis kubeconfig add.`;
}
