import type { Advice } from './advice.ts';
import { type ApiServerWants, authenticationConfiguration, authenticator } from './authentication-config.ts';
import type { ApiVersion, DistributionName } from './flags.ts';
import type { Step } from './guide.ts';
import { toYaml } from './yaml.ts';

/** How one kind of cluster is told of a provider. */
export interface Recipe {
  /** By name: what is to be copied, merged or handed over. */
  readonly files: Readonly<Record<string, string>>;
  readonly steps: readonly Step[];
  readonly findings: readonly Advice[];
}

export interface RecipeRequest {
  readonly wants: ApiServerWants;
  readonly version: ApiVersion;
  /** What people sign in with at a broker. */
  readonly signIn: { readonly clientId: string; readonly scopes: readonly string[] };
}

interface Distribution {
  readonly title: string;
  /** What every name of a provider must begin with. */
  readonly prefix?: string;
  /** Knows no expressions: a claim must be at the top of the token. */
  readonly plainOnly?: true;
  /** Takes no provider of its own: its bindings are for a broker's accounts. */
  readonly throughBroker?: true;
  readonly recipe: (request: RecipeRequest) => Recipe;
}

export const authenticationFile = 'authentication.yaml';

const usually = (
  { wants, version }: RecipeRequest,
  more: Readonly<Record<string, unknown>>,
  steps: readonly Step[],
): Recipe => ({
  files: {
    [authenticationFile]: toYaml(authenticationConfiguration(wants, version)),
    ...Object.fromEntries(Object.entries(more).map(([name, value]) => [name, toYaml(value)])),
  },
  steps: [...steps, ...afterwards],
  findings: [],
});

const afterwards: readonly Step[] = [
  {
    text: 'Take away the --oidc-… flags that the API server has: with a file it takes none. A file that changes later is in force some seconds after, without a restart; where it is wrong the old one stays, and the log has the reason.',
  },
];

/** Where the file is on a machine of kubeadm or kind. The folder is mounted: a file that is replaced would stay the old one. */
const folder = '/etc/kubernetes/authentication';

/** kubeadm's form changed with 1.31 (v1beta4), and 1.30 has only the older one. */
function clusterConfiguration(form: 'v1beta4' | 'v1beta3'): Record<string, unknown> {
  const value = `${folder}/${authenticationFile}`;
  return {
    apiVersion: `kubeadm.k8s.io/${form}`,
    kind: 'ClusterConfiguration',
    apiServer: {
      extraArgs: form === 'v1beta4' ? [{ name: 'authentication-config', value }] : { 'authentication-config': value },
      extraVolumes: [
        { name: 'authentication', hostPath: folder, mountPath: folder, readOnly: true, pathType: 'DirectoryOrCreate' },
      ],
    },
  };
}

function kubeadm(request: RecipeRequest): Recipe {
  const form = request.version === 'v1' ? 'v1beta4' : 'v1beta3';
  return usually(request, { 'kubeadm.yaml': clusterConfiguration(form) }, [
    {
      text: 'Put the file on every control plane node:',
      lines: [`sudo install -D -m 0600 ${authenticationFile} ${folder}/${authenticationFile}`],
    },
    {
      text: 'A new cluster: merge kubeadm.yaml into the configuration of `kubeadm init`. One that runs: get its configuration, merge kubeadm.yaml into it, make the API server anew on one control plane node after the other, and keep the configuration for upgrades:',
      lines: [
        "kubectl -n kube-system get configmap kubeadm-config -o jsonpath='{.data.ClusterConfiguration}' >cluster.yaml",
        'sudo kubeadm init phase control-plane apiserver --config cluster.yaml',
        'sudo kubeadm init phase upload-config kubeadm --config cluster.yaml',
      ],
    },
  ]);
}

function k3s(request: RecipeRequest): Recipe {
  const place = '/etc/rancher/k3s/kleis';
  return usually(request, { 'k3s.yaml': { 'kube-apiserver-arg+': [argument(place)] } }, [
    {
      text: 'On every server:',
      lines: [
        `sudo install -D -m 0600 ${authenticationFile} ${place}/${authenticationFile}`,
        'sudo install -D -m 0600 k3s.yaml /etc/rancher/k3s/config.yaml.d/kleis.yaml',
        'sudo systemctl restart k3s',
      ],
    },
  ]);
}

