import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Cluster } from '../support/cluster.ts';
import { startGitHub, type GitHub } from '../support/github.ts';
import { freePorts, startServer, untilReady } from '../support/processes.ts';
import { startProvider, type TestProvider } from '../support/provider.ts';
import { resources } from '../support/stand-in/resources.ts';
import type { KubeObject } from '../support/stand-in/store.ts';
import { createBrowser } from './browser.ts';
import { DemoFailure } from './commands.ts';
import { makeHome, type Home } from './home.ts';
import type { House } from './house.ts';

/** A `kleis-broker serve`, its cluster and those whom it trusts. */
export interface Broker {
  readonly url: string;
  /** Of Ada, who runs it: `broker.yaml`, `audit.jsonl` and the `admin.kubeconfig` of the cluster are in it. */
  readonly home: Home;
  readonly cluster: Cluster;
  readonly github: GitHub;
  /** Where people sign in, if it knows people. */
  readonly sso: TestProvider | undefined;
}

const pageClient = 'kleis-page';

const grants = `grants:
  deploy-web:
    issuer: github
    where: { repository_id: "123456", environment: production, event_name: push }
    cluster: prod
    serviceAccount: deploy-web
    access: [{ namespace: web, role: deployer }]
`;

const grantsOfPeople = `  develop:
    issuer: sso
    where: { groups: { contains: developers } }
    cluster: prod
    serviceAccount: develop
    access: [{ namespace: web, role: deployer }]
`;

/** Prepares the cluster as docs/broker.md says, and starts a broker for it: for jobs alone, or for people too. */
export async function startBroker(house: House, people: boolean): Promise<Broker> {
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const [cluster, github, sso] = await Promise.all([
    house.cluster(),
    house.keep(startGitHub(), (started) => started.stop()),
    people ? house.keep(startSso(url), (started) => started.stop()) : undefined,
  ]);
  const home = await makeHome(house, 'ada', {
    files: {
      'broker.yaml': configuration({ url, port, cluster, github, sso }),
      'cluster-ca.crt': cluster.caPem,
      'cookie.keys': `${randomBytes(32).toString('base64')}\n`,
      'admin.kubeconfig': await readFile(cluster.adminKubeconfig, 'utf8'),
    },
    ...(sso && { onBrowser: createBrowser({ house, provider: sso, login: 'ada' }) }),
  });
  await prepareCluster(cluster, home);
  await writeFile(join(home.folder, 'broker.token'), await mintAsAdmin(cluster), { mode: 0o600 });
  await serve(house, home);
  return { url, home, cluster, github, sso };
}

/** Over http, which needs nobody's trust on loopback: the reader's own browser is to go there. */
function startSso(brokerUrl: string): Promise<TestProvider> {
  const page = {
    client_id: pageClient,
    application_type: 'web',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: [`${brokerUrl}/ui/callback`],
    post_logout_redirect_uris: [`${brokerUrl}/ui/signed-out`],
  };
  const accounts = {
    ada: { name: 'Ada', groups: ['platform', 'developers'] },
    noel: { name: 'Noel', groups: [] },
  };
  return startProvider({ accounts, clients: [page] });
}

interface Parts extends Pick<Broker, 'url' | 'cluster' | 'github' | 'sso'> {
  readonly port: number;
}

function configuration({ url, port, cluster, github, sso }: Parts): string {
  const [audience, allowLoopbackHttp] = [url, true];
  const settings = {
    apiVersion: 'kleis.dev/v1',
    kind: 'BrokerConfig',
    publicUrl: url,
    listen: { address: `127.0.0.1:${port}` },
    state: { cluster: 'prod' },
    audit: { file: 'audit.jsonl' },
    ...(sso && {
      admins: [{ issuer: 'sso', claim: 'groups', value: 'platform' }],
      web: {
        issuer: 'sso',
        clientId: pageClient,
        cookieKeyFile: 'cookie.keys',
        contact: 'the platform team, which is Ada',
      },
    }),
    issuers: {
      github: { url: github.url, audience, platform: 'github', singleUse: true, allowLoopbackHttp },
      ...(sso && {
        sso: {
          url: sso.issuer,
          audience: 'kleis',
          allowLoopbackHttp,
          signIn: { scopes: ['profile', 'email', 'groups'] },
        },
      }),
    },
    clusters: {
      prod: {
        server: cluster.server,
        certificateAuthority: 'cluster-ca.crt',
        audiences: [cluster.server],
        credentials: { tokenFile: 'broker.token' },
      },
    },
  };
  return `${stringify(settings)}${grants}${sso ? grantsOfPeople : ''}`;
}

/** The namespaces of two applications, a Role in one of them, and what `kleis-broker rbac` prints. */
async function prepareCluster(cluster: Cluster, { commands }: Home): Promise<void> {
  for (const name of ['web', 'shop']) {
    // oxlint-disable-next-line no-await-in-loop -- two of them
    await cluster.request('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  const printed = await Promise.all(
    [
      ['--role', 'deployer', '--namespace', 'web'],
      ['--config', 'broker.yaml'],
    ].map((flags) => commands.run(['kleis-broker', 'rbac', ...flags, '-o', 'json'])),
  );
  for (const { code, stdout, stderr } of printed) {
    if (code !== 0) throw new DemoFailure(`kleis-broker rbac ended with exit code ${code}: ${stderr}`);
    // oxlint-disable-next-line no-await-in-loop -- in the order in which they are printed, as kubectl does
    for (const object of (JSON.parse(stdout) as { items: KubeObject[] }).items) await create(cluster, object);
  }
}

async function create(cluster: Cluster, object: KubeObject): Promise<void> {
  const { apiVersion, kind, metadata } = object;
  const plural = resources.find((resource) => resource.kind === kind)?.plural;
  if (plural === undefined) throw new DemoFailure(`the demo does not know how to make a ${kind}`);
  const root = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  await cluster.request('POST', `${root}${namespace}/${plural}`, object);
}

async function mintAsAdmin(cluster: Cluster): Promise<string> {
  const path = '/api/v1/namespaces/kleis-system/serviceaccounts/kleis-broker/token';
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  const { status } = (await cluster.request('POST', path, body)) as unknown as { status: { token: string } };
  return status.token;
}

/** A process of the built program, which ends with this one, however that ends. Resolves when it is ready. */
async function serve(house: House, { folder, env }: Home): Promise<void> {
  const log = join(folder, 'broker.log');
  const own = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const program = ['kleis-broker', 'serve', '--config', join(folder, 'broker.yaml')];
  const command = ['sh', '-c', 'cd "$HOME" && exec "$@"', 'serve', ...program];
  const server = startServer('kleis-broker', ['env', '-i', ...own, ...command], log);
  void house.keep(Promise.resolve(server), (started) => started.stop());
  await untilReady(
    server,
    async () => {
      house.interrupted.throwIfAborted();
      return (await readFile(log, 'utf8')).includes('"msg":"ready"');
    },
    30_000,
  );
}
