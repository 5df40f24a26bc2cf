import { Command } from 'commander';
import { KleisError } from '../../shared/errors.ts';
import { clean, revealUnseen } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { namesAsUpper } from '../surroundings/process.ts';
import { clusterIdentity, type ExecCluster } from '../kubeconfig/cluster-identity.ts';
import { addGetTokenFlags, type SignInFlags, verboseFlag } from './flags.ts';
import { findEntry, type FoundEntry } from '../kubeconfig/find.ts';

export interface ContextSettings {
  readonly flags: SignInFlags;
  /** The cluster's extension client.authentication.k8s.io/exec. */
  readonly extension: unknown;
  /** Of the cluster, as a session remembers it. */
  readonly identity: string;
  readonly cluster: ExecCluster;
  readonly entry: FoundEntry;
  /** With the environment that kubectl would give the plugin: proxy, HOME and where sessions are kept may stand there. */
  readonly deps: Deps;
}

/** What `kubectl --context NAME` would run Kleis with. Throws `kubeconfig_invalid`. */
export async function contextSettings(request: Parameters<typeof findEntry>[0], deps: Deps): Promise<ContextSettings> {
  const entry = await findEntry(request, deps);
  let flags: SignInFlags;
  try {
    flags = parseEntry(entry.args);
  } catch (cause) {
    const why = clean(cause instanceof Error ? revealUnseen(cause.message.replace(/^error: /, '')) : cause);
    throw new KleisError(
      'kubeconfig_invalid',
      `The user ${clean(entry.user)} in ${clean(entry.file, 400)} cannot be used: ${why}`,
      { cause },
    );
  }
  return {
    flags,
    extension: entry.cluster.config,
    identity: clusterIdentity(entry.cluster),
    cluster: entry.cluster,
    entry,
    deps: { ...deps, env: { ...deps.env, ...(deps.platform === 'win32' ? namesAsUpper(entry.env) : entry.env) } },
  };
}

/** The arguments of an entry as flags, not yet checked; undefined if `get-token` would refuse them. */
export function readEntryFlags(args: readonly string[]): SignInFlags | undefined {
  try {
    return parseEntry(args);
  } catch {
    return undefined;
  }
}

function parseEntry(args: readonly string[]): SignInFlags {
  return addGetTokenFlags(new Command())
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
    .addOption(verboseFlag)
    .parse([...args], { from: 'user' })
    .opts<SignInFlags>();
}
