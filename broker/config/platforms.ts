export const platforms = [
  'github',
  'gitlab',
  'circleci',
  'buildkite',
  'kubernetes',
  'jenkins',
  'entra',
  'other',
] as const;

/** Whose tokens they are. `other`: none of these, and it was said, so nobody need guess. */
export type Platform = (typeof platforms)[number];

export interface KnownPlatform {
  /** As people write it. */
  readonly title: string;
  /** Claims that are never given to somebody else. */
  readonly idClaims: readonly string[];
  /** Claims whose names pass on when a project is renamed, moved or deleted, with what to state beside them. */
  readonly names: Readonly<Record<string, string>>;
  /** How tokens come to have those ids, where it takes something. */
  readonly idNote?: string;
  readonly tenantClaim?: string;
  /** Anybody in the world, or in the cluster, can have a token of it. */
  readonly strangers: boolean;
  /** `sub` is other claims strung together, in a form that the project can change. */
  readonly composedSub: boolean;
  /** The type of a claim that is a text, a number or a boolean; undefined if that is not known. */
  typeOf(claim: string): 'string' | 'number' | 'boolean' | undefined;
  /** Claims that whoever sets a run off can choose, with what is wrong with each and what to state instead. */
  readonly weak: Readonly<Record<string, string>>;
}

const times = ['iat', 'exp', 'nbf'];
const triggering = 'says who set the run off, not whose code runs: state ref or environment';

/**
 * GitHub: docs.github.com "OpenID Connect reference"; GitLab: docs.gitlab.com "ID tokens"; CircleCI: "Using OpenID Connect
 * tokens in jobs"; Buildkite: "OIDC in Buildkite Pipelines"; Kubernetes: "Managing Service Accounts"; Jenkins: its plugin
 * oidc-provider; Entra: "ID token claims reference".
 */
const known: Readonly<Record<Exclude<Platform, 'other'>, KnownPlatform>> = {
  github: {
    title: 'GitHub',
    idClaims: ['repository_id', 'repository_owner_id', 'enterprise_id'],
    names: {
      repository: 'repository_id',
      repository_owner: 'repository_owner_id',
      enterprise: 'enterprise_id',
      actor: 'actor_id',
    },
    tenantClaim: 'repository_owner_id',
    strangers: true,
    composedSub: true,
    typeOf: (claim) => (times.includes(claim) ? 'number' : 'string'),
    weak: {
      workflow: 'is a display name that any branch can choose: state job_workflow_ref',
      actor: triggering,
      triggering_actor: triggering,
      head_ref: 'is chosen by whoever opens the pull request: state ref',
      base_ref: 'is chosen by whoever opens the pull request: state ref',
    },
  },
  gitlab: {
    title: 'GitLab',
    idClaims: ['project_id', 'namespace_id'],
    names: {
      project_path: 'project_id',
      namespace_path: 'namespace_id',
      job_project_path: 'job_project_id',
      job_namespace_path: 'job_namespace_id',
      user_login: 'user_id',
      user_email: 'user_id',
    },
    tenantClaim: 'namespace_id',
    strangers: true,
    composedSub: true,
    typeOf(claim) {
      if (claim === 'runner_id' || times.includes(claim)) return 'number';
      const texts = /^((job_)?(project|namespace)_id|user_id|pipeline_id|job_id|ref_protected|environment_protected)$/;
      return texts.test(claim) ? 'string' : undefined;
    },
    weak: {},
  },
  circleci: {
    title: 'CircleCI',
    idClaims: ['oidc.circleci.com/project-id', 'oidc.circleci.com/org-id'],
    names: { 'oidc.circleci.com/vcs-origin': 'oidc.circleci.com/project-id' },
    tenantClaim: 'oidc.circleci.com/org-id',
    strangers: true,
    composedSub: true,
    typeOf: (claim) => (claim === 'oidc.circleci.com/ssh-rerun' ? 'boolean' : undefined),
    weak: {},
  },
  buildkite: {
    title: 'Buildkite',
    idClaims: ['pipeline_id', 'organization_id'],
    names: { pipeline_slug: 'pipeline_id', organization_slug: 'organization_id' },
    idNote: ' (a token has it when the job asks with --claim, as kleis does)',
    tenantClaim: 'organization_id',
    strangers: true,
    composedSub: true,
    typeOf: (claim) => (claim === 'build_number' ? 'number' : undefined),
    weak: {},
  },
  kubernetes: {
    title: 'Kubernetes',
    // `sub` holds the namespace and name of the account; the claim `kubernetes.io` both, and uids.
    idClaims: ['sub', 'kubernetes.io'],
    names: {},
    tenantClaim: 'sub',
    strangers: true,
    composedSub: false,
    typeOf: () => undefined,
    weak: {},
  },
  jenkins: {
    title: 'Jenkins',
    // The URL of the job: there is nothing else.
    idClaims: ['sub'],
    names: {},
    tenantClaim: 'sub',
    strangers: true,
    composedSub: false,
    typeOf: (claim) => (claim === 'build_number' ? 'number' : undefined),
    weak: {},
  },
  entra: {
    title: 'Entra',
    idClaims: ['oid', 'sub'],
    names: { preferred_username: 'oid', upn: 'oid', unique_name: 'oid', email: 'oid', name: 'oid' },
    tenantClaim: 'tid',
    strangers: false,
    composedSub: false,
    typeOf: () => undefined,
    weak: {},
  },
};

export function knownPlatform(platform: Platform | undefined): KnownPlatform | undefined {
  return platform === undefined || platform === 'other' ? undefined : known[platform];
}

interface Hints {
  readonly url?: string | undefined;
  readonly cluster?: string | undefined;
  readonly idClaims?: readonly string[] | undefined;
}

const hosts: readonly (readonly [Platform, RegExp])[] = [
  ['github', /^token\.actions\.(githubusercontent\.com|[a-z0-9-]+\.ghe\.com)$/],
  ['circleci', /^oidc\.circleci\.com$/],
  ['buildkite', /^agent\.buildkite\.com$/],
  ['entra', /^(login\.microsoftonline\.(com|us)|login\.partner\.microsoftonline\.cn|sts\.windows\.net)$/],
  [
    'kubernetes',
    /^(kubernetes(\.default(\.svc(\..+)?)?)?|oidc\.eks\..+\.amazonaws\.com(\.cn)?|container\.googleapis\.com|.+\.oic\.prod-aks\.azure\.com)$/,
  ],
  ['other', /^accounts\.google\.com$/],
];

/** By what the platform has for itself, else by what the configuration says identifies its tokens, else by a usual name. */
export function guessPlatform({ url, cluster, idClaims = [] }: Hints): Platform | undefined {
  if (cluster !== undefined) return 'kubernetes';
  const { hostname, pathname } = url !== undefined && URL.canParse(url) ? new URL(url) : { hostname: '', pathname: '' };
  const byHost = hosts.find(([, pattern]) => pattern.test(hostname))?.[0];
  if (byHost !== undefined) return byHost;
  if (pathname.startsWith('/_services/token')) return 'github';
  for (const platform of ['github', 'circleci', 'buildkite', 'gitlab'] as const) {
    if (idClaims.some((claim) => known[platform].idClaims.includes(claim))) return platform;
  }
  if (hostname.startsWith('gitlab.')) return 'gitlab';
  return hostname.startsWith('jenkins.') ? 'jenkins' : undefined;
}
