export type IssuerKind = 'github' | 'gitlab' | 'circleci' | 'buildkite' | 'other';

interface KnownIssuer {
  /** Claims that are never given to somebody else. */
  readonly idClaims: readonly string[];
  /** Claims whose names pass on when a project is renamed, moved or deleted, with what to state beside them. */
  readonly names: Readonly<Record<string, string>>;
  readonly tenantClaim: string;
}

/**
 * GitHub: docs.github.com "OpenID Connect reference"; GitLab: docs.gitlab.com "ID tokens"; CircleCI: "Using OpenID Connect
 * tokens in jobs"; Buildkite: "OIDC in Buildkite Pipelines".
 */
export const knownIssuers: Readonly<Record<Exclude<IssuerKind, 'other'>, KnownIssuer>> = {
  github: {
    idClaims: ['repository_id', 'repository_owner_id', 'enterprise_id'],
    names: {
      repository: 'repository_id',
      repository_owner: 'repository_owner_id',
      enterprise: 'enterprise_id',
      actor: 'actor_id',
    },
    tenantClaim: 'repository_owner_id',
  },
  gitlab: {
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
  },
  circleci: {
    idClaims: ['oidc.circleci.com/project-id', 'oidc.circleci.com/org-id'],
    names: { 'oidc.circleci.com/vcs-origin': 'oidc.circleci.com/project-id' },
    tenantClaim: 'oidc.circleci.com/org-id',
  },
  buildkite: {
    idClaims: ['pipeline_id', 'organization_id'],
    names: { pipeline_slug: 'pipeline_id', organization_slug: 'organization_id' },
    tenantClaim: 'organization_id',
  },
};

/** By URL where the platform has one of its own, else by what the configuration says identifies its tokens. */
export function kindOfIssuer(url: string, idClaims: readonly string[] = []): IssuerKind {
  const { hostname, pathname } = parse(url);
  if (/^token\.actions\.(githubusercontent\.com|[a-z0-9-]+\.ghe\.com)$/.test(hostname)) return 'github';
  if (pathname.startsWith('/_services/token')) return 'github';
  if (hostname === 'oidc.circleci.com') return 'circleci';
  if (hostname === 'agent.buildkite.com') return 'buildkite';
  if (idClaims.some((claim) => knownIssuers.github.idClaims.includes(claim))) return 'github';
  if (idClaims.some((claim) => claim.startsWith('oidc.circleci.com/'))) return 'circleci';
  if (idClaims.some((claim) => knownIssuers.buildkite.idClaims.includes(claim))) return 'buildkite';
  if (idClaims.some((claim) => knownIssuers.gitlab.idClaims.includes(claim))) return 'gitlab';
  return hostname.startsWith('gitlab.') ? 'gitlab' : 'other';
}

function parse(url: string): { hostname: string; pathname: string } {
  return URL.canParse(url) ? new URL(url) : { hostname: '', pathname: '' };
}
