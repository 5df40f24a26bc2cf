import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { makeKey, sign, startIssuer } from '../broker/issuers/fixture.ts';
import { built } from '../support/built.ts';
import { createAuthority } from '../support/certificates.ts';
import { startCluster, type Cluster, type ClusterOptions } from '../support/cluster.ts';
import { startGitHub } from '../support/github.ts';
import { createPerson, type Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { run, start, type Running } from '../support/run.ts';

type Env = Readonly<Record<string, string>>;

/** What the broker writes of each outcome. */
export interface AuditLine {
  readonly event: string;
  readonly outcome: string;
  readonly [name: string]: unknown;
}

/** A cluster with what `kleis-broker rbac` prints and nothing else, a broker process, and the platforms that it trusts. */
export interface CiWorld {
  readonly cluster: Cluster;
  readonly brokerUrl: string;
  /** Somewhere to run jobs, with the programs installed. */
  readonly runner: Person;
  /** What a GitHub runner (a server of the company's own) puts into the environment of a job. */
  github(id: string, claims?: Readonly<Record<string, unknown>>): Env;
  /** What a GitLab runner does. */
  gitlab(id: string, claims?: Readonly<Record<string, unknown>>): Promise<Env>;
  /** From now on GitHub gives the same token again. */
  repeatToken(repeated: boolean): void;
  /** The flags of `kubeconfig add` and `kleis token` for this broker. */
  flags(identity: string, grant: string): string[];
  audit(): Promise<AuditLine[]>;
  newRunner(): Promise<Person>;
  end(): Promise<void>;
}

const audience = 'https://kleis.example.com';
const access = [{ namespace: 'web', role: 'deployer' }];

export const grants = {
  'deploy-web': {
    issuer: 'github',
    where: { repository_id: '123456', environment: 'production', event_name: { not: 'pull_request_target' } },
    cluster: 'prod',
    serviceAccount: 'deploy-web',
    access,
    ttl: { default: '15m', max: '1h' },
  },
  'release-web': {
    issuer: 'gitlab',
    where: { project_id: '42', ref_protected: 'true', ref_type: 'tag' },
    cluster: 'prod',
    serviceAccount: 'release-web',
    access,
  },
};

export async function createCiWorld(kind: ClusterOptions['kind']): Promise<CiWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-ci-'));
  const started: (() => Promise<unknown>)[] = [async () => rm(folder, { recursive: true, force: true })];
  const end = async () => {
    for (const stop of started.toReversed()) await stop();
  };
  try {
    return await build(kind, folder, started, end);
  } catch (error) {
    await end();
    throw error;
  }
}