function rke2(request: RecipeRequest): Recipe {
  const place = '/etc/rancher/rke2/kleis';
  const config = {
    'kube-apiserver-arg+': [argument(place)],
    'kube-apiserver-extra-mount+': [`${place}:${place}:ro`],
  };
  return usually(request, { 'rke2.yaml': config }, [
    {
      text: 'On every server:',
      lines: [
        `sudo install -D -m 0600 ${authenticationFile} ${place}/${authenticationFile}`,
        'sudo install -D -m 0600 rke2.yaml /etc/rancher/rke2/config.yaml.d/kleis.yaml',
        'sudo systemctl restart rke2-server',
      ],
    },
  ]);
}

const argument = (place: string) => `authentication-config=${place}/${authenticationFile}`;

function talos(request: RecipeRequest): Recipe {
  const configuration = authenticationConfiguration(request.wants, request.version);
  // Ours takes the place of what Talos writes itself, by which its probes come in.
  const anonymous = { enabled: true, conditions: ['/livez', '/readyz', '/healthz'].map((path) => ({ path })) };
  const now = {
    apiVersion: 'v1alpha1',
    kind: 'KubeAuthenticationConfig',
    configuration: { ...configuration, anonymous },
  };
  const place = '/var/lib/kleis';
  const path = `${place}/${authenticationFile}`;
  const before = {
    machine: { files: [{ path, permissions: 0o444, op: 'create', content: toYaml(configuration) }] },
    cluster: {
      apiServer: {
        extraArgs: { 'authentication-config': path },
        extraVolumes: [{ hostPath: place, mountPath: place, readonly: true }],
      },
    },
  };
  const { files, steps, findings } = usually(request, { 'talos.yaml': now, 'talos-before-1.14.yaml': before }, [
    {
      text: 'Talos 1.14 and later, for every control plane node; talos-before-1.14.yaml before that:',
      lines: ['talosctl patch machineconfig --nodes NODE,… --patch @talos.yaml'],
    },
  ]);
  return { files, steps, findings };
}

function kind(request: RecipeRequest): Recipe {
  const config = {
    kind: 'Cluster',
    apiVersion: 'kind.x-k8s.io/v1alpha4',
    nodes: [
      {
        role: 'control-plane',
        extraMounts: [
          { hostPath: `./${authenticationFile}`, containerPath: `${folder}/${authenticationFile}`, readOnly: true },
        ],
      },
    ],
    // Each is for the form that it names: kind takes the one of the version that it starts.
    kubeadmConfigPatches: (['v1beta4', 'v1beta3'] as const).map((form) => toYaml(clusterConfiguration(form))),
  };
  return usually(request, { 'kind.yaml': config }, [
    {
      text: 'In the folder of these files; a cluster that runs has to be made anew. The issuer must be reachable under its name from within the node:',
      lines: ['kind create cluster --config kind.yaml'],
    },
  ]);
}

function oke(request: RecipeRequest): Recipe {
  const configuration = toYaml(authenticationConfiguration(request.wants, request.version));
  const settings = {
    isOpenIdConnectAuthEnabled: true,
    configurationFile: Buffer.from(configuration).toString('base64'),
  };
  return {
    files: {
      [authenticationFile]: configuration,
      'oke.json': json({ options: { openIdConnectTokenAuthenticationConfig: settings } }),
    },
    steps: [
      {
        text: 'An enhanced cluster of Kubernetes 1.30 or later. oke.json holds the file, in base64:',
        lines: ['oci ce cluster update --cluster-id CLUSTER-OCID --from-json file://oke.json'],
      },
      { text: 'Let the subnet of the API endpoint reach the issuer (port 443). OCI IAM goes on beside it.' },
    ],
    findings: [],
  };
}

