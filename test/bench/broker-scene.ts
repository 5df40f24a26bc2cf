import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createAuthority } from '../support/certificates.ts';
import { type Cluster, type ClusterOptions, startCluster } from '../support/cluster.ts';
import { run } from '../support/run.ts';
import { type BrokerProcess, brokerEnv, brokerProgram, startBroker } from './broker-process.ts';

/** What a mint costs the API server, by what the grant and its issuer promise. */
export interface Cost {
  readonly name: string;
  readonly grant: 'plain' | 'once' | 'revocable';
  readonly issuer: keyof typeof issuers;
  readonly lease: boolean;
  readonly secret: boolean;
}

export const costs: readonly Cost[] = [
  { name: 'nothing kept', grant: 'plain', issuer: 'ci', lease: false, secret: false },
  { name: 'a lease (single-use)', grant: 'once', issuer: 'once', lease: true, secret: false },
  { name: 'a lease and a Secret (revocable)', grant: 'revocable', issuer: 'ci', lease: true, secret: true },
];

/** An API server with what `kleis-broker rbac` prints, and brokers with the same 500 grants before it. */
export interface BrokerScene {
  readonly cluster: Cluster;
  /** The broker's own, for whoever is to be held back by the same Roles and policies. */
  readonly brokerToken: string;
  readonly plain: BrokerProcess;
  readonly tls: BrokerProcess;
  /** Another build, with the same configuration as `plain`. */
  readonly other: BrokerProcess | undefined;
  readonly home: string;
  /** PEM; vouches for the broker with TLS. */
  readonly ca: string;
  /** Makes tokens for so many mints; those of the issuer `once` are used up one by one. */
  prepare(count: number): void;
  subjectToken(cost: Cost): string;
  /** Starts one more broker, with the same configuration or what is made of it, and an audit of its own. */
  start(
    adapt?: (config: Config) => object,
    how?: { readonly dist?: string; readonly nodeFlags?: readonly string[] },
  ): Promise<ExtraBroker>;
  end(): Promise<void>;
}

export interface ExtraBroker extends BrokerProcess {
  readonly configFile: string;
  readonly auditFile: string;
}

export type Config = ReturnType<typeof describe>;

export const grantCount = 500;
const accountCount = 20;
const plainly = { aliasDuplicateObjects: false };
const audience = 'https://kleis.example.com';
const issuers = { ci: 'https://ci.example.com', once: 'https://once.example.com' } as const;
/** GitHub's, in number and size. */
const job = {
  sub: 'repo:acme/web:environment:production',
  repository: 'acme/web',
  repository_id: '123456',
  repository_owner: 'acme',
  repository_owner_id: '77',
  environment: 'production',
  event_name: 'push',
  ref: 'refs/heads/main',
  ref_type: 'branch',
  ref_protected: 'true',
  sha: 'a'.repeat(40),
  job_workflow_ref: 'acme/web/.github/workflows/deploy.yml@refs/heads/main',
  runner_environment: 'github-hosted',
  run_id: '1234567890',
  run_attempt: '1',
  actor: 'somebody',
  actor_id: '4711',
};

