import { isObject } from '../../../shared/json.ts';
import { clean } from '../../../shared/text.ts';
import type { ClusterClient } from '../../cluster/client.ts';
import { listObjects } from '../../cluster/list.ts';

/** With which flags the API server runs that answered; where there are several, the others may run with others. */
export type ServerFlags =
  | { readonly kind: 'known'; readonly from: string; readonly get: (name: string) => string }
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * `/flagz` (KEP-4828, on by default since 1.36), else the pod that kubeadm makes of an API server. Throws as
 * `ClusterClient.ask`.
 */
export async function readServerFlags(cluster: ClusterClient): Promise<ServerFlags> {
  let status = 0;
  for (const version of ['v1beta1', 'v1alpha1']) {
    // Its text is for people: it has another divider at each start.
    const accept = `application/json;v=${version};g=config.k8s.io;as=Flagz`;
    const answer = await cluster.ask({ method: 'GET', path: '/flagz', accept });
    ({ status } = answer);
    const flags = answer.body?.['flags'];
    if (status === 200 && isObject(flags)) {
      return known('/flagz', new Map(Object.entries(flags).map(([name, value]) => [name, clean(value, 400)])));
    }
    if (status !== 406) break;
  }
  const pods = await listObjects(cluster, {
    path: '/api/v1/namespaces/kube-system/pods',
    labelSelector: 'component=kube-apiserver',
    read: flagsOfPod,
  });
  const [first] = pods.kind === 'read' ? pods.items : [];
  if (first !== undefined) return known('its pod in kube-system', first);
  const ofPod =
    pods.kind === 'read' ? 'there is no pod of it in kube-system' : `its pod may not be read (${pods.message})`;
  return {
    kind: 'unknown',
    why: `An API server tells its flags at /flagz (HTTP ${status} here), or in its pod: ${ofPod}.`,
  };
}

function known(from: string, flags: ReadonlyMap<string, string>): ServerFlags {
  // Of a list and of none alike: `[RBAC]` and `RBAC`.
  return { kind: 'known', from, get: (name) => (flags.get(name) ?? '').replace(/^\[(.*)\]$/, '$1') };
}

/** `--name=value` of its command and arguments, and `--name` for true. */
function flagsOfPod(pod: Readonly<Record<string, unknown>>): Map<string, string> | undefined {
  const spec = isObject(pod['spec']) ? pod['spec'] : {};
  const containers: unknown[] = Array.isArray(spec['containers']) ? spec['containers'] : [];
  const words = containers
    .filter(isObject)
    .flatMap(({ command, args }) => [command, args].flatMap((list): unknown[] => (Array.isArray(list) ? list : [])));
  const flags = new Map<string, string>();
  for (const word of words) {
    const [, name, value = 'true'] = (typeof word === 'string' && /^--([a-z0-9-]+)(?:=(.*))?$/s.exec(word)) || [];
    if (name !== undefined) flags.set(name, clean(value, 400));
  }
  return flags.size === 0 ? undefined : flags;
}
