import { openAdmin } from '../cluster/admin-access.ts';
import { askForToken } from '../cluster/issued-audiences.ts';
import { KleisError } from '../../shared/errors.ts';
import { loadConfig } from '../config/load.ts';
import type { BrokerConfig, ClusterConfig } from '../config/broker-config.ts';
import { isNamespaceName } from '../config/schema.ts';
import type { Deps } from '../surroundings.ts';
import { buildManifests } from '../rbac/manifests.ts';
import { findNeeds } from '../rbac/needs.ts';
import { printJson, printYaml } from '../rbac/print.ts';
import { printStarterRoleYaml, starterRoleObjects, starterRoles } from '../rbac/starter-roles.ts';
import { clean } from '../../shared/text.ts';
import type { KubeObject } from '../../shared/rbac/kinds.ts';
import type { Section } from '../rbac/kinds.ts';

export interface RbacFlags {
  /** Undefined with `role` alone. */
  readonly config?: string;
  readonly cluster?: string;
  /** Print that Role, to begin with, and nothing else. */
  readonly role?: string;
  readonly namespace?: readonly string[];
  readonly output: 'yaml' | 'json';
  /** To ask the API server for its audiences. */
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** `kleis-broker rbac`. Throws ConfigFaults, `config_invalid`, `usage`. */
export async function printRbac(
  flags: RbacFlags,
  { env, stdout, clock }: Pick<Deps, 'env' | 'stdout' | 'clock'>,
): Promise<void> {
  if (flags.role !== undefined) return void stdout.write(starterRole(flags.role, flags));
  if (flags.namespace !== undefined) throw new KleisError('usage', '--namespace is for --role.');
  if (flags.config === undefined) {
    const hint = 'Add --config PATH, or --role deployer for a Role to begin with.';
    throw new KleisError('usage', 'rbac prints what a configuration needs, and none is named.', { hint });
  }
  const { config } = await loadConfig(flags.config);
  const cluster = chooseCluster(config, flags.cluster, 'rbac');
  const audiences = cluster.audiences ?? (await askForAudiences(cluster, flags, env, clock));
  const needs = findNeeds(config, cluster, audiences);
  const sections = buildManifests(needs);
  stdout.write(flags.output === 'json' ? printJson(objectsIn(sections)) : printYaml(sections, needs));
}

function objectsIn(sections: readonly Section[]): KubeObject[] {
  return sections.flatMap(({ manifests }) => manifests.map(({ object }) => object));
}

function starterRole(name: string, { namespace = [], output, config }: RbacFlags): string {
  if (config !== undefined) {
    throw new KleisError('usage', '--role prints a Role by itself, for no configuration.', {
      hint: 'Leave out --config, or --role.',
    });
  }
  if (!Object.hasOwn(starterRoles, name)) {
    throw new KleisError('usage', `There is no Role "${clean(name, 80)}" to begin with.`, {
      hint: `There is: ${Object.keys(starterRoles).join(', ')}.`,
    });
  }
  const wrong = namespace.find((each) => !isNamespaceName(each));
  if (wrong !== undefined) throw new KleisError('usage', `"${clean(wrong, 80)}" is no name of a namespace.`);
  return output === 'json' ? printJson(starterRoleObjects(name, namespace)) : printStarterRoleYaml(name, namespace);
}

/** What is meant for one cluster is never printed, or compared, with another. */
export function chooseCluster(config: BrokerConfig, name: string | undefined, command: string): ClusterConfig {
  const names = Object.keys(config.clusters);
  if (name !== undefined) {
    if (Object.hasOwn(config.clusters, name)) return config.clusters[name]!;
    throw new KleisError('usage', `The configuration has no cluster "${name}".`, {
      hint: `There are: ${names.join(', ')}.`,
    });
  }
  if (names.length === 1) return config.clusters[names[0]!]!;
  throw new KleisError(
    'usage',
    `The configuration has ${names.length} clusters, and ${command} is about one at a time.`,
    {
      hint: names.length === 0 ? 'Name one in `clusters`.' : `Add --cluster ${names.join(' or --cluster ')}.`,
    },
  );
}

async function askForAudiences(
  { name, identityNamespace }: ClusterConfig,
  { kubeconfig, context }: RbacFlags,
  env: Deps['env'],
  clock: Deps['clock'],
): Promise<readonly string[]> {
  if (kubeconfig === undefined) {
    throw new KleisError('config_invalid', `Nothing says what audiences the API server of clusters.${name} accepts.`, {
      hint: `Write clusters.${name}.audiences (mostly [https://kubernetes.default.svc]), or give --kubeconfig to ask it.`,
    });
  }
  const admin = await openAdmin({ kubeconfig, context, env, now: () => clock.now() });
  try {
    const issued = await askForToken(admin.kube, identityNamespace, 600);
    if (issued !== undefined) return issued.audiences;
  } finally {
    await admin.close();
  }
  throw new KleisError('config_invalid', `The API server of clusters.${name} could not be asked for its audiences.`, {
    hint: `Write clusters.${name}.audiences.`,
  });
}
