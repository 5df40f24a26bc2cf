import type { BrokerConfig } from './schema.ts';
import { clean } from '../../shared/text.ts';
import { formatDuration } from '../../shared/duration.ts';
import { type CompiledClaim, type CompiledGrant, CompiledPolicy, statesValues } from '../policy/compile.ts';
import type { Glob } from '../policy/glob.ts';
import { type IssuerKind, kindOfIssuer, knownIssuers } from './issuer-kinds.ts';
import { type Matcher, matches } from '../policy/match.ts';

export interface PolicyWarning {
  /** Stable; docs/grants.md explains each. */
  readonly code: string;
  readonly path: readonly (string | number)[];
  /** What is unwise, and what to write instead. */
  readonly message: string;
}

type Warn = (code: string, path: readonly (string | number)[], message: string) => void;

/** What is legal and unwise. */
export function findWarnings(config: BrokerConfig, policy: CompiledPolicy): PolicyWarning[] {
  const found: PolicyWarning[] = [];
  const warn: Warn = (code, path, message) => found.push({ code, path, message });
  warnAboutBroker(config, warn);
  for (const grant of CompiledPolicy.grants(policy)) {
    const issuer = config.issuers[grant.issuer];
    const kind = issuer === undefined ? 'other' : kindOfIssuer(issuer.url, issuer.idClaims);
    warnAboutGrant(grant, kind, issuer?.idClaims ?? [], warn);
  }
  return found;
}

function warnAboutBroker(config: BrokerConfig, warn: Warn): void {
  if ('memory' in config.state) {
    warn(
      'state-memory',
      ['state'],
      'leases and replay protection end with the process and hold for one replica only: name a cluster',
    );
  }
  if (config.admissionPolicy === 'optional') {
    const message =
      'without the admission policy, whoever takes the broker over can read Secrets in its namespaces and mint longer tokens: leave it required';
    warn('admission-optional', ['admissionPolicy'], message);
  }
  for (const issuer of Object.values(config.issuers)) {
    const path = ['issuers', issuer.name];
    if (issuer.audience.startsWith('https://github.com/')) {
      const message =
        'is what GitHub puts into tokens when nobody asks for an audience, so tokens meant for others open this broker too: choose one of its own';
      warn('shared-audience', [...path, 'audience'], message);
    }
    if (kindOfIssuer(issuer.url, issuer.idClaims) === 'gitlab' && sameUrl(issuer.audience, issuer.url)) {
      warn('shared-audience', [...path, 'audience'], 'is what GitLab puts into tokens of old: choose one of its own');
    }
  }
}

function warnAboutGrant(grant: CompiledGrant, kind: IssuerKind, idClaims: readonly string[], warn: Warn): void {
  const path = ['grants', grant.name];
  for (const claim of grant.claims) warnAboutClaim(grant, claim, kind, warn);
  if (!grant.claims.some((claim) => claim.identifies) && (kind !== 'other' || !idClaims.includes('sub'))) {
    const message = `states no claim that identifies who may have it, so projects that nobody here knows may meet it: state ${idClaims.join(' or ')} by value`;
    warn('no-id-claim', [...path, 'where'], message);
  }
  if (kind === 'github') warnAboutGitHub(grant, warn);
  if (kind === 'gitlab') warnAboutGitLab(grant, warn);
  for (const pattern of grant.condition?.unanchored ?? []) {
    const message = `matches("${clean(pattern, 60)}") looks for its pattern anywhere in the text: begin it with ^ and end it with $`;
    warn('regex-unanchored', [...path, 'condition'], message);
  }
  warnAboutAccount(grant, warn);
}

function warnAboutClaim(grant: CompiledGrant, claim: CompiledClaim, kind: IssuerKind, warn: Warn): void {
  const path = ['grants', grant.name, 'where', ...claim.path];
  const name = claim.path[0]!;
  if (kind !== 'other') {
    const better = Object.hasOwn(knownIssuers[kind].names, name) ? knownIssuers[kind].names[name]! : undefined;
    if (better !== undefined && !pinned(grant, better)) {
      warn(
        'name-not-id',
        path,
        `is a name, which somebody else can take after a rename or deletion: state ${better} as well`,
      );
    }
    if (name === 'sub') {
      warn(
        'sub-string',
        path,
        'is put together from other claims, in a form that the project can change: state those claims themselves',
      );
    }
  }
  const weak = kind === 'github' && Object.hasOwn(weakGitHubClaims, name) ? weakGitHubClaims[name] : undefined;
  if (weak !== undefined) warn('weak-claim', path, weak);
  for (const matcher of leaves(claim.matcher)) {
    if (matcher.kind === 'glob') warnAboutGlob(matcher.glob, path, warn);
    if (matcher.kind !== 'exact') continue;
    if (typeof matcher.value === 'string' && matcher.value.includes('*')) {
      warn(
        'literal-star',
        path,
        'has a "*" that stands for itself here: write {glob: ...} if it is to stand for anything',
      );
    }
    if (kind === 'github' && typeof matcher.value !== 'string' && !['iat', 'exp', 'nbf'].includes(name)) {
      warn(
        'claim-type',
        path,
        `never matches, since GitHub sends this claim as a text: write "${matcher.value}", in quotes`,
      );
    }
    if (kind === 'gitlab' && typeof matcher.value !== 'string' && textClaimsOfGitLab.test(name)) {
      warn(
        'claim-type',
        path,
        `never matches, since GitLab sends this claim as a text: write "${matcher.value}", in quotes`,
      );
    }
  }
}

