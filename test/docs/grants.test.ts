import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig, type LoadedConfig } from '../../broker/config/load.ts';
import { decide } from '../../broker/policy/decide.ts';
import { type Example, examples } from './examples.ts';

// The grants of the CI pages: the broker's own loader takes them, nothing in them is unwise, the token that the page shows
// gets what it is for, and whoever "gets nothing" gets nothing.

const all = examples();
const grants = all.filter(({ language, text }) => language === 'yaml' && /^kind: BrokerConfig$/m.test(text));
const onCi = grants.filter(({ page }) => page.startsWith('docs/ci/'));

const base = {
  apiVersion: 'kleis.dev/v1',
  kind: 'BrokerConfig',
  publicUrl: 'https://kleis.example.com',
  listen: { address: ':8443', tls: { certFile: '/tls/tls.crt', keyFile: '/tls/tls.key' } },
  state: { cluster: 'prod' },
  clusters: { prod: { server: 'https://prod.example.com', credentials: { inCluster: true } } },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-docs-'));
});
afterAll(async () => rm(folder, { recursive: true }));

/** As an admin has it: the file of the page beside the one that every broker has. */
async function load(...files: readonly Example[]): Promise<LoadedConfig> {
  const place = join(folder, `${basename(files[0]?.page ?? '')}-${files[0]?.line ?? 0}`);
  await mkdir(place, { recursive: true });
  await writeFile(join(place, 'base.yaml'), stringify(base));
  for (const [index, { text }] of files.entries()) await writeFile(join(place, `${index}.yaml`), text);
  return loadConfig(place);
}

const isWhole = ({ text }: Example) => text.includes('publicUrl:');
const isPartOfGke = ({ page }: Example) => page === 'docs/clusters/gke.md';

it.each(grants.filter((each) => !isWhole(each) && !isPartOfGke(each)))(
  '$page:$line is a configuration that the broker takes, and that warns of nothing',
  async (example) => {
    expect((await load(example)).warnings).toEqual([]);
  },
);

it('the two files for GKE are one configuration', async () => {
  const files = grants.filter(isPartOfGke);
  expect(files).toHaveLength(2);
  expect((await load(...files)).warnings).toEqual([]);
});

/** What a page says of who gets nothing, as claims that differ from those of the token that it shows. */
const refused: Readonly<Record<string, Readonly<Record<string, Record<string, unknown>>>>> = {
  'github-actions': {
    'another repository': { repository_id: '999' },
    'a branch without the environment': { environment: undefined, ref: 'refs/heads/x' },
    'a stranger’s code': { event_name: 'pull_request_target' },
    'a comment': { event_name: 'issue_comment' },
  },
  gitlab: {
    'a fork in the project': { project_id: '99' },
    'another branch': { ref: 'x', ref_protected: 'false' },
    'another environment': { environment: 'staging' },
    'an environment that nobody protects': { environment_protected: 'false' },
  },
  circleci: {
    'another branch': { 'oidc.circleci.com/vcs-ref': 'refs/heads/x' },
    'another project': { 'oidc.circleci.com/project-id': 'x' },
    'with SSH': { 'oidc.circleci.com/ssh-rerun': true },
    'without the context': { 'oidc.circleci.com/context-ids': [] },
  },
  buildkite: {
    'another branch': { build_branch: 'alice:main' },
    'another pipeline': { pipeline_id: 'x' },
    'an organisation of the same slug': { organization_id: 'x' },
    'a token without ids': { pipeline_id: undefined },
    'another step': { step_key: 'test' },
  },
  jenkins: {
    'another branch': { sub: 'https://jenkins.example.com/job/acme/job/web/job/x/' },
    'a pull request': { sub: 'https://jenkins.example.com/job/acme/job/web/job/PR-5/' },
  },
  'azure-pipelines': {
    'a pull request': { rpo_ref: 'refs/pull/5/merge' },
    'another pipeline': { def_id: '18' },
    'another repository': { rpo_id: 'x' },
  },
  bitbucket: {
    'a fork': { repositoryUuid: '{x}' },
    'another branch': { branchName: 'x' },
    'a step without the environment': { deploymentEnvironmentUuid: undefined },
  },
  'pods-of-another-cluster': {
    'another account': { 'kubernetes.io': { namespace: 'ci', serviceaccount: { name: 'default' } } },
    'another namespace': { 'kubernetes.io': { namespace: 'x', serviceaccount: { name: 'deployer' } } },
  },
  tekton: {
    'another namespace': { 'kubernetes.io': { namespace: 'pull-requests', serviceaccount: { name: 'deployer' } } },
    'another account': { 'kubernetes.io': { namespace: 'deployments', serviceaccount: { name: 'default' } } },
  },
  'argo-cd': {
    'another pod': { 'kubernetes.io': { namespace: 'argocd', serviceaccount: { name: 'argocd-repo-server' } } },
  },
  flux: {
    'the controllers': {
      'kubernetes.io': { namespace: 'flux-system', serviceaccount: { name: 'kustomize-controller' } },
    },
  },
};

const withToken = onCi.filter(
  ({ page }, index) =>
    onCi.findIndex((each) => each.page === page) === index && all.some((each) => isToken(each) && each.page === page),
);

function isToken({ heading, language }: Example): boolean {
  return heading === 'The token' && language === 'json';
}

it('every page that shows a token says whom its grant refuses', () => {
  expect(withToken.map(({ page }) => basename(page, '.md')).toSorted()).toEqual(Object.keys(refused).toSorted());
});

describe.each(withToken)('$page', (example) => {
  const shown = all.find((each) => isToken(each) && each.page === example.page)?.text ?? '';
  const claims = JSON.parse(shown) as Record<string, unknown>;
  const name = basename(example.page, '.md');

  async function ask(changed: Record<string, unknown> = {}) {
    const { policy, config } = await load(example);
    const [grant, ...more] = Object.values(config.grants);
    expect(more).toEqual([]);
    const entries = Object.entries({ ...claims, ...changed }).filter(([, value]) => value !== undefined);
    const asker = { issuer: grant?.issuer ?? '', claims: Object.fromEntries(entries) };
    return decide(policy, asker, { grant: grant?.name ?? '' }, 0);
  }

  it('the token that it shows gets what it is for, from the issuer that it names', async () => {
    const { config } = await load(example);
    const [issuer] = Object.values(config.issuers);
    expect([claims['aud']].flat()).toEqual([issuer?.audience]);
    if (issuer?.url !== undefined) expect(claims['iss']).toBe(issuer.url);
    expect(await ask()).toMatchObject({ allowed: true });
  });

  it.each(Object.entries(refused[name] ?? {}))('%s gets nothing', async (_, changed) => {
    expect(await ask(changed)).toMatchObject({ allowed: false, reason: 'claims' });
  });
});

it('what the pages quote of the Dex configuration is registered as kleis setup says', () => {
  const [dex] = all.filter(({ page, language }) => page === 'docs/providers/dex.md' && language === 'yaml');
  const { staticClients } = parse(dex?.text ?? '') as { staticClients: { redirectURIs: string[] }[] };
  const said = readFileSync('docs/providers/dex.md', 'utf8');
  for (const uri of staticClients[0]?.redirectURIs ?? []) expect(said).toContain(`\`${uri}\``);
});
