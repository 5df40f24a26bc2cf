import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { exchangeForm, request } from '../broker/routes/world.ts';
import { chart } from '../broker/deploy/helm.ts';
import { makeKey, sign, startIssuer } from '../broker/issuers/fixture.ts';
import { built } from '../support/built.ts';
import { createAuthority } from '../support/certificates.ts';
import { type Cluster, type ClusterOptions, startCluster } from '../support/cluster.ts';
import { createPerson, type Person } from '../support/kleis.ts';
import { type PodOptions, type RunningPod, runPod } from '../support/kubelet.ts';
import { freePorts } from '../support/processes.ts';
import { run, type RunResult } from '../support/run.ts';
import { findTool } from '../support/tools.ts';

type Json = Readonly<Record<string, unknown>>;

/** An empty cluster, an issuer of job tokens, and where a broker will be reached. */
export interface ChartWorld {
  readonly cluster: Cluster;
  readonly folder: string;
  /** Of the broker; a job's tokens are for it. */
  readonly url: string;
  /** PEM: vouches for issuer and broker. */
  readonly ca: string;
  readonly certificate: { readonly cert: string; readonly key: string };
  /** The parts of a configuration that are the same in every test, for grants with these names. */
  config(grants: readonly string[]): Json;
  /** Values of the chart, written to a file; gives its path. */
  values(name: string, values: Json): Promise<string>;
  helm(...args: string[]): Promise<RunResult>;
  kubectl(...args: string[]): Promise<RunResult>;
  /** The broker of the Deployment, as a kubelet runs it, at `url`. */
  runBroker(options?: Partial<PodOptions>): Promise<RunningPod>;
  issue(claims?: Json): Promise<string>;
  /** Status, and the error's code if there is one. */
  exchange(token: string, grant: string): Promise<{ readonly status: number; readonly text: string }>;
  /** A job of GitLab CI in which kleis and kubectl are. */
  job(token: string): Promise<(program: string, ...args: string[]) => Promise<RunResult>>;
  stop(): Promise<void>;
}

export async function startChartWorld(options: ClusterOptions): Promise<ChartWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-chart-world-'));
  const authority = await createAuthority();
  const certificate = await authority.issueServer(['127.0.0.1']);
  const key = await makeKey('k1');
  const issuer = await startIssuer([key], { tls: certificate });
  const [port = 0] = await freePorts(1);
  const url = `https://127.0.0.1:${port}`;
  const people: Person[] = [];
  let cluster: Cluster;
  try {
    cluster = await startCluster(options);
  } catch (error) {
    await issuer.stop();
    throw error;
  }
  const env = { HOME: folder, PATH: '/usr/bin:/bin', KUBECONFIG: cluster.adminKubeconfig };
  const kubectl = findTool('kubectl-new') ?? 'kubectl';
  return {
    cluster,
    folder,
    url,
    ca: authority.cert,
    certificate,
    config: (grants) => ({
      publicUrl: url,
      issuers: { gitlab: { url: issuer.url, audience: url, certificateAuthority: 'ca.pem', singleUse: true } },
      clusters: {
        prod: { server: cluster.server, credentials: { inCluster: true }, audiences: [cluster.server] },
      },
      grants: Object.fromEntries(
        grants.map((name) => [
          name,
          {
            issuer: 'gitlab',
            where: { project_id: '7' },
            cluster: 'prod',
            serviceAccount: name,
            access: [{ namespace: 'default', clusterRole: 'view' }],
          },
        ]),
      ),
    }),
    async values(name, values) {
      const file = join(folder, name);
      await writeFile(file, JSON.stringify(values));
      return file;
    },
    helm: async (...args) =>
      run(findTool('helm')!, args, { env: { ...env, HELM_CACHE_HOME: folder }, cwd: dirname(chart), timeout: 60_000 }),
    kubectl: async (...args) => run(kubectl, args, { env, cwd: folder, timeout: 60_000 }),
    runBroker: async (more = {}) =>
      runPod(cluster, {
        namespace: 'kleis-system',
        deployment: 'kleis-broker',
        reach: [Number(new URL(issuer.url).port)],
        expose: { https: port },
        ...more,
      }),
    issue: async (claims = {}) =>
      sign(issuer, { jti: randomUUID(), aud: url, project_id: '7', ...claims }, { key, now: Date.now() }),
    async exchange(token, grant) {
      const body = exchangeForm(token, { scope: grant });
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      const { status, text } = await request(`${url}/token`, { method: 'POST', headers, body }, authority.cert);
      return { status, text };
    },
    async job(token) {
      const person = await createPerson({ ...(await built()), providerCa: authority.cert });
      people.push(person);
      const job = {
        ...{ CI: 'true', GITLAB_CI: 'true', CI_JOB_ID: '1', CI_SERVER_URL: issuer.url, KLEIS_ID_TOKEN: token },
        SSL_CERT_FILE: person.providerCaFile,
        PATH: `${person.env['PATH']}:${dirname(kubectl)}`,
      };
      return async (program, ...args) => person.run(program, args, { env: job, timeout: 60_000 });
    },
    async stop() {
      for (const person of people) await person.remove();
      await cluster.stop();
      await issuer.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
