import { KleisError } from '../../shared/errors.ts';
import { buildkite } from './buildkite.ts';
import { circleci } from './circleci.ts';
import { file, variable } from './file-or-variable.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import { kubernetes } from './kubernetes.ts';
import type { Env, Platform, Surroundings } from './platform.ts';
import { requireAudience, type SubjectToken } from './subject-token.ts';

/** Places that run CI jobs, then those that a CI job may run in: a runner in a pod is a runner. */
const ci: readonly Platform[] = [github, gitlab, circleci, buildkite];
const platforms: readonly Platform[] = [...ci, kubernetes];

/** What says whose a kept credential is. */
type KeyedBy =
  /** The launcher's key: arguments and job. */
  | { readonly kind: 'call' }
  /** The job, on a platform that only Node has found out. */
  | { readonly kind: 'job'; readonly platform: string }
  /** The token itself. */
  | { readonly kind: 'subject'; readonly hash: string }
  /** Nothing does: then none is kept. */
  | { readonly kind: 'nothing' };

/** Where the subject token comes from, found and ready to be asked. */
export interface Identity {
  /** As `--identity` spells it; what was found if that says `auto`. */
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly keyedBy: KeyedBy;
  /** Of its tokens, as far as the surroundings tell. */
  readonly issuer: string | undefined;
  readonly hint: (audience: string) => string;
  /** @throws KleisError as `Platform.getToken`, and `subject_audience` where it is for another audience */
  token(audience: string): Promise<SubjectToken>;
}

/**
 * Finds the place that `--identity` names and reads the token if it lies ready: its hash tells credentials apart.
 *
 * @throws KleisError `identity_missing` (`auto` finds nothing, or two), and what reading a token throws
 */
export async function openIdentity(identity: string, surroundings: Surroundings): Promise<Identity> {
  const { env } = surroundings;
  const platform = identity === 'auto' ? detect(env) : named(identity);
  const { name, title, asks, hint } = platform;
  const inJob = platform.job.length > 0 && platform.job.every((one) => (env[one] ?? '') !== '');
  const ready = inJob || asks ? undefined : await platform.getToken(undefined, surroundings);
  return {
    name,
    title,
    hint,
    issuer: ready?.issuer ?? platform.issuer(env),
    keyedBy: keyedBy(),
    async token(audience) {
      const subject = ready ?? (await platform.getToken(audience, surroundings));
      requireAudience(subject, audience, `The token of ${title}`, hint(audience));
      return subject;
    },
  };

  function keyedBy(): KeyedBy {
    if (ready !== undefined) return { kind: 'subject', hash: ready.hash };
    if (!inJob) return { kind: 'nothing' };
    return identity === 'auto' ? { kind: 'job', platform: name } : { kind: 'call' };
  }
}

/** What `auto` finds, as `--identity` spells it; undefined where nothing says that this is a job. */
export function platformHere(env: Env): string | undefined {
  return ci.find((platform) => platform.isHere(env))?.name;
}

function named(identity: string): Platform {
  const [, kind, rest = ''] = /^(env|file):(.*)$/s.exec(identity) ?? [];
  if (kind !== undefined) return kind === 'env' ? variable(rest) : file(rest);
  const platform = platforms.find(({ name }) => name === identity);
  if (platform === undefined) throw new Error(`There is no identity ${identity}.`);
  return platform;
}

function detect(env: Env): Platform {
  const here = ci.filter((platform) => platform.isHere(env));
  const names = platforms.map(({ name }) => name).join(', ');
  if (here.length > 1) {
    const found = here.map(({ title }) => title).join(' and ');
    throw new KleisError('identity_missing', `The surroundings look like ${found} at once.`, {
      hint: `Say which: --identity ${here.map(({ name }) => name).join(' or ')}.`,
    });
  }
  const platform = here[0] ?? (kubernetes.isHere(env) ? kubernetes : undefined);
  if (platform !== undefined) return platform;
  throw new KleisError('identity_missing', 'Nothing here says that this is a CI job or a pod.', {
    hint: `Say where the token comes from: --identity ${names}, file:PATH or env:NAME.`,
  });
}