const textClaimsOfGitLab =
  /^((job_)?(project|namespace)_id|user_id|pipeline_id|job_id|ref_protected|environment_protected)$/;

const weakGitHubClaims: Readonly<Record<string, string>> = {
  workflow: 'is a display name that any branch can choose: state job_workflow_ref',
  actor: 'says who set the run off, not whose code runs: state ref or environment',
  triggering_actor: 'says who set the run off, not whose code runs: state ref or environment',
  head_ref: 'is chosen by whoever opens the pull request: state ref',
  base_ref: 'is chosen by whoever opens the pull request: state ref',
};

function warnAboutGlob(glob: Glob, path: readonly (string | number)[], warn: Warn): void {
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

function warnAboutAccount(grant: CompiledGrant, warn: Warn): void {
  const path = ['grants', grant.name];
  const { account, access, killSwitch, revocable, ttl } = grant.config;
  if (!revocable && killSwitch === undefined && ttl.max > 3_600_000) {
    const message = `lets a token live ${formatDuration(ttl.max)} that nothing can take back: shorten ttl.max, or make it revocable`;
    warn('long-unrevocable', path, message);
  }
  if (account.kind !== 'ephemeral' && account.name === 'default') {
    warn(
      'default-account',
      [...path, 'serviceAccount'],
      'is the account that pods get unless told otherwise, so its rights are theirs too: make one of its own',
    );
  }
  if (account.kind === 'identity' && access === undefined) {
    warn(
      'no-access',
      path,
      'says in `access` no Role that its account is to have: `rbac` binds nothing, and `check` cannot compare',
    );
  }
  for (const [index, { namespace }] of (access ?? []).entries()) {
    if (!systemNamespaces.has(namespace)) continue;
    warn(
      'system-namespace',
      [...path, 'access', index],
      `gives rights in ${namespace}, which can be rights over the whole cluster: bind a Role that names its objects`,
    );
  }
}

/** Namespaces that Kubernetes itself lives in. */
export const systemNamespaces: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease']);

function matchersOf(grant: CompiledGrant, name: string): readonly Matcher[] {
  return grant.claims
    .filter((claim) => claim.path.length === 1 && claim.path[0] === name)
    .map((claim) => claim.matcher);
}

function states(grant: CompiledGrant, name: string): boolean {
  return matchersOf(grant, name).length > 0;
}

/** The claim must have one of the values that are written out. */
function pinned(grant: CompiledGrant, name: string): boolean {
  return matchersOf(grant, name).some(statesValues);
}

/** The claim is stated, and this value (a text, as CI platforms send them) is the one that meets it. */
function answers(grant: CompiledGrant, name: string, value: string): boolean {
  return matchersOf(grant, name).some((matcher) => statesValues(matcher) && matches(matcher, value) === true);
}

/** Nothing in the grant's `where` stands against the claim having this value. */
function accepts(grant: CompiledGrant, name: string, value: string): boolean {
  return matchersOf(grant, name).every((matcher) => matches(matcher, value) === true);
}

/** Runs for tags are pushes and releases; those of the events above are for branches. */
function refIsTag(grant: CompiledGrant): boolean {
  return answers(grant, 'ref_type', 'tag') || matchersOf(grant, 'ref').some(isTagPattern);
}

function isTagPattern(matcher: Matcher): boolean {
  switch (matcher.kind) {
    case 'glob':
      return matcher.glob.source.startsWith('refs/tags/');
    case 'exact':
      return String(matcher.value).startsWith('refs/tags/');
    case 'anyOf':
      return matcher.of.every(isTagPattern);
    case 'allOf':
      return matcher.of.some(isTagPattern);
    case 'not':
    case 'exists':
    case 'contains':
    case 'nested':
      return false;
  }
}

/** What the condition does with a claim is not looked into: naming it is taken as having thought of it. */
function conditionNames(grant: CompiledGrant, ...claims: readonly string[]): boolean {
  const source = grant.condition?.source ?? '';
  return claims.some((claim) => new RegExp(`\\b${claim}\\b`).test(source));
}

/** What a value is compared with in the end; what stands under a `not` is no demand and is left out. */
function leaves(matcher: Matcher): Matcher[] {
  switch (matcher.kind) {
    case 'anyOf':
    case 'allOf':
      return matcher.of.flatMap(leaves);
    case 'contains':
      return leaves(matcher.of);
    case 'nested':
      return [...matcher.of.values()].flatMap(leaves);
    case 'not':
    case 'exists':
      return [];
    case 'exact':
    case 'glob':
      return [matcher];
  }
}

function sameUrl(left: string, right: string): boolean {
  return left.replace(/\/$/, '') === right.replace(/\/$/, '');
}
