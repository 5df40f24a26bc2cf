import { KleisError } from '../../shared/errors.ts';
import { subjectFlags } from '../../shared/kube/broker-entries.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { Directory } from '../broker/directory.ts';
import { scriptOf } from '../credentials/asker.ts';
import { platformHere } from '../identity/identity.ts';
import { nameOf } from '../provider/tokens.ts';
import { brokerIdentity, newDestinations } from '../session/destinations.ts';
import { keyOf, openSession } from '../session/open.ts';
import type { BrokerSettings } from '../settings/broker.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { isSignInIdentity } from '../settings/identity-name.ts';
import type { PersonChoices } from '../settings/gather.ts';
import { isAmbient, resolveRequest, type Settings } from '../settings/sign-in.ts';
import { noteNode, openSignInFailures, storeOf } from '../stores.ts';
import { askYesNo } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { audienceOf } from './audience.ts';
import { brokerOf } from './exchange.ts';
import { fromClient, identityOf } from './sources.ts';

/** Whom a broker is asked by. */
export interface Caller {
  readonly token: Secret;
  /** For people. */
  readonly name: string;
}

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
): Promise<Caller> {
  const audience = flags.audience ?? person.brokerAudiences?.[broker.url];
  const settings = resolveRequest(
    isSignInIdentity(flags.identity) ? flags : { ...flags, audience: audience ?? broker.url },
    extension,
    person,
  );
  if (!isAmbient(settings) && settings.identity === 'client-credentials') {
    const { token } = await fromClient(settings, deps);
    return { token: token.token, name: settings.clientId };
  }
  if (!isAmbient(settings)) return signIn(settings, broker, yes, deps);
  const identity = await identityOf(settings, deps);
  if (identity === undefined) throw new Error('A job has an identity.');
  const client = await brokerOf(broker, settings.proxy, deps);
  // Said by nobody, it is for the broker to name, within bounds.
  const said = audience ?? (settings.audience === broker.url ? undefined : settings.audience);
  const asked = { ...settings, audience: said, broker: { ...broker, grant: '', ttl: undefined } };
  const { token } = await identity.token(await audienceOf(asked, identity, client));
  return { token, name: identity.title };
}

async function signIn(settings: Settings, broker: AskedBroker, yes: boolean, deps: Deps): Promise<Caller> {
  const destination = await brokerIdentity(broker);
  const store = storeOf(deps, settings.cache);
  try {
    const earlier = await store.load(await keyOf(settings)).catch(() => undefined);
    if (!yes && newDestinations(earlier, { broker: destination, cluster: undefined }).length > 0) {
      await confirm(settings, broker, deps);
    }
    const opened = await openSession({
      settings: { ...settings, confirmNewClusters: false },
      deps,
      store,
      failures: openSignInFailures(deps, scriptOf(deps)),
      mode: 'normal',
      cluster: undefined,
      broker: destination,
      interactive: deps.stdin.isTTY,
      allowPaste: true,
    });
    opened.release();
    if (settings.cache !== 'none') noteNode(deps);
    return { token: opened.token.token, name: nameOf(opened.session.tokens.subject) ?? 'someone without a name' };
  } finally {
    await store.close();
  }
}

/** Whoever answers at an address can name any client of any provider: what a person signs in for goes there. */
async function confirm({ issuerUrl, clientId }: Settings, { url }: AskedBroker, deps: Deps): Promise<void> {
  const what = `your sign-in at ${clean(issuerUrl)} (client ${clean(clientId, 100)})`;
  if (!deps.stdin.isTTY || !deps.stderr.isTTY) {
    throw new KleisError('usage', `${clean(url)} would get ${what}, and there is no terminal to ask on.`, {
      hint: 'Pass --yes if you trust that address.',
    });
  }
  if (await askYesNo(`Let ${clean(url)} have ${what}?`, deps)) return;
  throw new KleisError('sign_in_refused', 'That address was not confirmed, so it gets no token.', {
    hint: 'Answer y if you trust it.',
  });
}
