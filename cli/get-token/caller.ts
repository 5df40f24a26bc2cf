import { KleisError } from '../../shared/errors.ts';
import { subjectFlags } from '../../shared/kube/broker-entries.ts';
import { clean } from '../../shared/text.ts';
import type { Directory } from '../broker/directory.ts';
import { platformHere } from '../identity/identity.ts';
import { brokerIdentity, newDestinations } from '../session/destinations.ts';
import { keyOf } from '../session/open.ts';
import type { BrokerSettings } from '../settings/broker.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { isSignInIdentity } from '../settings/identity-name.ts';
import type { PersonChoices } from '../settings/gather.ts';
import { isAmbient, resolveRequest, type Settings } from '../settings/sign-in.ts';
import { noteNode, storeOf } from '../stores.ts';
import { askYesNo, requireTerminal } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { openPresent, type Present } from './present.ts';

/** The broker that is asked: what its entry will say, but for a grant. */
export type AskedBroker = Pick<BrokerSettings, 'url' | 'certificateAuthority'>;

/**
 * How the caller gets a token that the broker takes, as flags: of the issuer of a directory that `--issuer-url` or
 * `--identity` says, else of the platform of the job, else of the one that people sign in at. What was typed wins.
 * Throws `usage` where several are left, `identity_missing` where none is.
 */
export function callerFlags({ issuers, broker }: Directory, typed: SignInFlags, env: Deps['env']): SignInFlags {
  const own = ofCaller(typed);
  const identity = typed.identity ?? (typed.issuerUrl === undefined ? platformHere(env) : undefined) ?? 'sso';
  // The document of a broker does not decide whom the token of a job is for (decision 26).
  if (identity !== 'sso') return { ...own, identity };
  const people = issuers.filter((issuer) => issuer.sign_in !== undefined);
  const fitting = people.filter(({ issuer }) => (typed.issuerUrl ?? issuer) === issuer);
  const [found, ...others] = fitting;
  if (found === undefined) {
    const known = people.map(({ issuer }) => clean(issuer)).join(', ');
    throw new KleisError('identity_missing', 'That address does not say how people sign in.', {
      hint:
        known === ''
          ? 'Ask its admin to set `signIn` for an issuer. A CI job says who it is with --identity.'
          : `It knows ${known}: leave --issuer-url away, or give one of them.`,
    });
  }
  if (others.length > 0) {
    const list = fitting.map(({ issuer }) => clean(issuer)).join(', ');
    throw new KleisError('usage', 'People sign in there at several providers.', {
      hint: `Say which: --issuer-url with one of ${list}.`,
    });
  }
  const { scope, certificateAuthorityData: data, ...said } = subjectFlags({ broker: broker ?? '' }, found);
  return {
    ...said,
    ...(scope !== undefined && { scope: [...scope] }),
    ...(data !== undefined && typed.certificateAuthority === undefined && { certificateAuthorityData: data }),
    ...own,
  };
}

/** Without what says of a broker which it is and what is wanted there. */
export function ofCaller(flags: SignInFlags): SignInFlags {
  const { broker: _, grant: __, ttl: ___, brokerCertificateAuthority: ____, ...rest } = flags;
  const { brokerCertificateAuthorityData: _____, ...own } = rest;
  return own;
}

/**
 * The caller's own token: of a person, who signs in if they must, or of the job that this is. A person is asked once
 * whether that address may have it. Throws what a sign-in throws.
 */
export async function openCaller(
  flags: SignInFlags,
  broker: AskedBroker,
  { yes, person, extension }: { readonly yes: boolean; readonly person: PersonChoices; readonly extension?: unknown },
  deps: Deps,
): Promise<Present> {
  const audience = flags.audience ?? person.brokerAudiences?.[broker.url];
  const settings = resolveRequest(
    isSignInIdentity(flags.identity) ? flags : { ...flags, audience: audience ?? broker.url },
    extension,
    person,
  );
  if (isAmbient(settings)) {
    // Said by nobody, it is for the broker to name, within bounds.
    const said = audience ?? (settings.audience === broker.url ? undefined : settings.audience);
    return openPresent({ ...settings, audience: said, broker: asGranted(broker) }, visit, deps);
  }
  if (settings.identity === 'sso' && !yes) await confirmNew(settings, broker, deps);
  const present = await openPresent({ ...settings, broker: asGranted(broker), confirmNewClusters: false }, visit, deps);
  if (present.session !== undefined && settings.cache !== 'none') noteNode(deps);
  return present;
}

const visit = { cluster: undefined, signIn: true };

/** As those of an entry; which grant plays no part in who asks. */
function asGranted(broker: AskedBroker): BrokerSettings {
  return { ...broker, grant: '', ttl: undefined };
}

/** A session that the broker has had tokens of before is not asked about. */
async function confirmNew(settings: Settings, broker: AskedBroker, deps: Deps): Promise<void> {
  const store = storeOf(deps, settings.cache);
  try {
    const earlier = await store.load(await keyOf(settings)).catch(() => undefined);
    const destinations = { broker: await brokerIdentity(broker), cluster: undefined };
    if (newDestinations(earlier, destinations).length > 0) await confirm(settings, broker, deps);
  } finally {
    await store.close();
  }
}

/** Whoever answers at an address can name any client of any provider: what a person signs in for goes there. */
async function confirm({ issuerUrl, clientId }: Settings, { url }: AskedBroker, deps: Deps): Promise<void> {
  const what = `your sign-in at ${clean(issuerUrl)} (client ${clean(clientId, 100)})`;
  requireTerminal(`${clean(url)} would get ${what}`, 'Pass --yes if you trust that address.', deps);
  if (await askYesNo(`Let ${clean(url)} have ${what}?`, deps)) return;
  throw new KleisError('sign_in_refused', 'That address was not confirmed, so it gets no token.', {
    hint: 'Answer y if you trust it.',
  });
}
