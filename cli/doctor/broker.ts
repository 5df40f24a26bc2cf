import { KleisError } from '../../shared/errors.ts';
import type { BrokerAddress } from '../broker/connection.ts';
import { clean } from '../../shared/text.ts';
import { type Directory, readDirectory } from '../broker/directory.ts';
import { hintOfGrants } from '../broker/own-grants.ts';
import { addressOf } from '../get-token/exchange.ts';
import { type Present, readToken } from '../get-token/present.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import type { BrokerSettings } from '../settings/broker.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { audiencesOf } from './claims.ts';
import { type DoctorFinding, failed, ok, unknown } from './finding.ts';

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
  if (present === undefined) return [...findings, unknown('grant', 'Which grants are yours is known after a sign-in.')];
  const refusal = compareWith(directory, present, place);
  if (refusal !== undefined) return [...findings, refusal];
  try {
    const mine = (await readDirectory(ask, present.token)).grants.map(({ name }) => name);
    if (mine.includes(grant)) {
      return [
        ...findings,
        ok('grant', `The grant ${clean(grant)} is yours${others(mine.filter((name) => name !== grant))}.`),
      ];
    }
    return [...findings, failed('grant', noGrant(place, grant, mine))];
  } catch (error) {
    return [...findings, failed('broker', toFailure(error, deps))];
  }
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
  if (ofIssuer.length === 0) {
    const known = issuers.map(({ issuer }) => clean(issuer)).slice(0, 10);
    const what = `${place} knows the issuer ${known.join(', ') || '(none)'}, and the token is of ${clean(iss)}.`;
    const hint = 'Sign in at one that it knows, or ask its administrator to add this one to `issuers`.';
    return failed('broker', new KleisError('subject_issuer_unknown', what, { hint }));
  }
  const audiences = audiencesOf(claims);
  if (ofIssuer.some(({ audience }) => audiences.includes(audience))) return undefined;
  const wanted = ofIssuer.map(({ audience }) => clean(audience)).join(' or ');
  const got = clean(audiences.join(', ')) || '(nobody)';
  return failed(
    'broker',
    new KleisError('subject_audience', `${place} takes tokens for ${wanted}, and this one is for ${got}.`, {
      hint: 'Sign in with the client of that name (--client-id) or ask for that audience (--audience), or let its administrator set `audience` of this issuer to yours.',
    }),
  );
}

function noGrant(place: string, grant: string, mine: readonly string[]): KleisError {
  return new KleisError('grant_denied', `${place} has no grant ${clean(grant)} for you.`, {
    hint: hintOfGrants(grant, mine),
  });
}

function others(names: readonly string[]): string {
  if (names.length === 0) return '';
  const list = names.slice(0, 5).map((name) => clean(name, 100));
  return `; also ${list.join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}
