import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { createAuthority, type KeyPair } from './certificates.ts';
import { peoplesRole, type AuditEvent, type Cluster, type ClusterOidc, type ClusterOptions } from './cluster.ts';
import { freePorts, startServer, untilReady, type Server } from './processes.ts';
import type { KubeObject } from './stand-in/store.ts';
import { findTool } from './tools.ts';

interface Files {
  readonly folder: string;
  /** Writes a file of the cluster's folder, readable for us alone, and gives its path. */
  write(name: string, text: string): Promise<string>;
}

const controllers = [
  'namespace-controller',
  'serviceaccount-controller',
  'serviceaccount-token-controller',
  'legacy-serviceaccount-token-cleaner-controller',
  'garbage-collector-controller',
  'root-ca-certificate-publisher-controller',
  'clusterrole-aggregation-controller',
];

const ofWorkloads = [
  'deployment-controller',
  'replicaset-controller',
  'endpointslice-controller',
  'disruption-controller',
  'resourcequota-controller',
];

/** etcd and kube-apiserver (and the controllers, if asked for) on loopback with a throw-away state, in about 3 s. */
export async function startRealCluster(options: ClusterOptions): Promise<Cluster> {
  // The ports were free a moment ago; the rare other process that took one must not fail a test.
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(options);
    } catch (error) {
      if (attempt === 3 || !/address already in use/.test(String(error))) throw error;
    }
  }
}

