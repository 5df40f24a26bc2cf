import { createHash } from 'node:crypto';
import { ownTokenTtl } from '../cluster/own-token.ts';
import type { BrokerConfig, ClusterConfig } from '../config/broker-config.ts';
import { clustersOf } from '../config/writers.ts';
import { type Access, isNamespaced, keyOfAccess, type NamespacedAccess } from '../policy/access.ts';

export interface Account {
  readonly namespace: string;
  readonly name: string;
}

/** An account that tokens are minted for, with what all its grants together ask for. */
export interface MintedAccount extends Account {
  /** Names of its grants, sorted. */
  readonly grants: readonly string[];
  /** Seconds: the largest `ttl.max` of its grants. RBAC and admission know accounts, not grants. */
  readonly maxTtl: number;
  /** Some of its tokens are bound to a Secret of their own. */
  readonly revocable: boolean;
  /** Some of its tokens are bound to nothing. */
  readonly unbound: boolean;
  readonly killSwitch: string | undefined;
  readonly access: readonly Access[];
}

/** Somebody else who may write in the system namespace; names sorted. */
export interface Writer extends Account {
  readonly secrets: readonly string[];
  readonly configMaps: readonly string[];
}

/** What one cluster must hold for a configuration; everything sorted, so that the order of a file means nothing. */
export interface ClusterNeeds {
  readonly cluster: ClusterConfig;
  readonly broker: Account;
  /** Seconds, if the broker makes tokens for itself. */
  readonly ownTtl: number | undefined;
  /** As the API server knows the broker. */
  readonly brokerUser: string;
  /** Of the broker's Roles, bindings and policy; differs between two brokers on one cluster. */
  readonly name: string;
  readonly namespacesPolicy: string;
  readonly audiences: readonly string[];
  readonly stateNamespace: string | undefined;
  readonly identityNamespace: string;
  readonly identities: readonly MintedAccount[];
  readonly elsewhere: readonly MintedAccount[];
  readonly ephemeral:
    | {
        readonly namespace: string;
        readonly maxTtl: number;
        readonly grants: readonly string[];
        readonly access: readonly NamespacedAccess[];
      }
    | undefined;
  /** Namespaces that hold nothing but what Kleis keeps there. */
  readonly namespaces: readonly string[];
  readonly writers: readonly Writer[];
}

/** `audiences`: what the API server of that cluster accepts. */
export function findNeeds(config: BrokerConfig, cluster: ClusterConfig, audiences: readonly string[]): ClusterNeeds {
  const grants = Object.values(config.grants)
    .filter((grant) => grant.cluster === cluster.name)
    .toSorted((a, b) => compare(a.name, b.name));
  const accounts = new Map<string, MintedAccount & { readonly kind: 'identity' | 'elsewhere' }>();
  for (const { account, name, ttl, revocable, killSwitch, access = [] } of grants) {
    if (account.kind === 'ephemeral') continue;
    const key = `${account.namespace}/${account.name}`;
    const other = accounts.get(key);
    accounts.set(key, {
      kind: account.kind,
      namespace: account.namespace,
      name: account.name,
      grants: [...(other?.grants ?? []), name],
      maxTtl: Math.max(other?.maxTtl ?? 0, seconds(ttl.max)),
      revocable: (other?.revocable ?? false) || revocable,
      unbound: (other?.unbound ?? false) || (!revocable && killSwitch === undefined),
      killSwitch: killSwitch ?? other?.killSwitch,
      access: sortAccess([...(other?.access ?? []), ...access]),
    });
  }
  const sorted = [...accounts.values()].toSorted((a, b) => compare(keyOf(a), keyOf(b)));
  const ephemeral = grants.filter((grant) => grant.account.kind === 'ephemeral');
  const state = 'memory' in config.state || config.state.cluster !== cluster.name ? undefined : config.state.namespace;
  const { identityNamespace, ephemeralNamespace, systemNamespace, serviceAccount } = cluster;
  const broker = { namespace: systemNamespace, name: serviceAccount };
  return {
    cluster,
    broker,
    ownTtl: 'renew' in cluster.credentials && cluster.credentials.renew ? ownTokenTtl : undefined,
    brokerUser: userOf(broker),
    name: ownName('kleis-broker', cluster),
    namespacesPolicy: ownName('kleis-namespaces', cluster),
    audiences: sortNames(audiences),
    stateNamespace: state,
    identityNamespace,
    identities: sorted.filter(({ kind }) => kind === 'identity'),
    elsewhere: sorted.filter(({ kind }) => kind === 'elsewhere'),
    ephemeral:
      ephemeral.length === 0
        ? undefined
        : {
            namespace: ephemeralNamespace,
            maxTtl: Math.max(...ephemeral.map(({ ttl }) => seconds(ttl.max))),
            grants: ephemeral.map(({ name }) => name),
            // What holds in the whole cluster is refused with the configuration.
            access: sortAccess(ephemeral.flatMap(({ access = [] }) => access.filter(isNamespaced))),
          },
    namespaces: [
      systemNamespace,
      ...(state === undefined ? [] : [state]),
      identityNamespace,
      ...(ephemeral.length === 0 ? [] : [ephemeralNamespace]),
    ],
    writers: findWriters(config, cluster),
  };
}

