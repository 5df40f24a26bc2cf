import { describe, expect, it } from 'vitest';
import { baseDocument, loadDocument, loadGrant } from '../policy/fixture.ts';

const sound = {
  github: { repository_id: '1', environment: 'production', event_name: 'push' },
  gitlab: { project_id: '1', ref_protected: 'true' },
};

function codes(
  issuer: 'github' | 'gitlab' | 'sso',
  where: Record<string, unknown>,
  more: Record<string, unknown> = {},
): string[] {
  const grant = { issuer, where, access: [{ namespace: 'web', role: 'deployer' }], ...more };
  return loadGrant(grant)
    .warnings.map((warning) => warning.code)
    .toSorted();
}

describe('warnings', () => {
  it('are none for sound grants', () => {
    expect(codes('github', sound.github)).toEqual([]);
    expect(
      codes('github', {
        repository_id: '1',
        ref_protected: 'true',
        event_name: { not: { anyOf: ['pull_request_target', 'workflow_run', 'issue_comment'] } },
      }),
    ).toEqual([]);
    expect(codes('github', { repository_id: '1', ref_protected: 'true', ref: { glob: 'refs/tags/v*' } })).toEqual([]);
    expect(codes('gitlab', sound.gitlab)).toEqual([]);
    expect(codes('sso', { groups: { contains: 'platform' } })).toEqual([]);
    expect(codes('sso', { sub: 'alice' })).toEqual([]);
  });

  it.each([
    [
      'name-not-id',
      'github',
      { ...sound.github, repository_id: { exists: true }, repository: 'acme/web', repository_owner_id: '1' },
    ],
    ['name-not-id', 'gitlab', { namespace_id: '1', ref_protected: 'true', project_path: 'acme/web' }],
    ['sub-string', 'github', { ...sound.github, sub: 'repo:acme/web:environment:production' }],
    ['sub-string', 'gitlab', { ...sound.gitlab, sub: { glob: 'project_path:acme/*:ref_type:branch:ref:main' } }],
    ['no-protection', 'github', { repository_id: '1', event_name: 'push' }],
    ['no-protection', 'gitlab', { project_id: '1', ref: 'main' }],
    [
      'environment-per-repository',
      'github',
      { repository_owner_id: '1', environment: 'production', event_name: 'push' },
    ],
    ['foreign-code', 'github', { repository_id: '1', environment: 'production' }],
    [
      'foreign-code',
      'github',
      { repository_id: '1', environment: 'production', event_name: { anyOf: ['push', 'workflow_run'] } },
    ],
    [
      'foreign-code',
      'github',
      { repository_id: '1', environment: 'production', event_name: { not: 'pull_request_target' } },
    ],
    ['fork-code', 'gitlab', { namespace_id: '1', job_project_id: '1', ref_protected: 'true' }],
    ['no-id-claim', 'github', { ref: 'refs/heads/main', environment: 'production', event_name: 'push' }],
    ['glob-broad', 'github', { ...sound.github, ref: { glob: 'refs/heads/*' } }],
    ['glob-like-regex', 'github', { ...sound.github, ref: { glob: '^refs/heads/v*$' } }],
    ['glob-without-star', 'github', { ...sound.github, ref: { glob: 'refs/heads/main' } }],
    ['literal-star', 'github', { ...sound.github, ref: 'refs/heads/*' }],
    ['claim-type', 'github', { ...sound.github, run_attempt: 1 }],
    ['claim-type', 'gitlab', { ...sound.gitlab, ref_protected: 'true', pipeline_id: 1 }],
    ['weak-claim', 'github', { ...sound.github, workflow: 'deploy' }],
  ] as const)('%s at %s: %j', (code, issuer, where) => {
    expect(codes(issuer, where)).toContain(code);
  });

  it.each([
    ['long-unrevocable', { ttl: { max: '8h' }, revocable: false }],
    ['long-unrevocable', { ttl: { max: '8h' }, serviceAccount: { namespace: 'web', name: 'deployer' } }],
    ['default-account', { serviceAccount: { namespace: 'web', name: 'default' } }],
    ['system-namespace', { access: [{ namespace: 'kube-system', role: 'cni' }] }],
    ['system-namespace', { access: [{ namespaces: ['web', 'kube-public'], clusterRole: 'view' }] }],
    ['broad-role', { access: [{ namespaces: ['web', 'api'], clusterRole: 'edit' }] }],
    ['broad-role', { access: [{ scope: 'cluster', clusterRole: 'cluster-admin' }] }],
    ['regex-unanchored', { condition: 'claims.ref.matches("main")' }],
  ])('%s: %j', (code, more) => {
    expect(codes('github', sound.github, more)).toEqual([code]);
  });

  it('no-access', () => {
    expect(loadGrant({ where: { sub: 'a' } }).warnings.map((warning) => warning.code)).toEqual(['no-access']);
  });

  it('about the broker itself', () => {
    const github = { url: 'https://token.actions.githubusercontent.com', audience: 'https://github.com/acme' };
    const loaded = loadDocument({ state: { memory: true }, admissionPolicy: 'optional', issuers: { github } });
    expect(loaded.warnings.map((warning) => warning.code).toSorted()).toEqual([
      'admission-optional',
      'shared-audience',
      'state-memory',
    ]);
  });

  it('know GitHub Enterprise, GitLab, CircleCI and Buildkite by URL or by their id claims', () => {
    const kinds = {
      ghes: { url: 'https://ghes.example.com/_services/token', idClaim: 'repository_id' },
      ghec: { url: 'https://token.actions.acme.ghe.com', idClaim: 'repository_id' },
      slug: { url: 'https://token.actions.githubusercontent.com/acme', idClaim: 'repository_id' },
      gitlab: { url: 'https://gitlab.com', idClaim: 'project_id' },
      circle: { url: 'https://oidc.circleci.com/org/0', idClaim: 'oidc.circleci.com/project-id' },
      buildkite: { url: 'https://agent.buildkite.com', idClaim: 'pipeline_id' },
      other: { url: 'https://login.example.com', idClaim: 'sub' },
    };
    const issuers = Object.fromEntries(
      Object.entries(kinds).map(([name, { url }]) => [name, { url, audience: 'kleis' }]),
    );
    const { config } = loadDocument({ ...baseDocument(), issuers });
    for (const [name, { idClaim }] of Object.entries(kinds)) expect(config.issuers[name]!.idClaims).toContain(idClaim);
    const own = { code: { url: 'https://code.example.com', audience: 'kleis', idClaims: ['project_id'] } };
    const grants = { g: { issuer: 'code', cluster: 'prod', serviceAccount: 'x', where: { project_id: '1' } } };
    expect(loadDocument({ issuers: own, grants }).warnings.map((warning) => warning.code)).toContain('no-protection');
  });

  it('follow the platform that is said, whatever the address', () => {
    const at = (platform: string | undefined, where: Record<string, unknown>) => {
      const code = { url: 'https://code.example.com', audience: 'kleis', ...(platform && { platform }) };
      const grants = { g: { issuer: 'code', cluster: 'prod', serviceAccount: 'x', where, access } };
      const { config, warnings } = loadDocument({ issuers: { code }, grants });
      return { id: config.issuers['code']!.idClaims[0], codes: warnings.map((warning) => warning.code).toSorted() };
    };
    const access = [{ namespace: 'web', role: 'r' }];
    const project = 'oidc.circleci.com/project-id';
    const circle = {
      [project]: '1',
      'oidc.circleci.com/vcs-ref': 'refs/heads/main',
      'oidc.circleci.com/ssh-rerun': false,
    };
    expect(at('github', { repository_id: '1' })).toEqual({
      id: 'repository_id',
      codes: ['foreign-code', 'no-protection'],
    });
    expect(at('gitlab', { project_id: '1' })).toEqual({ id: 'project_id', codes: ['no-protection'] });
    expect(at('circleci', { [project]: '1' })).toEqual({ id: project, codes: ['no-protection', 'ssh-rerun'] });
    expect(at('circleci', circle).codes).toEqual([]);
    expect(at('circleci', { ...circle, 'oidc.circleci.com/ssh-rerun': { not: true } }).codes).toEqual([]);
    expect(at('circleci', { ...circle, 'oidc.circleci.com/ssh-rerun': 'false' }).codes).toEqual(['claim-type']);
    expect(at('buildkite', { pipeline_id: '1' })).toEqual({ id: 'pipeline_id', codes: ['no-protection'] });
    expect(at('buildkite', { pipeline_id: '1', build_branch: 'main' }).codes).toEqual([]);
    expect(at('buildkite', { pipeline_slug: 'web', build_tag: { glob: 'v*' } }).codes).toEqual([
      'name-not-id',
      'no-id-claim',
    ]);
    expect(at('kubernetes', { 'kubernetes.io': { namespace: 'ci' } })).toEqual({ id: 'sub', codes: [] });
    expect(at('kubernetes', { sub: 'system:serviceaccount:ci:deploy' }).codes).toEqual([]);
    expect(at('kubernetes', { aud: { exists: true } }).codes).toEqual(['no-id-claim']);
    expect(at('jenkins', { sub: 'https://jenkins.example.com/job/web/' }).codes).toEqual([]);
    expect(at('entra', { groups: { contains: 'x' } })).toEqual({ id: 'oid', codes: [] });
    expect(at('entra', { email: 'a@example.com' }).codes).toEqual(['name-not-id']);
    expect(at('other', { groups: { contains: 'x' } })).toEqual({ id: 'sub', codes: [] });
    expect(at(undefined, { groups: { contains: 'x' } })).toEqual({ id: 'sub', codes: ['platform-unknown'] });
  });

  it('guess a platform by address, by id claims, or by the cluster that the issuer is', () => {
    const issuers = {
      entra: { url: 'https://login.microsoftonline.com/0/v2.0' },
      kubeadm: { url: 'https://kubernetes.default.svc.cluster.local' },
      eks: { url: 'https://oidc.eks.eu-central-1.amazonaws.com/id/0' },
      gke: { url: 'https://container.googleapis.com/v1/projects/p/locations/l/clusters/c' },
      cluster: { cluster: 'prod' },
      jenkins: { url: 'https://jenkins.example.com/oidc' },
      google: { url: 'https://accounts.google.com' },
      code: { url: 'https://code.example.com', idClaims: ['repository_id'] },
      imitation: { url: 'https://token.actions.githubusercontent.com.example.com' },
    };
    const parts = Object.entries(issuers).map(([name, issuer]) => [name, { ...issuer, audience: 'kleis' }] as const);
    const { config, warnings } = loadDocument({ issuers: Object.fromEntries(parts) });
    expect(Object.values(config.issuers).map(({ name, platform }) => `${name} ${platform}`)).toEqual([
      ...['entra entra', 'kubeadm kubernetes', 'eks kubernetes', 'gke kubernetes', 'cluster kubernetes'],
      ...['jenkins jenkins', 'google other', 'code github', 'imitation undefined'],
    ]);
    expect(warnings.map(({ code, path }) => `${code} ${path}`)).toEqual(['platform-unknown issuers.imitation']);
  });

  it('say where, and what to write', () => {
    const [warning] = loadGrant({
      issuer: 'github',
      where: { ...sound.github, run_attempt: 1 },
      access: [{ namespace: 'web', role: 'r' }],
    }).warnings;
    expect(warning).toMatchObject({ file: '1.yaml', path: 'grants.g.where.run_attempt', line: expect.any(Number) });
    expect(warning!.line).toBeGreaterThan(20);
    expect(warning!.message).toContain('write "1", in quotes');
  });
});
