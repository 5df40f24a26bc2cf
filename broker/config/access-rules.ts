import { keyOfAccess } from '../policy/access.ts';
import type { PolicyFault } from '../policy/parse-where.ts';
import { completeAccess } from './complete.ts';
import { type AccessDocument, type GrantDocument, mostAccess } from './schema.ts';

/** What is wrong with `access` of one grant, by paths within it. `own`: the namespaces of Kleis on that cluster. */
export function accessFaults({ access = [], ephemeral }: GrantDocument, own: ReadonlySet<string>): PolicyFault[] {
  const faults: PolicyFault[] = [];
  const taken = new Set<string>();
  let count = 0;
  for (const [index, entry] of access.entries()) {
    const report = (message: string, ...path: (string | number)[]) => faults.push({ path: [index, ...path], message });
    for (const message of formFaults(entry)) report(message);
    if (entry.scope !== undefined && ephemeral === true) report(clusterWideLease, 'scope');
    for (const { namespace, path } of namespacesOf(entry)) {
      if (own.has(namespace))
        report("is one of Kleis's own: whoever may write there may mint what the broker may", ...path);
    }
    for (const one of completeAccess(entry)) {
      const key = keyOfAccess(one);
      if (taken.has(key)) report(`names the ${one.kind} ${one.name} in ${one.namespace ?? 'the whole cluster'} twice`);
      taken.add(key);
      count += 1;
    }
  }
  if (count > mostAccess) faults.push({ path: [], message: `comes to more than ${mostAccess} bindings` });
  return faults;
}

const clusterWideLease =
  'is not for ephemeral accounts: to bind one for each lease, the broker would need the right to remove every ClusterRoleBinding. Name a serviceAccount, or namespaces';

/** Exactly one of role and clusterRole, and exactly one way to say where. */
function formFaults({ namespace, namespaces, scope, role, clusterRole }: AccessDocument): string[] {
  const faults: string[] = [];
  if (role === undefined && clusterRole === undefined) faults.push('names neither a role nor a clusterRole');
  if (role !== undefined && clusterRole !== undefined)
    faults.push('names a role and a clusterRole: write an entry for each');
  const places = Object.entries({ namespace, namespaces, scope }).filter(([, place]) => place !== undefined);
  if (places.length === 0)
    faults.push(
      `says not where: write namespace or namespaces${role === undefined ? ', or scope: cluster for all of them' : ''}`,
    );
  if (places.length > 1) {
    const said = places.map(([field]) => (field === 'scope' ? 'scope: cluster' : field));
    faults.push(`says where in more than one way, by ${said.join(' and ')}: leave all but one out`);
  }
  if (scope !== undefined && role !== undefined)
    faults.push('is a Role for the whole cluster, and a Role is in one namespace: name a clusterRole');
  return faults;
}

function namespacesOf({ namespace, namespaces = [] }: AccessDocument) {
  return [
    ...(namespace === undefined ? [] : [{ namespace, path: ['namespace'] }]),
    ...namespaces.map((each, index) => ({ namespace: each, path: ['namespaces', index] })),
  ];
}
