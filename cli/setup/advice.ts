import { KleisError } from '../../shared/errors.ts';
import type { Finding } from '../../shared/findings.ts';
import { isObject } from '../../shared/json.ts';
import type { Claims, JsonValue } from '../../shared/jwt.ts';
import { claimOf } from '../../shared/jwt.ts';
import { clean } from '../../shared/text.ts';
import { leavesSystemOpen, type Path, spellPath, valueAt } from './mapping.ts';
import type { ProviderName } from './flags.ts';
import { leftGroupsOut, providerKind } from './registration.ts';

export type Advice = Finding<'warning' | 'ok'>;

/** What is known of a provider's tokens: those of a person who signed in, else what discovery lists. */
export interface KnownClaims {
  readonly provider: ProviderName;
  /** Of the token that an API server would get; undefined where nobody signed in. */
  readonly claims: Claims | undefined;
  /** `claims_supported`, `subject_types_supported` of discovery; undefined where it lists none. */
  readonly listed: readonly string[] | undefined;
  readonly subjectTypes: readonly string[] | undefined;
}

/** Names of claims that hold groups, the likeliest first. */
const groupClaims = ['groups', 'cognito:groups', 'groups_direct', 'roles'];

/** The claim to take for the name: never one that passes from one person to another, where there is another one. */
export function adviseUsername({ provider, claims }: KnownClaims): string {
  const { username } = providerKind(provider);
  if (claims === undefined || username === 'sub') return username;
  const fits = username === 'email' ? claims['email_verified'] === true : true;
  return fits && isName(claimOf(claims, username)) ? username : 'sub';
}

/** The claim to take for the groups; undefined where there is none. */
export function adviseGroups({ provider, claims, listed }: KnownClaims): string | undefined {
  const { groups } = providerKind(provider);
  const likely = [...(groups === undefined ? [] : [groups]), ...groupClaims];
  if (claims === undefined) return groups === undefined || listed?.includes(groups) === false ? undefined : groups;
  return (
    likely.find((name) => isNames(claimOf(claims, name))) ??
    Object.keys(claims).find((name) => isNamedGroups(claims, name))
  );
}

/** `https://example.com/groups`, as Auth0 has it. */
function isNamedGroups(claims: Claims, name: string): boolean {
  return /[/:]groups$/.test(name) && isNames(claimOf(claims, name));
}

type Said = [code: string, what: string, why: string, next?: string];

export function warning(about: string, ...[code, what, why, next]: Said): Advice {
  return { severity: 'warning', code, about, what, why, ...(next !== undefined && { next }) };
}

/**
 * What is to be said of the claim that names people. Throws `token_unusable` where an API server would refuse this very
 * token, or every one.
 */
export function judgeUsername(path: Path, known: KnownClaims): Advice[] {
  const { claims, listed, subjectTypes } = known;
  const name = spellPath(path);
  const about = 'username';
  const found: Advice[] = [];
  const warn = (...said: Said) => found.push(warning(about, ...said));
  if (claims !== undefined) checkName(name, valueAt(claims, path));
  else if (listed?.includes(path[0]) === false) {
    warn(
      'claim_unlisted',
      `The provider does not list the claim ${name}.`,
      'Not all that it sends need be listed.',
      'Sign in once without --no-sign-in: then it shows.',
    );
  }
  if (path.length > 1) {
    warn(
      'claim_nested',
      `${name} is within another claim.`,
      'It needs an expression, which the --oidc flags, EKS and older servers do not have.',
    );
  }
  if (name === 'email') {
    if (claims !== undefined) checkVerified(claims);
    if (claims !== undefined && !Object.hasOwn(claims, 'email_verified')) {
      warn(
        'email_unverified',
        'The provider does not say that the address is verified (email_verified).',
        'The API server takes it all the same. Where people type their address themselves, they can type that of another.',
        'Take sub, or make sure that nobody chooses their own address there.',
      );
    } else {
      warn(
        'email_moves',
        'An address can be given to another person later, who then has the rights of the first.',
        'sub is never given to another (OpenID Connect Core 2).',
        'Take away the bindings of who leaves, or take sub.',
      );
    }
  } else if (path.length === 1 && changeable.has(name)) {
    warn(
      'claim_changes',
      `${name} can be changed, often by the person, and be given to another (OpenID Connect Core 5.7).`,
      'Whoever calls themselves as somebody else then has the rights of that person.',
      `Take ${providerKind(known.provider).username === 'oid' ? 'oid' : 'sub'}.`,
    );
  } else if (name === 'sub' && known.provider === 'entra') {
    warn(
      'sub_by_client',
      'sub of Entra ID is another one for each application.',
      'With another client every binding for a person is void.',
      'Take oid, which is the same in the whole tenant.',
    );
  } else if (name === 'sub' && subjectTypes?.every((type) => type === 'pairwise') === true) {
    warn(
      'sub_by_client',
      'This provider gives each client another sub (pairwise).',
      'With another client every binding for a person is void.',
    );
  } else if (path.length === 1 && (name === 'sub' || name === 'oid')) {
    found.push({
      severity: 'ok',
      code: 'claim_stable',
      about,
      what: `${name} stays with one person, and is never given to another.`,
    });
  }
  return found;
}

