import type { CompiledClaim, CompiledGrant } from '../policy/compile.ts';
import type { Glob } from '../policy/glob.ts';
import type { Path } from '../policy/parse-where.ts';
import { accepts, answers, conditionNames, leaves, narrows, pinned, refIsTag, states } from './grant-claims.ts';
import { type KnownPlatform, knownPlatform, type Platform } from './platforms.ts';
import type { WarningCode } from './warning-codes.ts';

export interface PolicyWarning {
  /** Stable; docs/grants.md explains each. */
  readonly code: WarningCode;
  readonly path: Path;
  /** What is unwise, and what to write instead. */
  readonly message: string;
}

export type Warn = (code: WarningCode, path: Path, message: string) => void;

/** What is unwise about the claims that a grant demands of tokens of this platform. */
export function warnAboutPlatform(
  grant: CompiledGrant,
  platform: Platform | undefined,
  idClaims: readonly string[],
  warn: Warn,
): void {
  const known = knownPlatform(platform);
  for (const claim of grant.claims) warnAboutClaim(grant, claim, known, warn);
  const strangers = known?.strangers ?? !idClaims.includes('sub');
  if (strangers && !grant.claims.some((claim) => claim.identifies)) {
    const message = `states no claim that identifies who may have it, so projects that nobody here knows may meet it: state ${idClaims.join(' or ')} by value`;
    warn('no-id-claim', ['grants', grant.name, 'where'], message);
  }
  switch (platform) {
    case 'github':
      return warnAboutGitHub(grant, warn);
    case 'gitlab':
      return warnAboutGitLab(grant, warn);
    case 'circleci':
      return warnAboutCircleCi(grant, warn);
    case 'buildkite':
      return warnAboutBuildkite(grant, warn);
    case 'kubernetes':
    case 'jenkins':
    case 'entra':
    case 'other':
    case undefined:
  }
}

function warnAboutClaim(
  grant: CompiledGrant,
  claim: CompiledClaim,
  known: KnownPlatform | undefined,
  warn: Warn,
): void {
  const path = ['grants', grant.name, 'where', ...claim.path];
  const name = claim.path[0]!;
  const better = known === undefined ? undefined : own(known.names, name);
  if (better !== undefined && !pinned(grant, better)) {
    const message = `is a name, which somebody else can take after a rename or deletion: state ${better} as well${known?.idNote ?? ''}`;
    warn('name-not-id', path, message);
  }
  if (known?.composedSub === true && name === 'sub') {
    warn(
      'sub-string',
      path,
      'is put together from other claims, in a form that the project can change: state those claims themselves',
    );
  }
  const weak = known === undefined ? undefined : own(known.weak, name);
  if (weak !== undefined) warn('weak-claim', path, weak);
  const type = known?.typeOf(name);
  for (const matcher of leaves(claim.matcher)) {
    if (matcher.kind === 'glob') warnAboutGlob(matcher.glob, path, warn);
    if (matcher.kind !== 'exact') continue;
    const { value } = matcher;
    if (typeof value === 'string' && value.includes('*')) {
      warn(
        'literal-star',
        path,
        'has a "*" that stands for itself here: write {glob: ...} if it is to stand for anything',
      );
    }
    if (known === undefined || type === undefined || typeof value === type) continue;
    const [sent, write] =
      type === 'string' ? ['text', `"${value}", in quotes`] : [type, `a ${type} without quotes, like ${value}`];
    warn('claim-type', path, `never matches, since ${known.title} sends this claim as a ${sent}: write ${write}`);
  }
}