/** Two entries of one account are one. */
function findWriters(config: BrokerConfig, cluster: ClusterConfig): Writer[] {
  const writers = new Map<string, Writer>();
  for (const writer of config.namespaces.writers) {
    if (!clustersOf(writer, config).includes(cluster)) continue;
    const key = keyOf(writer.account);
    const other = writers.get(key);
    writers.set(key, {
      ...writer.account,
      secrets: sortNames([...(other?.secrets ?? []), ...writer.secrets]),
      configMaps: sortNames([...(other?.configMaps ?? []), ...writer.configMaps]),
    });
  }
  return [...writers].toSorted(([a], [b]) => compare(a, b)).map(([, each]) => each);
}

function sortNames(names: readonly string[]): string[] {
  return [...new Set(names)].toSorted(compare);
}

/** `NAMESPACE/NAME`. */
export function keyOf({ namespace, name }: Account): string {
  return `${namespace}/${name}`;
}

/** As the API server calls it. */
export function userOf({ namespace, name }: Account): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

/** By code point, as UTF-8 sorts: what a machine's language makes of letters must not change the output. */
export function compare(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  return rank(a.charCodeAt(at)) < rank(b.charCodeAt(at)) ? -1 : 1;
}

/** Of a code unit; halves of code points beyond the others come last, and the end of a text (NaN) first. */
function rank(unit: number): number {
  if (Number.isNaN(unit)) return -1;
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x1_0000 : unit;
}

function sortAccess<T extends Access>(access: readonly T[]): T[] {
  const byKey = new Map(access.map((each) => [keyOfAccess(each), each]));
  return [...byKey].toSorted(([a], [b]) => compare(a, b)).map(([, each]) => each);
}

function seconds(milliseconds: number): number {
  return Math.floor(milliseconds / 1000);
}

function ownName(base: string, { systemNamespace, serviceAccount }: ClusterConfig): string {
  const account = serviceAccount === 'kleis-broker' ? '' : `.${serviceAccount}`;
  const suffix = systemNamespace === 'kleis-system' && account === '' ? '' : `.${systemNamespace}${account}`;
  return fit(`${base}${suffix}`);
}

/** A name of at most 253 characters; of a longer one the end gives way to its hash. */
export function fit(name: string): string {
  if (name.length <= 253) return name;
  // Of characters, so that none is cut in two.
  const characters = Array.from(name);
  if (characters.length <= 253) return name;
  return `${characters.slice(0, 236).join('')}-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`;
}
