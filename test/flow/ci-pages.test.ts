import { randomUUID } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { type AppWorld, issuerUrl, startAppWorld } from '../broker/routes/world.ts';
import { type Example, examples } from '../docs/examples.ts';
import { built } from '../support/built.ts';
import { createPerson, type Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { freePorts } from '../support/processes.ts';

// The scripts of the CI pages, as they stand there, in a shell with what their platform puts around them: they reach the
// cluster, and what they got is dead at their end. Addresses are of this machine, programs of the platforms are stubs.

interface Job {
  readonly page: string;
  readonly file: string;
  /** Where its commands stand in the file; several are run one after the other, each in a shell of its own. */
  readonly scripts: readonly string[];
  readonly env?: (token: string) => Readonly<Record<string, string>>;
  /** What it got is for others, and ends by itself. */
  readonly keeps?: true;
  /** In place of the broker's URL. */
  readonly audience?: string;
  /** Programs that a runner of that platform has. */
  readonly programs?: (token: string) => Readonly<Record<string, string>>;
}

const otherIssuer = 'https://vstoken.example.com/acme';
const print = (text: string) => `printf '%s\\n' '${text}'`;

const jobs: readonly Job[] = [
  {
    page: 'gitlab',
    file: '.gitlab-ci.yml',
    scripts: ['0.deploy.script', '0.deploy.after_script'],
    env: (token) => ({ GITLAB_CI: 'true', CI_JOB_ID: randomUUID(), CI_SERVER_URL: issuerUrl, KLEIS_ID_TOKEN: token }),
  },
  {
    page: 'circleci',
    file: '.circleci/config.yml',
    scripts: ['0.jobs.deploy.steps.1.run.command'],
    env: () => ({ CIRCLECI: 'true', CIRCLE_WORKFLOW_JOB_ID: randomUUID() }),
    programs: (token) => ({ circleci: print(token) }),
  },
  {
    page: 'buildkite',
    file: '.buildkite/pipeline.yml',
    scripts: ['0.steps.0.command'],
    env: () => ({ BUILDKITE: 'true', BUILDKITE_JOB_ID: randomUUID() }),
    programs: (token) => ({ 'buildkite-agent': print(token) }),
  },
  { page: 'jenkins', file: 'Jenkinsfile', scripts: ['0'] },
  {
    page: 'azure-pipelines',
    file: 'azure-pipelines.yml',
    scripts: ['0.steps.1.bash'],
    audience: 'api://AzureADTokenExchange',
    env: () => ({ SYSTEM_ACCESSTOKEN: 'x', SYSTEM_OIDCREQUESTURI: 'https://dev.azure.com/acme/oidctoken' }),
    programs: (token) => ({ curl: print(token), jq: 'cat' }),
  },
  {
    page: 'bitbucket',
    file: 'bitbucket-pipelines.yml',
    scripts: ['0.pipelines.branches.main.0.step.script', '0.pipelines.branches.main.0.step.after-script'],
    env: (token) => ({ BITBUCKET_STEP_OIDC_TOKEN: token }),
  },
  { page: 'pods-of-another-cluster', file: 'deployer.yaml', scripts: ['2.spec.template.spec.containers.0.args.0'] },
  { page: 'tekton', file: 'deploy.yaml', scripts: ['1.spec.steps.0.script'] },
  {
    page: 'flux',
    file: 'kleis-prod.yaml',
    scripts: ['3.spec.jobTemplate.spec.template.spec.containers.0.args.0'],
    keeps: true,
  },
];

/** What stands there in the file, by the number of the document, names, and numbers in lists; '' if nothing does. */
function scriptAt({ language, text }: Example, path: string): string {
  let value: unknown =
    language === 'groovy'
      ? [...text.matchAll(/'''(.*?)'''/gs)].map(([, script]) => script)
      : parseAllDocuments(text).map((document) => document.toJS() as unknown);
  for (const name of path.split('.')) value = (value as Record<string, unknown> | undefined)?.[name];
  // Buildkite's own dollar, which is two.
  return [value].flat().join('\n').replaceAll('$$', '$');
}

const kubectl = needs('kubectl-new') ?? needs('kubectl');
const all = examples();

describe.skipIf(kubectl === undefined)('the job of a page', () => {
  let app: AppWorld;
  let url: string;
  let runner: Person;

  beforeAll(async () => {
    app = await startAppWorld();
    const [port] = await freePorts(1);
    url = `http://127.0.0.1:${port}`;
    const access = [{ namespace: 'web', role: 'deployer' }];
    const where = { repository_id: '1' };
    const grant = { issuer: 'ci', where, cluster: 'prod', serviceAccount: 'deploy-web', access };
    const issuer = { jwks: join(app.folder, 'jwks.json'), idClaims: ['repository_id'] };
    await app.start({
      publicUrl: url,
      listen: { address: `127.0.0.1:${port}` },
      admins: [],
      issuers: {
        ci: { ...issuer, url: issuerUrl, audience: url },
        other: { ...issuer, url: otherIssuer, audience: 'api://AzureADTokenExchange' },
      },
      grants: { 'deploy-web': grant, 'deploy-other': { ...grant, issuer: 'other' } },
    });
    runner = await createPerson(await built());
  });
  afterAll(async () => {
    await runner?.remove();
    await app?.stop();
  });

  /** A runner's folder, in which a token lies, and the platform's programs. */
  async function prepare(name: string, programs: Readonly<Record<string, string>>, token: string) {
    const folder = join(runner.home, name);
    await mkdir(folder);
    // Whoever applies, and whose kubeconfig is handed on, is asked about.
    const whoami = `exec '${kubectl}' auth whoami`;
    const kubectlStub = `case $1 in apply) ${whoami};; create) ${whoami} --kubeconfig '${folder}/value';; replace) cat;; *) exit 1;; esac`;
    for (const [program, body] of Object.entries({ kubectl: kubectlStub, ...programs })) {
      await writeFile(join(folder, program), `#!/bin/sh\n${body}\n`);
      await chmod(join(folder, program), 0o755);
    }
    await writeFile(join(folder, 'token'), token, { mode: 0o600 });
    return folder;
  }

  it.each(jobs)('$page: it reaches the cluster, and takes back what it got', async ({ page, file, ...job }) => {
    const files = all.filter((each) => each.page === `docs/ci/${page}.md` && each.file === file);
    // Where a package of Kleis does it, the file has no such script.
    const example = files.find((each) => job.scripts.every((path) => scriptAt(each, path).includes('kleis ')));
    if (example === undefined) throw new Error(`there is no ${file}`);
    const claims = { iss: job.audience === undefined ? issuerUrl : otherIssuer, aud: job.audience ?? url };
    const token = await app.issue(claims);
    const folder = await prepare(page, job.programs?.(token) ?? {}, token);
    const env = {
      PATH: [folder, runner.env['PATH'] ?? ''].join(delimiter),
      KUBECONFIG: join(folder, 'kubeconfig'),
      KLEIS_CACHE_DIR: join(folder, 'cache'),
      AGENT_TEMPDIRECTORY: folder,
      TOKEN_FILE: join(folder, 'token'),
      KLEIS_KUBERNETES_TOKEN_FILE: join(folder, 'token'),
      ...job.env?.(token),
    };
    let said = '';
    for (const path of job.scripts) {
      const script = scriptAt(example, path);
      const here = script
        .replaceAll(/\/(?:tmp|work)\//g, `${folder}/`)
        .replaceAll('https://kleis.example.com', url)
        .replaceAll('https://prod.example.com:6443', app.state.cluster.server)
        .replaceAll('/config/ca.crt', app.state.cluster.caFile)
        .replaceAll(/flux-web|deploy-web/g, job.audience === undefined ? 'deploy-web' : 'deploy-other');
      const { code, stdout, stderr } = await runner.run('bash', ['-ec', here], { env, timeout: 60_000 });
      expect(code, `${here}\n${stderr}`).toBe(0);
      said += stdout;
    }
    expect(said).toContain('system:serviceaccount:kleis-identities:deploy-web');
    if (job.keeps !== true) expect(said).toMatch(/^revoked \S+: dead/m);
  });
});