function eks({ wants }: RecipeRequest): Recipe {
  const { issuer, audience, username, groups } = wants;
  const config = {
    identityProviderConfigName: 'kleis',
    issuerUrl: issuer,
    clientId: audience,
    usernameClaim: username.path[0],
    usernamePrefix: username.prefix === '' ? '-' : username.prefix,
    ...(groups !== undefined && {
      groupsClaim: groups.path[0],
      ...(groups.prefix !== '' && { groupsPrefix: groups.prefix }),
    }),
  };
  return {
    files: { 'eks.json': json(config) },
    steps: [
      {
        text: 'A cluster of EKS takes one provider. It is in force after some minutes; IAM goes on beside it:',
        lines: [
          'aws eks associate-identity-provider-config --cluster-name CLUSTER --oidc file://eks.json',
          'aws eks wait cluster-active --name CLUSTER',
        ],
      },
    ],
    findings: publicOnly('EKS', wants),
  };
}

function aks({ wants }: RecipeRequest): Recipe {
  return {
    files: { 'aks.json': json(authenticator({ ...wants, certificateAuthority: undefined }, { byExpressions: true })) },
    steps: [
      {
        text: 'AKS has this in preview, and switches the preview on for a whole subscription:',
        lines: [
          'az extension add --name aks-preview',
          'az feature register --namespace Microsoft.ContainerService --name JWTAuthenticatorPreview',
          'az provider register --namespace Microsoft.ContainerService',
          'az aks jwtauthenticator add --resource-group GROUP --cluster-name CLUSTER --name kleis --config-file aks.json',
        ],
      },
      { text: 'Entra ID goes on beside it. Where a preview is not for you, put a broker between: docs/broker.md.' },
    ],
    findings: publicOnly('AKS', wants),
  };
}

function publicOnly(title: string, { certificateAuthority }: ApiServerWants): Advice[] {
  if (certificateAuthority === undefined) return [];
  const what = `${title} takes no authority of yours, and the provider has one.`;
  const next = 'Give the provider a certificate that everybody trusts, or put a broker between.';
  return [{ severity: 'warning', code: 'authority_private', about: 'distribution', what, next }];
}

function gke({ wants, signIn }: RecipeRequest): Recipe {
  const { issuer, certificateAuthority } = wants;
  const fragment = {
    apiVersion: 'kleis.dev/v1',
    kind: 'BrokerConfig',
    issuers: {
      sso: {
        url: issuer,
        audience: wants.audience,
        platform: 'other',
        ...(certificateAuthority !== undefined && { certificateAuthority: 'oidc-ca.crt' }),
        signIn: { clientId: signIn.clientId, scopes: signIn.scopes.filter((scope) => scope !== 'openid') },
      },
    },
  };
  return {
    files: { 'broker.yaml': toYaml(fragment) },
    steps: [
      {
        text: 'The API server of GKE takes Google identities and no provider of yours. Put the broker between: it takes the sign-in at your provider, and gives a token of a service account for it. broker.yaml is the file of its configuration folder that says who signs in; what else is in there, with grants in place of bindings, docs/broker.md and docs/grants.md say.',
      },
      { text: 'Developers then need one address:', lines: ['kleis kubeconfig add --from https://kleis.example.com'] },
    ],
    findings: [],
  };
}

function other(request: RecipeRequest): Recipe {
  return usually(request, {}, [
    {
      text: 'Kubernetes 1.30 and later take the file. Put it where every API server can read it, and give them',
      lines: [`--authentication-config=/PATH/${authenticationFile}`],
    },
    {
      text: 'A managed cluster often has fields of its own for the same: fill in what the --oidc-… flags below say. Where it takes no provider, put the broker between: docs/broker.md.',
    },
  ]);
}

const json = (value: unknown) => `${JSON.stringify(value, undefined, 2)}\n`;

const distributions = {
  kubeadm: { title: 'kubeadm', recipe: kubeadm },
  k3s: { title: 'k3s', recipe: k3s },
  rke2: { title: 'RKE2', recipe: rke2 },
  talos: { title: 'Talos', recipe: talos },
  kind: { title: 'kind', recipe: kind },
  oke: { title: 'OKE', recipe: oke },
  eks: { title: 'EKS', plainOnly: true, recipe: eks },
  aks: { title: 'AKS', prefix: 'aks:jwt:', recipe: aks },
  gke: { title: 'GKE', throughBroker: true, recipe: gke },
  other: { title: 'the API server', recipe: other },
} as const satisfies Readonly<Record<DistributionName, Distribution>>;

export function distribution(name: DistributionName): Distribution {
  return distributions[name];
}