function own(table: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function warnAboutGlob(glob: Glob, path: Path, warn: Warn): void {
  if (!glob.source.includes('*')) {
    warn('glob-without-star', path, 'has no "*", so it matches this one text: write it without `glob`');
  }
  if (/(^|[/:])\.\*|\||\$$|^\^|\[.*\]|\\|\?|\{.*\}/.test(glob.source)) {
    warn(
      'glob-like-regex',
      path,
      'looks like a regular expression or another kind of pattern: only "*" means something in a glob',
    );
  }
  const literal = glob.source.replace(/^refs\/(heads|tags)\//, '').replaceAll(/[*/:]/g, '');
  if (glob.source.includes('*') && literal === '') {
    warn('glob-broad', path, 'matches nearly everything: say more, or write {exists: true} if it need only be there');
  }
}

/** GitHub: claims with which a repository's owner decides who may run something there. */
function warnAboutGitHub(grant: CompiledGrant, warn: Warn): void {
  const path = ['grants', grant.name, 'where'];
  const protectedRef = answers(grant, 'ref_protected', 'true');
  if (!protectedRef && !pinned(grant, 'environment') && !conditionNames(grant, 'ref_protected', 'environment')) {
    const message =
      'anybody who can push a branch or tag to the repository may meet it: state `environment` (one with protection rules) or `ref_protected: "true"`';
    warn('no-protection', path, message);
  }
  if (pinned(grant, 'environment') && !pinned(grant, 'repository_id')) {
    warn(
      'environment-per-repository',
      [...path, 'environment'],
      'is a name that each repository gives itself: state repository_id as well',
    );
  }
  const risky = foreignCodeEvents.filter((event) => accepts(grant, 'event_name', event));
  if (risky.length > 0 && !refIsTag(grant) && !conditionNames(grant, 'event_name')) {
    const message = `accepts runs on ${risky.join(', ')}, which can run code from a pull request with the rights of the default branch: state \`event_name\`, or write event_name: {not: {anyOf: [${risky.join(', ')}]}}`;
    warn('foreign-code', path, message);
  }
}

const foreignCodeEvents = ['pull_request_target', 'workflow_run', 'issue_comment'];

function warnAboutGitLab(grant: CompiledGrant, warn: Warn): void {
  const path = ['grants', grant.name, 'where'];
  const isProtected = answers(grant, 'ref_protected', 'true') || answers(grant, 'environment_protected', 'true');
  if (!isProtected && !conditionNames(grant, 'ref_protected', 'environment_protected')) {
    const message =
      'anybody who can push a branch to the project may meet it: state `ref_protected: "true"` or `environment_protected: "true"`';
    warn('no-protection', path, message);
  }
  if (states(grant, 'job_project_id') && !pinned(grant, 'project_id')) {
    const message =
      'is the project that a pipeline runs in; for merge requests of forks the code is of another: state project_id as well';
    warn('fork-code', [...path, 'job_project_id'], message);
  }
  if (pinned(grant, 'environment') && !pinned(grant, 'project_id')) {
    warn(
      'environment-per-repository',
      [...path, 'environment'],
      'is a name that each project gives itself: state project_id as well',
    );
  }
}

/** CircleCI: any branch of a project gets a token, and a person who starts a job again with SSH is inside of it. */
function warnAboutCircleCi(grant: CompiledGrant, warn: Warn): void {
  const path = ['grants', grant.name, 'where'];
  const [ref, contexts, rerun] = ['vcs-ref', 'context-ids', 'ssh-rerun'].map((name) => `oidc.circleci.com/${name}`);
  const guarded = narrows(grant, ref!) || narrows(grant, contexts!);
  if (!guarded && !conditionNames(grant, ref!, contexts!)) {
    const message = `anybody who can push a branch to the project may meet it: state \`${ref}\`, or \`${contexts}\` (a context that is restricted to a group)`;
    warn('no-protection', path, message);
  }
  if (accepts(grant, rerun!, true) && !conditionNames(grant, rerun!)) {
    const message = `accepts jobs that were started again with SSH, in which somebody may type what they like: state \`${rerun}: false\``;
    warn('ssh-rerun', path, message);
  }
}

/** Buildkite: a pipeline builds every branch that is pushed. */
function warnAboutBuildkite(grant: CompiledGrant, warn: Warn): void {
  if (narrows(grant, 'build_branch') || narrows(grant, 'build_tag')) return;
  if (conditionNames(grant, 'build_branch', 'build_tag')) return;
  const message =
    "anybody who can push a branch to the pipeline's repository may meet it: state `build_branch` or `build_tag`";
  warn('no-protection', ['grants', grant.name, 'where'], message);
}