/** @param against a folder with another build, which gets the same configuration and Roles */
export async function createBrokerScene(kind: ClusterOptions['kind'], against?: string): Promise<BrokerScene> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-bench-broker-'));
  const undo: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true })];
  const end = async () => {
    for (const step of undo.toReversed()) await step();
  };
  try {
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    };
    const [authority, cluster] = await Promise.all([createAuthority(), startCluster({ kind })]);
    undo.push(() => cluster.stop());
    const served = await authority.issueServer(['127.0.0.1']);
    const tls = { certFile: await file('tls.crt', served.cert), keyFile: await file('tls.key', served.key) };
    const signer = createSigner();
    const jwks = await file('jwks.json', JSON.stringify({ keys: [signer.jwk] }));
    const tokenFile = join(folder, 'token');
    const config = (name: string, listen: object) =>
      file(
        `${name}.yaml`,
        stringify(describe({ cluster, tokenFile, jwks, audit: join(folder, `${name}.jsonl`) }, listen), plainly),
      );
    const plainConfig = await config('plain', { address: '127.0.0.1:0' });
    const tlsConfig = await config('tls', { address: '127.0.0.1:0', tls });
    await applyRbac(cluster, plainConfig, folder);
    const brokerToken = await mintAsAdmin(cluster);
    await writeFile(tokenFile, brokerToken, { mode: 0o600 });

    const started = async (path: string, dist?: string) => {
      const broker = await startBroker(path, folder, [], dist);
      undo.push(() => broker.stop());
      return broker;
    };
    const reusable = createReusable(() => signer.issue('ci'));
    let fresh: string[] = [];
    let extras = 0;
    return {
      cluster,
      brokerToken,
      plain: await started(plainConfig),
      tls: await started(tlsConfig),
      other:
        against === undefined ? undefined : await started(await config('other', { address: '127.0.0.1:0' }), against),
      home: folder,
      ca: authority.cert,
      prepare(count) {
        fresh = Array.from({ length: count }, () => signer.issue('once'));
      },
      subjectToken: ({ issuer }) => (issuer === 'ci' ? reusable() : (fresh.pop() ?? signer.issue('once'))),
      async start(adapt = (same) => same, { dist, nodeFlags = [] } = {}) {
        const name = `extra-${(extras += 1)}`;
        const auditFile = join(folder, `${name}.jsonl`);
        const own = describe({ cluster, tokenFile, jwks, audit: auditFile }, { address: '127.0.0.1:0' });
        const configFile = await file(`${name}.yaml`, stringify(adapt(own), plainly));
        return { ...(await startBroker(configFile, folder, nodeFlags, dist)), configFile, auditFile };
      },
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

interface Place {
  readonly cluster: Cluster;
  readonly tokenFile: string;
  readonly jwks: string;
  readonly audit: string;
}

/** 500 grants for jobs of as many repositories, each fifth with a condition; three of them are used. */
function describe({ cluster, tokenFile, jwks, audit }: Place, listen: object) {
  const issuer = (url: string, more = {}) => ({ url, audience, jwks, idClaims: ['repository_id'], ...more });
  const where = (repository: string) => ({
    repository_id: repository,
    environment: 'production',
    event_name: { anyOf: ['push', 'workflow_dispatch'] },
  });
  const access = [{ namespace: 'web', role: 'deployer' }];
  const common = { cluster: 'prod', access, ttl: { default: '15m', max: '1h' } };
  const used = costs.map(({ grant, issuer: name, secret }) => [
    grant,
    { ...common, issuer: name, where: where(job.repository_id), serviceAccount: 'deploy-0', revocable: secret },
  ]);
  const ephemeral = { ...common, issuer: 'ci', where: where(job.repository_id), ephemeral: true };
  const others = Array.from({ length: grantCount - used.length - 1 }, (_, index) => [
    `deploy-${index}`,
    {
      ...common,
      issuer: 'ci',
      where: where(String(200_000 + index)),
      ...(index % 5 === 0 && { condition: `claims.ref == "refs/heads/release-${index}" || claims.ref_type == "tag"` }),
      serviceAccount: `deploy-${index % accountCount}`,
    },
  ]);
  const plenty = 10_000_000;
  return {
    apiVersion: 'kleis.dev/v1',
    kind: 'BrokerConfig',
    publicUrl: audience,
    listen,
    state: { cluster: 'prod' },
    audit: { file: audit },
    issuers: { ci: issuer(issuers.ci), once: issuer(issuers.once, { singleUse: true }) },
    clusters: {
      prod: {
        server: cluster.server,
        certificateAuthority: cluster.caFile,
        audiences: [cluster.server],
        credentials: { tokenFile },
      },
    },
    limits: {
      perAddress: plenty,
      perIssuer: plenty,
      perTenant: plenty,
      leases: { perGrant: plenty, perSubject: plenty },
    },
    grants: { ...Object.fromEntries([...used, ...others]), ephemeral } as Readonly<Record<string, object>>,
  };
}

/** One token for all who ask, and another one before its hour is over: a soak lasts longer. */
function createReusable(issue: () => string): () => string {
  let [token, renewAt] = ['', 0];
  return () => {
    if (performance.now() >= renewAt) [token, renewAt] = [issue(), performance.now() + 1_800_000];
    return token;
  };
}

/** RS256 with a key of 2048 bits, as GitHub and GitLab sign. */
function createSigner() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'RS256', use: 'sig' };
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = encode({ typ: 'JWT', alg: jwk.alg, kid: jwk.kid });
  return {
    jwk,
    issue(name: keyof typeof issuers): string {
      const now = Math.floor(Date.now() / 1000);
      const times = { iat: now, nbf: now - 300, exp: now + 3600 };
      const input = `${header}.${encode({ iss: issuers[name], aud: audience, jti: randomUUID(), ...times, ...job })}`;
      return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`;
    },
  };
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** What an operator does with kubectl, which this machine may not have. */
async function applyRbac(cluster: Cluster, config: string, home: string): Promise<void> {
  await cluster.request('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'web' },
  });
  const { code, stdout, stderr } = await run(
    process.execPath,
    [brokerProgram('dist'), 'rbac', '--config', config, '-o', 'json'],
    {
      env: brokerEnv(home),
      timeout: 60_000,
    },
  );
  if (code !== 0) throw new Error(`kleis-broker rbac: ${stderr}`);
  for (const manifest of (JSON.parse(stdout) as { items: readonly Manifest[] }).items) {
    const { apiVersion, kind, metadata } = manifest;
    const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const place = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
    const plural = `${kind.toLowerCase()}s`.replace(/ys$/, 'ies');
    await cluster.request('POST', `${root}${place}/${plural}`, manifest);
  }
}

async function mintAsAdmin(cluster: Cluster): Promise<string> {
  const path = '/api/v1/namespaces/kleis-system/serviceaccounts/kleis-broker/token';
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 86_400 } };
  const { status } = (await cluster.request('POST', path, body)) as unknown as { status: { token: string } };
  return status.token;
}
