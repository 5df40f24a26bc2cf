import { isObject } from '../../shared/json.ts';
import { isDeepStrictEqual } from 'node:util';
import { isStatus, KubeError } from '../../shared/kube/error.ts';
import { apiPath, type KubeClient } from '../../shared/kube/client.ts';
import { findAbove, powersOf } from '../../shared/rbac/above-policies.ts';
import { describeBinding, describeRole } from '../../shared/rbac/bindings.ts';
import type { KubeObject } from '../../shared/rbac/kinds.ts';
import { buildManifests, describeObject, ownLabels } from '../rbac/manifests.ts';
import { type ClusterNeeds, keyOf } from '../rbac/needs.ts';
import { indexBindings } from './accounts.ts';
import type { Finding } from '../../shared/findings.ts';
import type { Live } from './cluster-objects.ts';

const apply = 'Apply what `kleis-broker rbac` prints.';
const broker = { about: 'broker' } as const;

/** The broker's own objects: is everything there that `rbac` prints, as it prints it, and nothing that adds to it. */
export function checkConfinement(needs: ClusterNeeds, live: Live): Finding[] {
  const printed = buildManifests(needs).flatMap(({ manifests }) => manifests.map(({ object }) => object));
  const held = new Map(
    [
      ...live.namespaces,
      ...live.accounts,
      ...live.roles,
      ...live.bindings.map(({ object }) => object),
      ...live.policies,
      ...live.policyBindings,
      ...live.killSwitches,
    ].map((object) => [describeObject(object), object]),
  );
  const findings = printed
    // What the grants need of these is compared by meaning, grant by grant.
    .filter((object) => !isOfGrant(object, needs))
    .flatMap((object) => compareObject(object, held.get(describeObject(object))));
  if (!findings.some(({ code }) => code.startsWith('policy'))) {
    findings.push({
      ...broker,
      severity: 'ok',
      code: 'policy',
      what: 'Both admission policies are as printed, and bound with Deny.',
    });
  }
  if (!findings.some(({ severity }) => severity === 'error')) {
    findings.push({
      ...broker,
      severity: 'ok',
      code: 'broker',
      what: `${keyOf(needs.broker)} has its Roles, and no others by name.`,
    });
  }
  return [...findings, ...checkBrokerBindings(needs, live), ...checkLeftOver(needs, held, printed)];
}

function isOfGrant({ kind, metadata }: KubeObject, needs: ClusterNeeds): boolean {
  if (kind === 'Secret') return true;
  if (kind === 'ServiceAccount')
    return metadata.name !== needs.broker.name || metadata.namespace !== needs.broker.namespace;
  return kind === 'RoleBinding' && metadata.name !== needs.name;
}

function compareObject(expected: KubeObject, held: KubeObject | undefined): Finding[] {
  const what = describeObject(expected);
  const isPolicy = expected.kind.startsWith('ValidatingAdmissionPolicy');
  if (held === undefined) {
    return [
      {
        ...broker,
        severity: 'error',
        code: isPolicy ? 'policy-missing' : 'object-missing',
        what: `${what} is not there.`,
        ...(isPolicy && {
          why: 'Without it, RBAC alone confines the broker: whoever takes it over can read Secrets and mint longer tokens.',
        }),
        next: apply,
      },
    ];
  }
  const fields = Object.keys(expected).filter((field) => !['apiVersion', 'kind', 'metadata'].includes(field));
  const wrong = fields.flatMap((field) => differences(expected[field], held[field], field));
  if (wrong.length === 0) return [];
  return [
    {
      ...broker,
      severity: 'error',
      code: isPolicy ? 'policy-changed' : 'object-changed',
      what: `${what} is not as \`kleis-broker rbac\` prints it: ${wrong.slice(0, 5).join(', ')}${wrong.length > 5 ? ', …' : ''}.`,
      why: isPolicy
        ? 'It belongs to another configuration, or somebody loosened it.'
        : 'The broker may do too little to work, or more than it needs.',
      next: apply,
    },
  ];
}

/** Paths of what differs; lists are told as a whole. */
function differences(expected: unknown, held: unknown, path: string): string[] {
  if (isDeepStrictEqual(expected, held)) return [];
  if (!isObject(expected) || !isObject(held)) return [path];
  return [...new Set([...Object.keys(expected), ...Object.keys(held)])].flatMap((key) =>
    differences(expected[key], held[key], `${path}.${key}`),
  );
}

function checkBrokerBindings(needs: ClusterNeeds, live: Live): Finding[] {
  const index = indexBindings(live);
  const roleNamespaces = new Set(
    buildManifests(needs)
      .flatMap(({ manifests }) => manifests)
      .filter(({ object }) => object.kind === 'Role')
      .map(({ object }) => object.metadata.namespace),
  );
  const extra = index
    .of(needs.broker)
    .filter(
      ({ kind, namespace, name }) => kind !== 'RoleBinding' || name !== needs.name || !roleNamespaces.has(namespace),
    );
  const above = findAbove([], live);
  return [...extra, ...index.ofGroup(`system:serviceaccounts:${needs.broker.namespace}`)].map((binding) => ({
    ...broker,
    severity: 'error' as const,
    code: 'broker-binding-extra',
    what: `${describeBinding(binding)} gives the broker ${describeRole(binding)}, which it does not need.`,
    why:
      above.reasonOf(binding, powersOf(binding, live)) !== undefined
        ? 'With it, whoever takes the broker over can act as somebody else or remove the policies: nothing confines it.'
        : 'Admission confines what it writes, but no admission policy sees what it reads.',
    next: 'Remove the binding.',
  }));
}

