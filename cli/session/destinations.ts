import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import type { BrokerSettings } from '../settings/broker.ts';
import { hashAuthority } from './key.ts';
import type { Deps } from '../surroundings/deps.ts';
import { addressOf, identityOf } from '../kubeconfig/cluster-identity.ts';
import { nameOf } from '../provider/tokens.ts';
import type { Session } from './file-format.ts';

/** Where a session's tokens go: to a cluster, or to a broker, whose token the cluster then gets. */
export interface Destinations {
  /** `clusterIdentity` of cluster-identity.ts. */
  readonly cluster: string | undefined;
  /** Its origin, and a hash of what vouches for it if that is said. */
  readonly broker?: string | undefined;
}

/** A broker's address, and a hash of the authority that vouches for it if one is named. */
export async function brokerIdentity(
  broker: Pick<BrokerSettings, 'url' | 'certificateAuthority'> | undefined,
): Promise<string | undefined> {
  if (broker === undefined) return undefined;
  const { origin } = new URL(broker.url);
  const pem = await readAuthority(broker.certificateAuthority);
  return pem === undefined ? origin : identityOf(origin, [hashAuthority(pem)]);
}

interface NewDestination {
  readonly identity: string;
  /** "the cluster https://…", and whether its address is known. */
  readonly text: string;
}

/** Those that tokens of the session have never gone to. */
export function newDestinations(session: Session | undefined, { broker, cluster }: Destinations): NewDestination[] {
  const known = session?.clusters ?? [];
  return [
    { kind: 'broker', identity: broker },
    { kind: 'cluster', identity: cluster },
  ].flatMap(({ kind, identity }) => {
    if (identity === undefined || known.includes(identity)) return [];
    const address = addressOf(identity);
    const changed = known.some((each) => addressOf(each) === address);
    const how = changed ? ', whose certificate authority, server name or proxy is not the one known so far,' : '';
    return [{ identity, text: `the ${kind} ${address}${how}` }];
  });
}

/** "for the cluster https://… through the broker https://…", for the sign-in; nothing where a person signs in for none. */
export function describeDestinations({ broker, cluster }: Destinations): string {
  const parts = [
    ...(cluster === undefined ? [] : [`for the cluster ${addressOf(cluster)}`]),
    ...(broker === undefined ? [] : [`through the broker ${addressOf(broker)}`]),
  ];
  return clean(parts.join(' '), 400);
}

export function nameOfSession(session: Session | undefined): string {
  return nameOf(session?.tokens.subject) ?? 'your account';
}

/** Asks whether they may have tokens. Throws `sign_in_needed` where nobody can be asked, `sign_in_refused` for a no. */
export async function confirmDestinations(
  destinations: readonly NewDestination[],
  whose: string,
  { mayAsk, deps }: { readonly mayAsk: boolean; readonly deps: Deps },
): Promise<void> {
  const question = `Let ${destinations.map(({ text }) => text).join(' and ')} have tokens of ${whose}?`;
  if (!mayAsk) {
    throw new KleisError('sign_in_needed', `${question} Nobody can be asked here.`, {
      hint: 'Run `kleis login --context NAME` for that cluster in a terminal and answer there.',
    });
  }
  const { askYesNo } = await import('../surroundings/ask.ts');
  if (await askYesNo(question, deps)) return;
  throw new KleisError('sign_in_refused', 'The new cluster was not confirmed, so it gets no token.', {
    hint: 'Answer y if you trust that cluster.',
  });
}
