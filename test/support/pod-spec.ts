/** The part of a pod that this kubelet knows; `only` refuses the rest, which would be parsed and ignored. */

export type Unknown = Readonly<Record<string, unknown>>;

export interface Pod {
  readonly metadata: { readonly name: string; readonly namespace: string; readonly uid: string };
  readonly spec: PodSpec;
}

export interface PodSpec extends Unknown {
  readonly containers: readonly Container[];
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly volumes?: readonly Unknown[];
  readonly securityContext?: SecurityContext & { readonly fsGroup?: number };
  readonly terminationGracePeriodSeconds?: number;
}

export interface Container extends Unknown {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly { readonly name?: string; readonly containerPort: number }[];
  readonly readinessProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly securityContext?: SecurityContext;
  readonly lifecycle?: { readonly preStop?: { readonly sleep?: { readonly seconds: number } } };
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: Unknown;
}

export interface Probe extends Unknown {
  readonly httpGet?: { readonly path: string; readonly port: string | number };
}

export interface SecurityContext extends Unknown {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly readOnlyRootFilesystem?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
}

/** Throws where something is said that nobody here would do. */
export function only(what: string, said: object, known: readonly string[]): void {
  const strange = Object.keys(said).filter((key) => !known.includes(key));
  if (strange.length > 0) throw new Error(`${what}: ${strange.join(', ')} is not known to this kubelet`);
}

// What the scheduler, the runtime's cgroups and seccomp would do is not done here, and cannot make a pod fail that runs.
const ofOthers = [
  ...['affinity', 'nodeName', 'nodeSelector', 'preemptionPolicy', 'priority', 'priorityClassName', 'schedulerName'],
  ...['tolerations', 'topologySpreadConstraints', 'imagePullSecrets', 'dnsPolicy', 'enableServiceLinks'],
  'serviceAccount',
];

export function checkSpec({ spec }: Pod): Container {
  only('pod', spec, [
    ...ofOthers,
    ...['containers', 'restartPolicy', 'serviceAccountName', 'automountServiceAccountToken', 'volumes'],
    ...['securityContext', 'terminationGracePeriodSeconds'],
  ]);
  const [container, ...more] = spec.containers;
  if (container === undefined || more.length > 0) throw new Error('a pod here has one container');
  only('container', container, [
    ...['name', 'image', 'imagePullPolicy', 'command', 'args', 'env', 'ports', 'volumeMounts', 'securityContext'],
    ...['readinessProbe', 'livenessProbe', 'startupProbe', 'lifecycle', 'resources'],
    ...['terminationMessagePath', 'terminationMessagePolicy'],
  ]);
  const contexts = ['runAsNonRoot', 'runAsUser', 'runAsGroup', 'seccompProfile'];
  only('securityContext of the pod', spec.securityContext ?? {}, [...contexts, 'fsGroup', 'fsGroupChangePolicy']);
  const inContainer = ['readOnlyRootFilesystem', 'allowPrivilegeEscalation', 'capabilities', 'privileged'];
  only('securityContext', container.securityContext ?? {}, [...contexts, ...inContainer]);
  only('lifecycle', container.lifecycle ?? {}, ['preStop']);
  only('preStop', container.lifecycle?.preStop ?? {}, ['sleep']);
  for (const mount of container.volumeMounts ?? [])
    only(`mount ${mount.name}`, mount, ['name', 'mountPath', 'readOnly']);
  for (const port of container.ports ?? []) only('port', port, ['name', 'containerPort', 'protocol']);
  const context = { ...spec.securityContext, ...container.securityContext };
  if (context['runAsNonRoot'] === true && context.runAsUser === 0) throw new Error('it is to run as root, and not to');
  if (context['privileged'] === true) throw new Error('privileged is not known to this kubelet');
  return container;
}
