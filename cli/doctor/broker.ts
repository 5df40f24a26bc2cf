import { BrokerRefusal } from '../../shared/broker-client.ts';
import { KleisError } from '../../shared/errors.ts';
import { adviceFor } from '../broker/advice.ts';
import type { BrokerAddress } from '../broker/connection.ts';
import type { WellKnownGrant } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import { type Directory, readDirectory } from '../broker/directory.ts';
import { explainGrant } from '../broker/explain.ts';
import { hintOfGrants } from '../broker/own-grants.ts';
import { addressOf } from '../get-token/exchange.ts';
import { type Present, readToken } from '../get-token/present.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import type { BrokerSettings } from '../settings/broker.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { audiencesOf } from './claims.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

/** The broker: whether it answers, takes this token, and has the grant for who asks. */
export async function checkBroker(
  broker: BrokerSettings,
  settings: Settings | AmbientSettings,
  present: Present | undefined,
  deps: Deps,
): Promise<DoctorFinding[]> {
  const { url, grant } = broker;
  const place = clean(url);
  let ask: BrokerAddress;
  let directory: Directory;
  try {
    ask = await addressOf(broker, settings.proxy, deps);
    directory = await readDirectory(ask);
  } catch (error) {
    return [failed('broker', toFailure(error, deps))];
  }
  const findings = [ok('broker', `${place} answers as a broker.`)];
  if (present === undefined) return [...findings, ...beforeSignIn(directory, settings, broker)];
  const refusal = compareWith(directory, present, place);
  if (refusal !== undefined) return [...findings, refusal];
  try {
    const { grants } = await readDirectory(ask, present.token);
    const mine = grants.map(({ name }) => name);
    const own = grants.find(({ name }) => name === grant);
    if (own !== undefined) {
      return [
        ...findings,
        ok('grant', `The grant ${clean(grant)} is yours${gives(own)}${others(mine.filter((name) => name !== grant))}.`),
      ];
    }
    const misfit = await misfitOf(ask, present, grant);
    return [...findings, misfit ?? failed('grant', noGrant(place, grant, mine))];
  } catch (error) {
    return [...findings, failed('broker', toFailure(error, deps))];
  }
}

/** Of a grant for who asks: which claims of the token do not fit it. Undefined where the broker says nothing of that. */
async function misfitOf(ask: BrokerAddress, { token }: Present, grant: string): Promise<DoctorFinding | undefined> {
  try {
    const advice = adviceFor((await explainGrant(ask, token, grant)).conditions);
    if (advice.length === 0) return undefined;
    const what = `The grant ${clean(grant)} is for you, and your token does not fit it.`;
    return failed('grant', new KleisError('grant_denied', what, { hint: advice.join(' ') }));
  } catch (error) {
    if (error instanceof BrokerRefusal && error.code === 'grant_denied') return undefined;
    throw error;
  }
}

/** What can be known of settings before there is a token. */
function beforeSignIn(
  { issuers, grants }: Directory,
  settings: Settings | AmbientSettings,
  { url, grant }: BrokerSettings,
): DoctorFinding[] {
  const place = clean(url);
  const later = unknown('grant', 'Which grants are yours is known after a sign-in.');
  // A broker lists them for who asks alone; another program may list them for everybody.
  const names = grants.map(({ name }) => name);
  const listed = names.length > 0 && !names.includes(grant) ? failed('grant', noGrant(place, grant, names)) : later;
  if (isAmbient(settings)) {
    const own = issuers.filter(({ platform }) => platform === settings.identity);
    const fitting = own.length > 0 ? own : issuers;
    // Said by nobody, it is asked of the broker when it is needed.
    if (settings.audience === undefined || fitting.some(({ audience }) => audience === settings.audience))
      return [listed];
    return [wrongAudience(place, fitting, settings.audience), listed];
  }
  const ofIssuer = issuers.filter(({ issuer }) => issuer === settings.issuerUrl);
  if (ofIssuer.length === 0) return [unknownIssuer(place, issuers, 'you sign in at', settings.issuerUrl)];
  // An ID token is for its client (OpenID Connect Core 2), whoever else it is for as well.
  const { token, clientId } = settings;
  if (token !== 'id' || ofIssuer.some(({ audience }) => audience === clientId)) return [listed];
  const { what, next } = wrongAudience(place, ofIssuer, clientId);
  const why = 'An ID token is for the client that signs in; the provider may add others.';
  return [warning('broker', 'subject_audience', what, { why, next }), listed];
}

/** What the broker says beforehand of the tokens that it takes. */
function compareWith({ issuers }: Directory, { token }: Present, place: string): DoctorFinding | undefined {
  const claims = readToken(token)?.claims;
  if (claims === undefined) {
    const hint = 'Send the ID token: leave --token access away.';
    return failed(
      'broker',
      new KleisError('subject_malformed', `${place} takes JWTs, and this token is none.`, { hint }),
    );
  }
  const { iss } = claims;
  const ofIssuer = issuers.filter(({ issuer }) => issuer === iss);
  if (ofIssuer.length === 0) return unknownIssuer(place, issuers, 'the token is of', iss);
  const audiences = audiencesOf(claims);
  if (ofIssuer.some(({ audience }) => audiences.includes(audience))) return undefined;
  return wrongAudience(place, ofIssuer, audiences.join(', ') || '(nobody)');
}

function unknownIssuer(place: string, issuers: Directory['issuers'], but: string, found: unknown): DoctorFinding {
  const known = issuers.map(({ issuer }) => clean(issuer)).slice(0, 10);
  const what = `${place} knows the issuer ${known.join(', ') || '(none)'}, and ${but} ${clean(found)}.`;
  const hint = 'Sign in at one that it knows, or ask its administrator to add this one to `issuers`.';
  return failed('broker', new KleisError('subject_issuer_unknown', what, { hint }));
}

function wrongAudience(place: string, issuers: Directory['issuers'], got: string): DoctorFinding {
  const wanted = [...new Set(issuers.map(({ audience }) => clean(audience)))].slice(0, 10).join(' or ');
  return failed(
    'broker',
    new KleisError('subject_audience', `${place} takes tokens for ${wanted}, and this one is for ${clean(got)}.`, {
      hint: 'Sign in with the client of that name (--client-id) or ask for that audience (--audience), or let its administrator set `audience` of this issuer to yours.',
    }),
  );
}

function noGrant(place: string, grant: string, mine: readonly string[]): KleisError {
  return new KleisError('grant_denied', `${place} has no grant ${clean(grant)} for you.`, {
    hint: hintOfGrants(grant, mine),
  });
}

function gives({ access = [] }: WellKnownGrant): string {
  return access.length === 0 ? '' : `, and gives ${clean(access.slice(0, 5).join('; '), 300)}`;
}

function others(names: readonly string[]): string {
  if (names.length === 0) return '';
  const list = names.slice(0, 5).map((name) => clean(name, 100));
  return `; also ${list.join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}