function checkLeftOver(
  needs: ClusterNeeds,
  held: ReadonlyMap<string, KubeObject>,
  printed: readonly KubeObject[],
): Finding[] {
  const wanted = new Set(printed.map(describeObject));
  const labels = Object.entries(ownLabels(needs));
  return [...held]
    .filter(
      ([name, { metadata }]) => !wanted.has(name) && labels.every(([key, value]) => metadata.labels?.[key] === value),
    )
    .map(([name, { kind, metadata }]) => ({
      ...broker,
      severity: 'warning' as const,
      code: 'left-over',
      what: `${name} was made for an earlier configuration and is no longer needed.`,
      // Dropped while no broker ran, or none that knew it: nothing has pulled it.
      ...(kind === 'Secret' && { why: 'Tokens of the dropped grant are bound to it, and end with it.' }),
      next: `kubectl delete ${kind.toLowerCase()}${metadata.namespace === undefined ? '' : ` -n ${metadata.namespace}`} '${metadata.name}'`,
    }));
}

interface Probe {
  readonly code: string;
  readonly policy: string;
  readonly namespace: string;
  readonly as: string;
  readonly groups: readonly string[];
  readonly what: string;
  /** The policy is there, so it may come into force in a moment. */
  readonly isThere: boolean;
}

/** What the API server takes, at most, until a policy that was just made holds; and how often it is asked meanwhile. */
const settling = { tries: 20, pause: 500 } as const;

type Sleep = (milliseconds: number) => Promise<void>;

/** Is the policy in force: the same dry-run create that the broker makes to find out, as the broker, refused with 422. */
export async function probeBrokerPolicy(
  kube: KubeClient,
  needs: ClusterNeeds,
  live: Live,
  sleep: Sleep,
): Promise<Finding[]> {
  const { namespace } = needs.broker;
  return probe(kube, sleep, {
    isThere: hasPolicy(live, needs.name),
    code: 'policy-in-force',
    policy: needs.name,
    namespace: needs.identityNamespace,
    as: needs.brokerUser,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    what: 'as the broker',
  });
}

/** The same for the other policy, with somebody whose rights would do without it. */
export async function probeNamespacesPolicy(
  kube: KubeClient,
  needs: ClusterNeeds,
  live: Live,
  sleep: Sleep,
  holder: { readonly user: string; readonly groups: readonly string[] },
): Promise<Finding[]> {
  return probe(kube, sleep, {
    isThere: hasPolicy(live, needs.namespacesPolicy),
    code: 'namespaces-policy-in-force',
    policy: needs.namespacesPolicy,
    namespace: needs.identityNamespace,
    as: holder.user,
    groups: holder.groups,
    // Not by name: whoever it is may get around the policy in another way.
    what: 'as somebody who would have the right but for the policy',
  });
}

function hasPolicy({ policies, policyBindings }: Live, name: string): boolean {
  return [policies, policyBindings].every((objects) => objects.some(({ metadata }) => metadata.name === name));
}

/** Asks again while a policy that is there does not hold: `check` may come right after `kubectl apply`. */
async function probe(kube: KubeClient, sleep: Sleep, asked: Probe): Promise<Finding[]> {
  for (let left = asked.isThere ? settling.tries : 0; ; left -= 1) {
    const findings = await probeOnce(kube, asked);
    if (left === 0 || findings[0]?.severity !== 'error') return findings;
    await sleep(settling.pause);
  }
}

async function probeOnce(kube: KubeClient, { code, policy, namespace, as, groups, what }: Probe): Promise<Finding[]> {
  const tried = `A dry-run create of a Secret in ${namespace} ${what}`;
  const body = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: { name: 'kleis-check', namespace } };
  try {
    await kube.request('POST', apiPath('v1', namespace, 'secrets'), {
      query: { dryRun: 'All' },
      // Node sends a list as one header each.
      headers: { 'impersonate-user': as, 'impersonate-group': groups as unknown as string },
      body,
    });
  } catch (error) {
    if (isStatus(error, 422) && error.message.includes(`'${policy}'`)) {
      return [
        { ...broker, severity: 'ok', code, what: `${tried} is refused by the policy ${policy}: it is in force.` },
      ];
    }
    if (!(error instanceof KubeError) || error.status === undefined || error.status >= 500) throw error;
    return [
      {
        ...broker,
        severity: 'warning',
        code,
        what: `Whether the policy ${policy} is in force could not be seen: ${error.message}`,
        next:
          error.status === 403 && error.message.includes('impersonate')
            ? 'Use a kubeconfig that may impersonate the broker.'
            : `${apply} Then check again.`,
      },
    ];
  }
  return [
    {
      ...broker,
      severity: 'error',
      code,
      what: `${tried} is let through: the policy ${policy} is not in force.`,
      why: 'Without it, RBAC alone confines whoever writes there.',
      next: apply,
    },
  ];
}
