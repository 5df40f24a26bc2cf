import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type AppWorld, issuerUrl, startAppWorld } from '../broker/routes/world.ts';
import { startSsoBroker } from '../flow/sso-broker.ts';
import { createWorld, type World } from '../flow/world.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';

// What a page for beginners tells somebody to run is run, and what it says that one sees is what one sees.

const kubectl = needs('kubectl-new') ?? needs('kubectl');

interface Step {
  /** Of the page. */
  readonly line: number;
  readonly script: string;
  /** What one should see, a line each; `…` is anything. */
  readonly seen: readonly string[];
}

async function stepsOf(name: string): Promise<Step[]> {
  const text = await readFile(new URL(`../../docs/start/${name}.md`, import.meta.url), 'utf8');
  const steps: { line: number; script: string; seen: string[] }[] = [];
  for (const { 0: whole, 1: indent = '', 2: language, 3: body = '', index } of text.matchAll(
    /^( *)```(\w+)\n([^]*?)^ *```$/gm,
  )) {
    expect(whole).not.toBe('');
    const lines = body.split('\n').map((line) => line.replace(indent, ''));
    if (language === 'sh')
      steps.push({ line: text.slice(0, index).split('\n').length, script: lines.join('\n'), seen: [] });
    else if (language === 'text') steps.at(-1)?.seen.push(...lines.filter((line) => line.trim() !== ''));
  }
  return steps;
}

/** Blanks count as one, since columns are as wide as what is in them. */
function pattern(line: string): RegExp {
  const parts = line
    .trim()
    .split(/\s*…\s*/)
    .map((part) => escape(part));
  return new RegExp(parts.join('.*').replaceAll(/\s+/g, String.raw`\s+`), 'm');
}
const escape = (text: string) => text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`);

let world: World;
let app: AppWorld;
/** The broker of people and that of jobs; in the pages they are one. */
let forPeople: string;
let forJobs: string;

beforeAll(async () => {
  world = await createWorld();
  app = await startAppWorld();
  const grant = { cluster: 'prod', serviceAccount: 'deploy-web', access: [{ namespace: 'web', role: 'deployer' }] };
  const inGroup = { groups: { contains: 'developers' } };
  const people = await startSsoBroker(
    { world, app },
    {
      admins: [{ issuer: 'sso', claim: 'groups', value: 'developers' }],
      grants: { 'deploy-web': { ...grant, issuer: 'sso', where: inGroup } },
    },
  );
  forPeople = people.url;
  const ci = { url: issuerUrl, jwks: join(app.folder, 'jwks.json'), idClaims: ['repository_id'] };
  const where = { repository_id: '1', environment: 'production' };
  const jobs = await startSsoBroker(
    { world, app },
    {
      others: (audience) => ({ ci: { ...ci, audience } }),
      grants: {
        'deploy-web': { ...grant, issuer: 'ci', where },
        'of-others': { ...grant, issuer: 'ci', where: { repository_id: '2' } },
      },
    },
  );
  forJobs = jobs.url;
}, 120_000);
afterAll(async () => {
  await app?.stop();
  await world?.end();
});

/** What a page leaves to a person: the address, the package that is there already, a y to a question. */
function asTyped(script: string, broker: string): string {
  return script
    .replace('npm install --global kleis\n', '')
    .replaceAll('https://kleis.example.com', broker)
    .replaceAll('https://login.example.com', world.provider.issuer)
    .replaceAll(/kleis (kubeconfig add --from .*|grants .*|setup .*)/g, 'kleis $1 --yes');
}

async function follow(name: string, broker: string, person: Person, env: Readonly<Record<string, string>> = {}) {
  const steps = await stepsOf(name);
  expect(steps.length).toBeGreaterThan(3);
  for (const { line, script, seen } of steps) {
    const typed = asTyped(script, broker);
    const PATH = `${person.env['PATH']}:${dirname(kubectl ?? '')}`;
    // oxlint-disable-next-line no-await-in-loop -- one step after the other
    const done = await person.run('/bin/bash', ['-c', typed], {
      env: { PATH, SSL_CERT_FILE: person.providerCaFile, ...env },
      timeout: 60_000,
    });
    const shown = `${done.stdout}\n${done.stderr}`.replaceAll(broker, 'https://kleis.example.com');
    const missing = seen.filter((each) => !pattern(each).test(shown));
    expect({ missing, shown: missing.length === 0 ? '' : shown }, `${name}.md:${line} ${typed}`).toEqual({
      missing: [],
      shown: '',
    });
    expect(seen, `${name}.md:${line}`).not.toEqual([]);
  }
}

describe.skipIf(kubectl === undefined)('who begins with the page for', () => {
  it.concurrent('a developer comes to a cluster and back', async () => {
    await follow('developer', forPeople, await world.person());
  });

  it.concurrent('a CI engineer has a job that deploys and takes its token back', async () => {
    const KLEIS_ID_TOKEN = await app.issue({ aud: forJobs });
    const ofJob = { CI: 'true', GITLAB_CI: 'true', CI_JOB_ID: randomUUID(), CI_SERVER_URL: issuerUrl, KLEIS_ID_TOKEN };
    await follow('ci-engineer', forJobs, await world.person(), ofJob);
  });

  it('an admin sees what a cluster has, and who has a token', async () => {
    const person = await world.person();
    const { adminKubeconfig } = app.state.cluster;
    // Somebody has a token to be seen.
    const add = ['kubeconfig', 'add', '--from', forPeople, '--yes'];
    expect((await person.run('kleis', add, { timeout: 60_000 })).code).toBe(0);
    expect((await person.run('kleis', ['token', '--context', 'prod'])).code).toBe(0);
    await follow('admin', forPeople, person, { KUBECONFIG: adminKubeconfig });
  });

  it.concurrent('a security reviewer sees what the page claims', async () => {
    const person = await world.person();
    const file = (name: string, text: string) => writeFile(join(person.home, name), text, { mode: 0o600 });
    const prod = { credentials: { kubeconfig: app.state.cluster.adminKubeconfig }, audiences: ['https://prod'] };
    await file('broker.yaml', stringify(app.document({ clusters: { prod } })));
    const TOKEN = await app.issue({ aud: forJobs, repository_id: '1' });
    await file('token', await app.issue({}));
    const [broker] = (await readFile(join(app.folder, 'audit-2.jsonl'), 'utf8')).split('\n');
    await file('audit.jsonl', `${broker}\n`);
    await follow('security-reviewer', forJobs, person, { TOKEN });
  });
});
