import { KleisError } from '../../shared/errors.ts';
import { claimOf, longestToken } from '../../shared/jwt.ts';
import type { Answer } from '../http/answer.ts';
import type { Trail } from '../http/trail.ts';
import type { Subject } from '../issuers/issuers.ts';
import { EmptyState } from './view/components.tsx';
import { beginSignIn, openPending, type Pending } from './session/pending.ts';
import { endSession, startSession, tooLarge } from './session/session.ts';
import { texts } from './view/texts.ts';
import type { FormVisit, OpenVisit } from './view/visit.ts';

/** Where somebody comes who was on the way to no other page. */
const firstPage = '/ui/access';

/** `GET /ui/sign-in?back=`: on to the provider. */
export async function signIn(visit: OpenVisit): Promise<Answer> {
  const { cookies, seal, provider, services } = visit;
  const back = visit.backTo(textOf(visit, 'back')) ?? firstPage;
  const pending = await beginSignIn(back, cookies, { seal, now: services.clock.now() });
  const url = await provider.authorizationUrl(pending);
  return goTo(url.href, [pending.cookie]);
}

/** `GET /ui/callback`: back from the provider. Whoever signs in gets a session that nobody had before. */
export async function callback(visit: OpenVisit, trail: Trail): Promise<Answer> {
  const { call, cookies, seal, provider, services } = visit;
  const { clock, issuers, loaded } = services;
  const { issuer, clientId, session } = loaded.config.web!;
  const state = textOf(visit, 'state');
  const pending = await openPending(state, cookies, { seal, now: clock.now() });
  if (pending === undefined) {
    throw new KleisError('sign_in_invalid', 'This sign-in was begun in another browser, or too long ago.', {
      hint: 'Sign in anew, in one browser.',
    });
  }
  const token = await provider.redeem(queryOf(call.query), { ...pending, state: state! });
  if (token.reveal().length > longestToken) throw tooLarge(`${token.reveal().length} characters of ${longestToken}`);
  const subject = await issuers.verify(token.reveal(), clientId).catch((error: unknown) => {
    throw explain(error);
  });
  trail.addSubject(subject);
  checkSubject(subject, pending, { issuer, clientId });
  const set = await startSession(subject, { seal, now: clock.now(), length: session });
  return goTo(visit.href(pending.back), set);
}

/** `POST /ui/sign-out`: here, and at the provider where it offers that. */
export function signOut({ form, href, provider }: FormVisit, trail: Trail): Answer {
  trail.conclude('done');
  const there = provider.endSessionUrl();
  // A browser follows a form to where the page that it stood on said, and nowhere else.
  const onward = there !== undefined && there.origin === form.get('at') ? there.href : href('/ui/signed-out');
  return goTo(onward, endSession());
}

export function signedOutPage({ page, href, session }: OpenVisit): Answer {
  const { signedOut } = texts;
  return page({
    title: signedOut.title,
    body: (
      <EmptyState title={session === undefined ? signedOut.lead : session.name}>
        <a class="button" href={href(session === undefined ? '/ui/sign-in' : firstPage)}>
          {session === undefined ? signedOut.again : texts.nav.access}
        </a>
      </EmptyState>
    ),
  });
}

/** Beside what `issuers` has proved: that it was made for this sign-in, by the issuer and for the client of the page. */
function checkSubject(
  { issuer, claims }: Subject,
  { nonce }: Pending,
  wanted: { readonly issuer: string; readonly clientId: string },
): void {
  const azp = claimOf(claims, 'azp');
  const wrong = [
    issuer !== wanted.issuer && 'it is of another issuer',
    claimOf(claims, 'nonce') !== nonce && 'it was not made for this sign-in (nonce)',
    azp !== undefined && azp !== wanted.clientId && 'it was made for another client (azp)',
  ].find((each) => each !== false);
  if (wrong === undefined) return;
  throw new KleisError('sign_in_invalid', 'The provider sent a token that is not for this sign-in.', { detail: wrong });
}

/** Of a token that nobody here has seen: it is the provider's doing. */
function explain(error: unknown): unknown {
  if (!(error instanceof KleisError) || error.status >= 500) return error;
  return new KleisError('sign_in_invalid', `The token that the provider sent cannot be used: ${error.message}`, {
    hint: 'Sign in anew; if it keeps happening, tell the administrator of the broker.',
    detail: `${error.code}: ${error.detail ?? ''}`,
    cause: error,
  });
}

function goTo(address: string, cookies: readonly string[]): Answer {
  const headers = { Location: address, 'Set-Cookie': cookies };
  return { status: 303, type: 'text/plain; charset=utf-8', body: '', headers };
}

function textOf({ call }: OpenVisit, name: string): string | undefined {
  const value = Object.hasOwn(call.query, name) ? call.query[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}

/** As it was sent: what comes twice must be seen twice. */
function queryOf(query: Readonly<Record<string, unknown>>): URLSearchParams {
  const entries = Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((each): [string, string] => [name, String(each)]),
  );
  return new URLSearchParams(entries);
}
