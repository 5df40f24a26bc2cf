import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import { type ClusterOptions, startCluster } from '../../../test/support/cluster.ts';
import { findTool } from '../../../test/support/tools.ts';
import type { Part } from './part.ts';
import { pushCheck } from './push-check.ts';
import { packTar } from './tar.ts';
import { done, inTemporary } from './temporary.ts';

const name = 'kleis-broker';
const source = `broker/deploy/helm/${name}`;
const file = `${name}-${packageJson.version}.tgz`;

const lacks = () => (findTool('helm') === undefined ? 'helm on PATH' : undefined);

export const chartPart: Part = {
  name: 'chart',
  make: async (into) => [await makeChart(into)],
  checks: [
    { says: 'helm lints it, and shows its version', lacks, run: (folder) => done(() => checkLint(join(folder, file))) },
    {
      says: 'a wrong value is refused with its path',
      lacks,
      run: (folder) => done(() => checkRefusal(join(folder, file))),
    },
    ...(['1.36', '1.30'] as const).map((kind) => ({
      says: `an empty cluster of ${kind} takes everything that it makes`,
      lacks: () => lacks() ?? lacksServer(kind),
      run: async (folder: string) => checkApplied(join(folder, file), kind),
    })),
    pushCheck,
  ],
};

const lacksServer = (kind: '1.36' | '1.30') =>
  findTool(kind === '1.30' ? 'kube-1.30' : 'kube') === undefined ? 'the servers in KUBEBUILDER_ASSETS' : undefined;

/** Not by `helm package`, which writes the time of day into it. */
async function makeChart(into: string): Promise<string> {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', source], {
    encoding: 'utf8',
  });
  const files = listed
    .split('\0')
    .filter((path) => path !== '')
    .map((path) => path.replace(/^broker\/deploy\/helm\//, ''))
    .toSorted();
  await packTar(resolve(into, file), 'broker/deploy/helm', files, ['--mode=u=rw,go=r']);
  return file;
}

/** As somebody begins: one cluster, one issuer, one grant. */
const values = {
  config: {
    publicUrl: 'https://kleis.example.com',
    issuers: {
      github: {
        url: 'https://token.actions.githubusercontent.com',
        audience: 'https://kleis.example.com',
        singleUse: true,
      },
    },
    clusters: {
      prod: {
        server: 'https://prod.example.com:6443',
        credentials: { inCluster: true },
        audiences: ['https://kubernetes.default.svc.cluster.local'],
      },
    },
    grants: {
      'deploy-web': {
        issuer: 'github',
        where: { repository_id: '1', environment: 'production', event_name: 'push' },
        cluster: 'prod',
        serviceAccount: 'deploy-web',
        access: [{ namespace: 'web', role: 'deployer' }],
      },
    },
  },
  certificate: { secretName: 'kleis-tls' },
};

const helm = (...args: readonly string[]) =>
  execFileSync(findTool('helm') ?? 'helm', args, { encoding: 'utf8', stdio: 'pipe', maxBuffer: 2 ** 26 });

/** Without a cluster helm goes by the one that it was built with. */
const of = (kind: string) => ['--kube-version', `${kind}.0`];

function withValues<T>(given: object, use: (path: string, folder: string) => T): T {
  return inTemporary('chart', (folder) => {
    const path = join(folder, 'values.yaml');
    writeFileSync(path, stringify(given));
    return use(path, folder);
  });
}

function checkLint(chart: string): void {
  withValues(values, (path) => helm('lint', '--strict', '--values', path, chart));
  const shown = helm('show', 'chart', chart);
  for (const field of ['version', 'appVersion']) {
    if (!shown.includes(`\n${field}: ${packageJson.version}\n`)) throw new Error(`${field} is another:\n${shown}`);
  }
}

function checkRefusal(chart: string): void {
  const wrong = { ...values, config: { ...values.config, grant: {} } };
  withValues(wrong, (path) => {
    let said = '';
    try {
      helm('template', 'kleis', chart, ...of('1.36'), '--values', path);
    } catch (error) {
      said = String((error as { readonly stderr?: string }).stderr);
    }
    if (!/config.*grant/s.test(said)) throw new Error(`helm says of an unknown setting: ${said || 'nothing'}`);
  });
}

interface KubeObject {
  readonly kind: string;
}

/** By a server-side dry run of all, which needs the namespaces to be there; and then for good. */
async function checkApplied(chart: string, kind: ClusterOptions['kind']): Promise<void> {
  const text = withValues(values, (path) =>
    helm('template', 'kleis', resolve(chart), ...of(kind), '--namespace', 'kleis', '--values', path),
  );
  const objects = parseAllDocuments(text).map((document) => document.toJS() as KubeObject | null);
  const namespaces = objects.filter((object) => object?.kind === 'Namespace');
  const cluster = await startCluster({ kind });
  try {
    const kubectl = (input: string, ...args: readonly string[]) =>
      execFileSync(
        findTool('kubectl-new') ?? findTool('kubectl') ?? 'kubectl',
        ['--kubeconfig', cluster.adminKubeconfig, ...args, '--filename', '-'],
        { input, encoding: 'utf8', stdio: 'pipe', env: { HOME: '/tmp', PATH: '/usr/bin:/bin' } },
      );
    const others = ['kleis', 'web'].map((each) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: each } }));
    kubectl([...namespaces, ...others].map((object) => stringify(object)).join('---\n'), 'apply');
    kubectl(text, 'apply', '--dry-run=server', '--validate=strict');
    kubectl(text, 'apply', '--validate=strict');
  } finally {
    await cluster.stop();
  }
}
