import { KleisError } from '../../shared/errors.ts';
import { contextNames } from '../../shared/kube/broker-entries.ts';
import type { WellKnownCluster } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import { type Directory, readDirectory } from '../broker/directory.ts';
import { type AskedBroker, callerFlags, openCaller } from '../get-token/caller.ts';
import { addressOf } from '../get-token/exchange.ts';
import type { WantedEntry } from '../kubeconfig/add.ts';
import { checkName, checkNamespace, checkServer } from '../kubeconfig/cluster-fields.ts';
import { type SignInFlags, toArguments } from '../settings/flags.ts';
import { authorityOf, type PersonChoices, readFlags } from '../settings/gather.ts';
import type { Deps } from '../surroundings/deps.ts';

/** A context that an address offers. */
export interface Offer {
  readonly context: string;
  readonly cluster: WellKnownCluster;
  readonly user: string;
  /** Where the caller may do something, if that is one namespace. */
  readonly namespace?: string | undefined;
  readonly flags: SignInFlags;
}

/** What an address offers the caller, who signs in there if it is a broker's. */
export async function readOffers(
  from: string,
  flags: SignInFlags,
  { yes, choices }: { readonly yes: boolean; readonly choices: PersonChoices },
  deps: Deps,
): Promise<readonly Offer[]> {
  const typed = { ...flags, broker: from };
  const given = readFlags(typed);
  const broker = { url: given.broker!, certificateAuthority: authorityOf(given, 'brokerCertificateAuthority') };
  const ask = await addressOf(broker, choices.proxy, deps);
  const directory = await readDirectory(ask);
  if (directory.broker === undefined) return withoutBroker(directory, typed);
  const caller = callerFlags(directory, typed, deps.env);
  const { token, name: who } = await openCaller(caller, broker, { yes, person: choices }, deps);
  const mine = await readDirectory(ask, token);
  if (mine.grants.length === 0) {
    throw new KleisError('grant_denied', `${clean(broker.url)} has no grant for ${clean(who)}.`, {
      hint: `Ask whoever runs that broker for one. If you know its name, this says what it wants of you: kleis explain --broker ${clean(broker.url)} --grant NAME`,
    });
  }
  return ofGrants(mine, { ...caller, ...brokerFlags(broker, typed) });
}

function brokerFlags(broker: AskedBroker, typed: SignInFlags): SignInFlags {
  const { brokerCertificateAuthority, brokerCertificateAuthorityData, ttl } = typed;
  return {
    broker: broker.url,
    ...(brokerCertificateAuthority !== undefined && { brokerCertificateAuthority }),
    ...(brokerCertificateAuthorityData !== undefined && { brokerCertificateAuthorityData }),
    ...(ttl !== undefined && { ttl }),
  };
}

function ofGrants({ grants, clusters }: Directory, flags: SignInFlags): Offer[] {
  const places = new Map(clusters.map((cluster) => [cluster.name, cluster]));
  const reachable = grants.filter((grant) => places.has(grant.cluster));
  const names = contextNames(reachable);
  return reachable.map(({ name, cluster, namespace }) => ({
    context: names.get(name)!,
    cluster: places.get(cluster)!,
    user: `kleis-${name}`,
    namespace,
    flags: { ...flags, grant: name },
  }));
}

/** The clusters take the provider's own tokens; which are the caller's they say themselves. */
function withoutBroker(directory: Directory, typed: SignInFlags): Offer[] {
  if (directory.clusters.length === 0) {
    throw new KleisError('broker_invalid', 'The document at that address names no cluster.');
  }
  return directory.clusters.map((cluster) => {
    const issuers = directory.issuers.filter(({ name }) => name === cluster.issuer);
    if (issuers.length === 0) {
      throw new KleisError('broker_invalid', `The document names no issuer for the cluster ${clean(cluster.name)}.`);
    }
    const flags = callerFlags({ ...directory, issuers }, typed, {});
    return { context: cluster.name, cluster, user: `kleis-${cluster.issuer!}`, flags };
  });
}

/** As it is to stand in a kubeconfig. Throws `usage` for what cannot stand there. */
export function toEntry({ context, cluster, user, flags, ...offer }: Offer, typed?: string): WantedEntry {
  const namespace = typed ?? offer.namespace;
  const { server, certificate_authority: certificateAuthority, tls_server_name: tlsServerName } = cluster;
  return {
    names: {
      contexts: checkName('The name', context),
      clusters: checkName('The name of the cluster', cluster.name),
      users: checkName('The name of the user', user),
    },
    cluster: {
      server: checkServer('The address of the cluster', server),
      certificateAuthority,
      tlsServerName,
      extension: undefined,
    },
    namespace: namespace === undefined ? undefined : checkNamespace(namespace),
    args: toArguments(flags),
  };
}