async function start({
  kind,
  oidc,
  controllers: withControllers = false,
  workloads = false,
  issuer,
  signingKey,
  flags: more = [],
}: ClusterOptions): Promise<Cluster> {
  const bin = findTool(withControllers ? 'kube-controllers' : kind === '1.30' ? 'kube-1.30' : 'kube');
  if (bin === undefined) throw new Error(`there is no kube-apiserver ${kind} here`);
  const folder = await mkdtemp(join(tmpdir(), 'kleis-cluster-'));
  const files: Files = {
    folder,
    async write(name, text) {
      await writeFile(join(folder, name), text, { mode: 0o600 });
      return join(folder, name);
    },
  };
  const started: Server[] = [];
  const stop = async () => {
    for (const server of started.toReversed()) await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const [apiPort = 0, etcdPort = 0, peerPort = 0, controllerPort = 0] = await freePorts(4);
    const server = `https://127.0.0.1:${apiPort}`;
    const etcdUrl = `http://127.0.0.1:${etcdPort}`;
    const pki = await writePki(files, signingKey);
    const adminKubeconfig = await files.write('admin.kubeconfig', kubeconfig(server, pki.ca, pki.admin));

    const run = (name: string, program: string, flags: readonly string[]) => {
      const process = startServer(name, [program, ...flags], join(folder, `${name}.log`));
      started.push(process);
      return process;
    };
    run('etcd', join(bin, 'etcd'), etcdFlags(folder, etcdUrl, `http://127.0.0.1:${peerPort}`));
    const flags = [
      ...apiServerFlags(folder, server, apiPort, etcdUrl, issuer),
      ...(withControllers ? [] : ['--disable-admission-plugins=ServiceAccount']),
      ...(oidc ? await oidcFlags(oidc, kind, files) : []),
      ...more,
    ];
    const program = join(bin, kind === '1.30' ? '1.30/kube-apiserver' : 'kube-apiserver');
    let apiServer = run('kube-apiserver', program, flags);
    const dispatcher = new Agent({ connect: { ca: pki.ca, ...pki.admin }, keepAliveTimeout: 1000 });
    await untilReady(apiServer, async () => {
      const failure = started[0]?.failure();
      if (failure !== undefined) throw new Error(failure);
      return isOk(`${server}/readyz`, dispatcher);
    });
    if (withControllers) {
      const config = await files.write('controllers.kubeconfig', kubeconfig(server, pki.ca, pki.controllers));
      const manager = run('kube-controller-manager', join(bin, 'kube-controller-manager'), [
        ...controllerFlags(folder, config, controllerPort),
        `--controllers=${[...controllers, ...(workloads ? ofWorkloads : [])].join(',')}`,
      ]);
      await untilReady(manager, () => isOk(`https://127.0.0.1:${controllerPort}/healthz`, dispatcher));
    }
    const request = requester(server, dispatcher);
    if (oidc) await admitPeople(request, oidc);
    return {
      kind,
      server,
      etcd: etcdUrl,
      caPem: pki.ca,
      caFile: join(folder, 'ca.crt'),
      adminKubeconfig,
      request,
      audit: () => readAudit(join(folder, 'audit.log')),
      async restart() {
        await apiServer.stop();
        apiServer = run('kube-apiserver', program, flags);
      },
      async stop() {
        await dispatcher.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Pki {
  readonly ca: string;
  readonly admin: KeyPair;
  readonly controllers: KeyPair;
}

async function writePki(files: Files, signingKey = newKey()): Promise<Pki> {
  const authority = await createAuthority();
  const [serving, admin, manager] = await Promise.all([
    authority.issueServer(['127.0.0.1', '::1', '10.0.0.1', 'localhost', 'kubernetes.default.svc']),
    authority.issueClient('admin', ['system:masters']),
    authority.issueClient('system:kube-controller-manager'),
  ]);
  await Promise.all([
    files.write('ca.crt', authority.cert),
    files.write('serving.crt', serving.cert),
    files.write('serving.key', serving.key),
    files.write('sa.key', signingKey),
    files.write(
      'audit-policy.yaml',
      JSON.stringify({
        apiVersion: 'audit.k8s.io/v1',
        kind: 'Policy',
        omitStages: ['RequestReceived'],
        rules: [{ level: 'Metadata' }],
      }),
    ),
    mkdir(join(files.folder, 'certs')),
  ]);
  return { ca: authority.cert, admin, controllers: manager };
}

function newKey(): string {
  return generateKeyPairSync('rsa', { modulusLength: 2048 })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
}

function etcdFlags(folder: string, url: string, peerUrl: string): string[] {
  return [
    '--name=test',
    `--data-dir=${folder}/etcd`,
    '--unsafe-no-fsync',
    '--log-level=warn',
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=test=${peerUrl}`,
  ];
}

function apiServerFlags(folder: string, server: string, port: number, etcdUrl: string, issuer = server): string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    '--endpoint-reconciler-type=none',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--authorization-mode=RBAC',
    `--client-ca-file=${folder}/ca.crt`,
    `--tls-cert-file=${folder}/serving.crt`,
    `--tls-private-key-file=${folder}/serving.key`,
    `--service-account-issuer=${issuer}`,
    `--api-audiences=${server}`,
    `--service-account-signing-key-file=${folder}/sa.key`,
    `--service-account-key-file=${folder}/sa.key`,
    '--service-account-max-token-expiration=24h',
    `--cert-dir=${folder}/certs`,
    `--audit-policy-file=${folder}/audit-policy.yaml`,
    `--audit-log-path=${folder}/audit.log`,
  ];
}

function controllerFlags(folder: string, config: string, port: number): string[] {
  return [
    `--kubeconfig=${config}`,
    `--authentication-kubeconfig=${config}`,
    `--authorization-kubeconfig=${config}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--tls-cert-file=${folder}/serving.crt`,
    `--tls-private-key-file=${folder}/serving.key`,
    '--leader-elect=false',
    '--use-service-account-credentials',
    `--service-account-private-key-file=${folder}/sa.key`,
    `--root-ca-file=${folder}/ca.crt`,
  ];
}

async function oidcFlags(oidc: ClusterOidc, kind: Cluster['kind'], files: Files): Promise<string[]> {
  const { issuerUrl, clientId, caPem, how = 'flags', usernameClaim = 'sub', prefix = 'oidc:' } = oidc;
  if (how === 'flags') {
    return [
      `--oidc-issuer-url=${issuerUrl}`,
      `--oidc-client-id=${clientId}`,
      `--oidc-ca-file=${await files.write('oidc-ca.crt', caPem)}`,
      `--oidc-username-claim=${usernameClaim}`,
      `--oidc-username-prefix=${prefix}`,
      '--oidc-groups-claim=groups',
      `--oidc-groups-prefix=${prefix}`,
    ];
  }
  const configuration = {
    // `v1` came with 1.34; the fields are the same.
    apiVersion: kind === '1.30' ? 'apiserver.config.k8s.io/v1beta1' : 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: { url: issuerUrl, audiences: [clientId], certificateAuthority: caPem },
        claimMappings: {
          username: { claim: usernameClaim, prefix },
          groups: { claim: 'groups', prefix },
        },
      },
    ],
  };
  return [`--authentication-config=${await files.write('authentication.yaml', JSON.stringify(configuration))}`];
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

/** JSON is YAML, and needs no quoting of our own. */
function kubeconfig(server: string, ca: string, { cert, key }: KeyPair): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority-data': base64(ca) } }],
    users: [{ name: 'admin', user: { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
  });
}

async function isOk(url: string, dispatcher: Agent): Promise<boolean> {
  try {
    const response = await fetch(url, { dispatcher, signal: AbortSignal.timeout(2000) });
    return (await response.text()) === 'ok';
  } catch {
    return false;
  }
}

function requester(server: string, dispatcher: Agent): Cluster['request'] {
  return async (method, path, body) => {
    const response = await fetch(`${server}${path}`, {
      method,
      dispatcher,
      headers: { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as KubeObject;
  };
}

async function admitPeople(request: Cluster['request'], oidc: ClusterOidc): Promise<void> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  await request('POST', `${rbac}/clusterroles`, peoplesRole);
  await request('POST', `${rbac}/clusterrolebindings`, {
    apiVersion: peoplesRole.apiVersion,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'people' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: peoplesRole.metadata.name },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: `${oidc.prefix ?? 'oidc:'}developers` }],
  });
}

async function readAudit(file: string): Promise<AuditEvent[]> {
  if (!existsSync(file)) return [];
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines
    .filter((line) => line.endsWith('}'))
    .map((line) => {
      const event = JSON.parse(line) as {
        verb: string;
        requestURI: string;
        user?: { username?: string; extra?: Readonly<Record<string, readonly string[]>> };
        annotations?: Readonly<Record<string, string>>;
        responseStatus?: { code?: number };
      };
      return {
        method: event.verb,
        uri: event.requestURI,
        user: event.user?.username === 'system:anonymous' ? undefined : event.user?.username,
        status: event.responseStatus?.code ?? 0,
        credentialId: event.user?.extra?.['authentication.kubernetes.io/credential-id']?.[0],
        issuedCredentialId: event.annotations?.['authentication.kubernetes.io/issued-credential-id'],
      };
    });
}
