import { KleisError } from '../../shared/errors.ts';
import { formatDuration } from '../../shared/duration.ts';
import { type Claims, claimOf, type UnverifiedJwt } from '../../shared/jwt.ts';
import { clean } from '../../shared/text.ts';
import type { ExpectedIssuer, Mapped } from './expected.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

const about = 'token';

/** kube-apiserver gives `nbf` this leeway and `exp` none (go-oidc, oidc/verify.go). */
const leeway = 300_000;

/** What the token says of itself, without a comparison. */
export function describeToken({ claims, header }: UnverifiedJwt, now: number): DoctorFinding {
  const ends = timeOf(claims, 'exp');
  const left = ends === undefined ? 'without an end' : `for ${formatDuration(ends - now)} more`;
  return ok(
    about,
    `Issuer ${textOf(claims, 'iss')}, audience ${clean(audiencesOf(claims).join(', '), 300)}, ${clean(header['alg'], 20)}, valid ${left}.`,
  );
}

/** Compares a token with what an API server expects, in the order in which that looks. */
export function compareToken(token: UnverifiedJwt, expected: readonly ExpectedIssuer[]): DoctorFinding[] {
  const { claims, header } = token;
  const issuer = claimOf(claims, 'iss');
  const found = expected.find((each) => each.issuer === issuer);
  if (found === undefined) {
    const known = expected.map((each) => clean(each.issuer)).join(', ');
    const near =
      typeof issuer === 'string' && expected.some((each) => withoutSlash(each.issuer) === withoutSlash(issuer));
    return [
      refused(
        `The API server knows the issuer ${known || '(none)'}, and the token is of ${textOf(claims, 'iss')}.`,
        near
          ? 'They differ by the slash at the end alone, and are compared as text: write it in the configuration of the API server as the token has it.'
          : 'Write the issuer of the token into the configuration of the API server, or sign in at the one that it knows.',
        'token_issuer',
      ),
    ];
  }
  const faults: DoctorFinding[] = [];
  const audiences = audiencesOf(claims);
  if (!audiences.some((each) => found.audiences.includes(each))) {
    faults.push(
      refused(
        `The API server takes tokens for ${clean(found.audiences.join(', '), 300) || '(nobody)'}, and this one is for ${clean(audiences.join(', '), 300) || '(nobody)'}.`,
        'Use the client of that name (--client-id), ask for that audience (--audience), or add this one to the configuration of the API server.',
        'token_audience',
      ),
    );
  }
  const algorithm = typeof header['alg'] === 'string' ? header['alg'] : 'nothing';
  if (!found.algorithms.includes(algorithm)) {
    faults.push(
      refused(
        `The token is signed with ${clean(algorithm, 20)}, and the API server takes ${clean(found.algorithms.join(', '), 200)}.`,
        'Let the provider sign with one of these, or add it to --oidc-signing-algs of the API server.',
        'token_algorithm',
      ),
    );
  }
  for (const { claim, value } of found.required) {
    if (claimOf(claims, claim) === value) continue;
    faults.push(
      refused(
        `The API server wants the claim ${clean(claim, 100)} to be ${clean(value, 100)}, and the token has ${textOf(claims, claim)}.`,
        'Ask the administrator of the cluster whether this account is to reach it.',
        'token_claim',
      ),
    );
  }
  faults.push(...compareName(found.username, claims), ...compareGroups(found.groups, claims));
  if (found.expressions.length > 0) {
    const names = [...new Set(found.expressions.flatMap(claimsIn))].filter((name) => !Object.hasOwn(claims, name));
    faults.push(
      unknown('expected', `${found.expressions.length} conditions in CEL are not evaluated here.`, {
        ...(names.length > 0 && { why: `They read ${clean(names.join(', '), 200)}, which the token does not have.` }),
      }),
    );
  }
  if (faults.some(({ severity }) => severity === 'error')) return faults;
  return [ok('expected', 'Issuer, audience, algorithm and claims are what the API server expects.'), ...faults];
}