async function build(
  kind: ClusterOptions['kind'],
  folder: string,
  started: (() => Promise<unknown>)[],
  end: () => Promise<void>,
): Promise<CiWorld> {
  const authority = await createAuthority();
  const [tls, { dist, browser }, cluster] = await Promise.all([
    authority.issueServer(['127.0.0.1', 'localhost']),
    built(),
    startCluster({ kind }),
  ]);
  started.push(async () => cluster.stop());
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const ca = await file('ca.crt', authority.cert);
  const key = await makeKey('k1', 'RS256');
  const github = await startGitHub({ tls });
  const gitlab = await startIssuer([key], { tls });
  started.push(async () => Promise.all([github.stop(), gitlab.stop()]));

  const auditFile = join(folder, 'audit.jsonl');
  const prod = { server: cluster.server, certificateAuthority: cluster.caFile };
  const tokenFile = join(folder, 'broker-token');
  const config = await file(
    'broker.yaml',
    stringify({
      apiVersion: 'kleis.dev/v1',
      kind: 'BrokerConfig',
      publicUrl: audience,
      listen: {
        address: '127.0.0.1:0',
        tls: { certFile: await file('tls.crt', tls.cert), keyFile: await file('tls.key', tls.key) },
      },
      state: { cluster: 'prod' },
      audit: { file: auditFile },
      issuers: {
        github: { url: github.url, audience, certificateAuthority: ca, singleUse: true },
        gitlab: { url: gitlab.url, audience, certificateAuthority: ca },
      },
      clusters: {
        prod: {
          ...prod,
          audiences: [cluster.server],
          credentials: { tokenFile },
        },
      },
      grants,
    }),
  );
  const env = { PATH: '/usr/bin:/bin', HOME: folder };
  const kleisBroker = join(dist, 'kleis-broker.js');
  await prepare(cluster, async () => {
    const as = ['--kubeconfig', cluster.adminKubeconfig];
    const printed = await run(process.execPath, [kleisBroker, 'rbac', '--config', config], {
      env,
      timeout: 60_000,
    });
    if (printed.code !== 0) throw new Error(`kleis-broker rbac: ${printed.stderr}`);
    const kubectl = needs('kubectl-new') ?? needs('kubectl') ?? 'kubectl';
    const applied = await run(kubectl, [...as, 'apply', '-f', '-'], { env, stdin: printed.stdout, timeout: 60_000 });
    if (applied.code !== 0) throw new Error(`kubectl apply: ${applied.stderr}`);
  });
  await writeFile(tokenFile, await mintAsAdmin(cluster), { mode: 0o600 });

  const broker = start(process.execPath, [kleisBroker, 'serve', '--config', config], { env, timeout: 600_000 });
  started.push(async () => {
    broker.kill('SIGTERM');
    await broker.done;
  });
  const brokerUrl = await ready(broker);

  const newRunner = async () => {
    const runner = await createPerson({ dist, browser, providerCa: authority.cert });
    started.push(async () => runner.remove());
    return runner;
  };
  return {
    cluster,
    brokerUrl,
    runner: await newRunner(),
    newRunner,
    github: github.job,
    async gitlab(id, claims = {}) {
      const token = await sign(
        gitlab,
        { aud: audience, sub: 'project_path:acme/web', jti: randomUUID(), ...gitlabClaims, job_id: id, ...claims },
        { key, now: Date.now() },
      );
      return { GITLAB_CI: 'true', CI_SERVER_URL: gitlab.url, CI_JOB_ID: id, KLEIS_ID_TOKEN: token };
    },
    repeatToken: github.repeatToken,
    flags: (identity, grant) => [
      ...['--identity', identity, '--broker', brokerUrl, '--grant', grant, '--audience', audience],
      ...['--broker-certificate-authority', ca, ...(identity === 'github' ? ['--certificate-authority', ca] : [])],
    ],
    audit: async () =>
      (await readFile(auditFile, 'utf8'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as AuditLine),
    end,
  };
}

const gitlabClaims = {
  project_id: '42',
  project_path: 'acme/web',
  ref: 'v1.0.0',
  ref_type: 'tag',
  ref_protected: 'true',
};

/** The application's namespace, with the Role that its admin made; then what Kleis needs. */
async function prepare(cluster: Cluster, apply: () => Promise<void>): Promise<void> {
  await cluster.request('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'web' },
  });
  await cluster.request('POST', '/apis/rbac.authorization.k8s.io/v1/namespaces/web/roles', {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: 'deployer', namespace: 'web' },
    rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['*'] }],
  });
  await apply();
}

async function mintAsAdmin(cluster: Cluster): Promise<string> {
  const path = '/api/v1/namespaces/kleis-system/serviceaccounts/kleis-broker/token';
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  const { status } = (await cluster.request('POST', path, body)) as unknown as { status: { token: string } };
  return status.token;
}

/** Its address, once it takes requests. */
async function ready(broker: Running): Promise<string> {
  const [, address = ''] = await broker.waitFor(/"address":"(https:[^"]+)"/, 30_000);
  await broker.waitFor(/"msg":"ready"/, 60_000).catch((cause: unknown) => {
    throw new Error(`the broker is not ready: ${broker.stderr()}`, { cause });
  });
  return address;
}
