import { openAdmin } from '../cluster/admin-access.ts';
import { askForToken } from '../cluster/issued-audiences.ts';
import { KleisError } from '../../shared/errors.ts';
import { loadConfig } from '../config/load.ts';
import type { BrokerConfig, ClusterConfig } from '../config/schema.ts';
import type { Deps } from '../surroundings.ts';
import { buildManifests } from '../rbac/manifests.ts';
import { findNeeds } from '../rbac/needs.ts';
import { printJson, printYaml } from '../rbac/print.ts';

export interface RbacFlags {
  readonly config: string;
  readonly cluster?: string;
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
  const { config } = await loadConfig(flags.config);
  const cluster = chooseCluster(config, flags.cluster, 'rbac');
  const audiences = cluster.audiences ?? (await askForAudiences(cluster, flags, env, clock));
  const needs = findNeeds(config, cluster, audiences);
  const sections = buildManifests(needs);
  stdout.write(flags.output === 'json' ? printJson(sections) : printYaml(sections, needs));
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