function compareName(username: Mapped | undefined, claims: Claims): DoctorFinding[] {
  if (username?.kind === 'claim') {
    const { claim } = username;
    const name = claimOf(claims, claim);
    if (typeof name !== 'string' || name === '') {
      return [
        refused(
          `The API server takes the name of a person from the claim ${clean(claim, 100)}, which the token does not have.`,
          `Ask for the scope that brings it (${claim === 'email' ? '--scope email' : '--scope profile, often'}), or let the provider put it into the ID token.`,
          'token_username',
        ),
      ];
    }
    if (claim === 'email' && isUnverified(claims)) return [unverified()];
    return [];
  }
  if (username === undefined) return [];
  const missing = claimsIn(username.text).filter((name) => !Object.hasOwn(claims, name));
  return missing.length === 0
    ? []
    : [
        warning(
          'expected',
          'token_username',
          `The name comes from ${clean(username.text, 200)}; the token has no ${clean(missing.join(', '), 200)}.`,
          { next: 'Ask for the scope that brings it, or let the provider put it into the ID token.' },
        ),
      ];
}

function compareGroups(groups: Mapped | undefined, claims: Claims): DoctorFinding[] {
  const names = groups === undefined ? [] : groups.kind === 'claim' ? [groups.claim] : claimsIn(groups.text);
  const missing = names.filter((name) => !Object.hasOwn(claims, name));
  if (missing.length === 0) return [];
  return [
    warning(
      'groups',
      'token_groups',
      `The token has no ${clean(missing.join(', '), 200)}, from which the groups come.`,
      {
        why: 'Bindings for groups give nothing then.',
        next: 'Ask for the scope that brings them (--scope groups, often), or let the provider put them into the ID token.',
      },
    ),
  ];
}

/** What the token itself tells of why an API server refused it. */
export function whyRefused(
  token: UnverifiedJwt | undefined,
  { now, ahead }: { readonly now: number; readonly ahead: number | undefined },
): { readonly certain: string | undefined; readonly possible: readonly string[] } {
  if (token === undefined) {
    return {
      certain: undefined,
      possible: ['the token is opaque, and an API server that reads OIDC takes JWTs alone (--token id)'],
    };
  }
  const { claims, header } = token;
  const there = now + (ahead ?? 0);
  const [exp, nbf] = [timeOf(claims, 'exp'), timeOf(claims, 'nbf')];
  if (exp === undefined) return { certain: 'the token has no end (exp)', possible: [] };
  if (exp <= there) {
    return {
      certain: `by the clock of the API server the token ended ${formatDuration(there - exp)} ago`,
      possible: [],
    };
  }
  if (nbf !== undefined && nbf > there + leeway) {
    return { certain: 'by the clock of the API server the token has not begun (nbf)', possible: [] };
  }
  const algorithm = typeof header['alg'] === 'string' ? header['alg'] : 'nothing';
  return {
    certain: undefined,
    possible: [
      ...(isUnverified(claims) ? ['email_verified is not true, if it takes names from email'] : []),
      `it does not know the issuer ${textOf(claims, 'iss')}`,
      `it does not take the audience ${clean(audiencesOf(claims).join(', '), 200)}`,
      ...(algorithm === 'RS256' ? [] : [`it does not take ${clean(algorithm, 20)} (--oidc-signing-algs)`]),
      'it finds no claim for the name',
      'it cannot fetch the keys of the issuer',
    ],
  };
}

/** oidc.go: a claim that is there and not true makes the address nobody's. */
function isUnverified(claims: Claims): boolean {
  return Object.hasOwn(claims, 'email_verified') && claims['email_verified'] !== true;
}

function unverified(): DoctorFinding {
  return refused(
    'The API server takes the name of a person from email, and the token says that the address is not verified.',
    'Let the person verify it at the provider, or let the API server take the name from another claim.',
    'token_username',
  );
}

function refused(what: string, next: string, code: string): DoctorFinding {
  return { ...failed(about, new KleisError('token_unusable', what, { hint: next })), code };
}

function claimsIn(expression: string): string[] {
  const names = [...expression.matchAll(/\bclaims\.\??([A-Za-z_]\w*)/g)].map(([, name = '']) => name);
  return [...new Set(names)];
}

function textOf(claims: Claims, name: string): string {
  const value = claimOf(claims, name);
  return value === undefined ? 'nothing' : clean(typeof value === 'string' ? value : JSON.stringify(value), 200);
}

export function audiencesOf(claims: Claims): string[] {
  return [claimOf(claims, 'aud') ?? []].flat().filter((each): each is string => typeof each === 'string');
}

function timeOf(claims: Claims, name: string): number | undefined {
  const value = claimOf(claims, name);
  return typeof value === 'number' && Number.isFinite(value) ? value * 1000 : undefined;
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}