const changeable = new Set(
  'preferred_username name nickname given_name family_name middle_name upn unique_name username login phone_number profile website'.split(
    ' ',
  ),
);

function checkName(name: string, value: JsonValue | undefined): void {
  if (isName(value)) return;
  const next =
    name === 'email'
      ? 'Ask for it: --scope email.'
      : changeable.has(name)
        ? 'Ask for it: --scope profile.'
        : 'Let the provider put it into the ID token, or take another claim, such as sub.';
  const what = value === undefined ? 'has no' : value === '' ? 'has an empty' : 'has no text in its';
  throw new KleisError('token_unusable', `The token ${what} ${name}, and the API server refuses whoever has no name.`, {
    hint: next,
  });
}

/** kube-apiserver, oidc.go: what is there and is not true makes the address nobody's. */
function checkVerified(claims: Claims): void {
  if (!Object.hasOwn(claims, 'email_verified') || claims['email_verified'] === true) return;
  throw new KleisError(
    'token_unusable',
    'email_verified of this token is not true, and the API server takes no name from such an address.',
    {
      hint: 'Let the address be verified at the provider, or take sub.',
    },
  );
}

/** What is to be said of the claim of groups. Throws `token_unusable` where an API server would refuse this very token. */
export function judgeGroups(path: Path | undefined, known: KnownClaims): Advice[] {
  const about = 'groups';
  const { claims, listed, provider } = known;
  const found: Advice[] = [];
  const warn = (...said: Said) => found.push(warning(about, ...said));
  if (path === undefined) {
    if (claims !== undefined && leftGroupsOut(claims)) {
      warn(
        'groups_left_out',
        'This person has more groups than a token of Entra ID takes: it holds a link instead.',
        'The API server does not follow it, and sees no groups.',
        providerKind('entra').groupSteps[0],
      );
    } else {
      const [step = 'Bind people by name, or put a provider between that has groups.'] =
        providerKind(provider).groupSteps;
      warn(
        'groups_missing',
        claims === undefined ? 'No claim of groups is chosen.' : 'The token has no claim of groups.',
        'Without groups every person needs a binding of their own.',
        step,
      );
    }
    return found;
  }
  const name = spellPath(path);
  if (path.length > 1) {
    warn(
      'claim_nested',
      `${name} is within another claim.`,
      'It needs an expression, which the --oidc flags, EKS and older servers do not have.',
    );
  }
  if (claims === undefined) {
    if (listed?.includes(path[0]) === false) {
      warn(
        'claim_unlisted',
        `The provider does not list the claim ${name}.`,
        'Not all that it sends need be listed.',
        'Sign in once without --no-sign-in: then it shows.',
      );
    }
    return found;
  }
  const value = valueAt(claims, path);
  if (value === undefined || value === null) {
    const [step] = providerKind(provider).groupSteps;
    warn(
      'groups_missing',
      `The token has no ${name}.`,
      'Bindings for groups give nothing until it has.',
      step ?? 'Ask for the scope that brings it, or take another claim.',
    );
  } else if (!isNames(value)) {
    throw new KleisError(
      'token_unusable',
      `${name} of the token is ${describe(value)}, and the API server takes a list of names: it would refuse the token.`,
      {
        hint: 'Take another claim (--groups-claim), or let the provider make a list of it.',
      },
    );
  } else if (typeof value === 'string') {
    const looksLikeList = /[,; ]/.test(value);
    warn(
      'groups_text',
      `${name} is one text, not a list.`,
      looksLikeList
        ? 'The API server takes all of it for the name of one group; it looks like several.'
        : 'The API server takes it for the name of one group.',
      looksLikeList ? 'Let the provider send a list.' : undefined,
    );
  } else if (value.length === 0) {
    warn(
      'groups_empty',
      `${name} of this person is empty.`,
      'How the groups are called, and whether their names arrive, is not proved.',
    );
  } else if (value.length > 100) {
    warn(
      'groups_many',
      `${name} has ${value.length} names.`,
      'The whole token goes with every request, and proxies take headers of 8 kB or less.',
      'Let the provider send fewer: those that the cluster knows.',
    );
  }
  return found;
}

/** @param about `username` or `groups` */
export function judgePrefix(prefix: string, about: string): Advice[] {
  if (!leavesSystemOpen(prefix)) return [];
  return [
    {
      severity: 'warning',
      code: 'prefix_open',
      about,
      what: `${prefix === '' ? 'Without a prefix' : `With the prefix ${clean(prefix)}`} the names of the provider are those of anybody else in the cluster.`,
      why: 'They can be those of certificates and service accounts. The configuration refuses names that begin with system:; the --oidc flags do not.',
      next: `Give --${about}-prefix, such as oidc:.`,
    },
  ];
}

function describe(value: JsonValue): string {
  if (Array.isArray(value)) return 'a list with more than names in it';
  return isObject(value) ? 'a mapping' : clean(JSON.stringify(value), 40);
}

function isName(value: JsonValue | undefined): boolean {
  return typeof value === 'string' && value !== '';
}

function isNames(value: JsonValue | undefined): value is string | readonly string[] {
  return typeof value === 'string' || (Array.isArray(value) && value.every((each) => typeof each === 'string'));
}
