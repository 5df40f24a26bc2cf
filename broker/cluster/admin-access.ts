import { isObject } from '../../shared/json.ts';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { type KubeClient, openCluster } from '../../shared/kube/client.ts';
import { asText, clean } from '../../shared/text.ts';

type Mapping = Readonly<Record<string, unknown>>;

interface AdminOptions {
  readonly kubeconfig: string;
  readonly context?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
}

/**
 * A cluster as an admin reaches it. Unlike the broker's own, an admin's kubeconfig may name a program that gives the
 * credential: it runs as kubectl runs it, and what it gives is in a folder of ours until `close`.
 */
export async function openAdmin(options: AdminOptions): Promise<{ kube: KubeClient; close(): Promise<void> }> {
  const { kubeconfig, context, env, now } = options;
  const folder = await mkdtemp(join(tmpdir(), 'kleis-check-'));
  try {
    const resolved = await withCredential(kubeconfig, context, env);
    let path = kubeconfig;
    if (resolved !== undefined) {
      path = join(folder, 'kubeconfig');
      await writeFile(path, JSON.stringify(resolved), { mode: 0o600 });
    }
    const credentials =
      context === undefined || resolved !== undefined ? { kubeconfig: path } : { kubeconfig: path, context };
    const kube = openCluster({ credentials, env, now, timeout: 30_000 });
    return {
      kube,
      async close() {
        kube.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The kubeconfig with the credential in it; undefined if no program is to be run, and `shared/kube` reads the file. */
async function withCredential(
  path: string,
  contextName: string | undefined,
  env: AdminOptions['env'],
): Promise<Mapping | undefined> {
  const { parse } = await import('yaml');
  let document: Mapping;
  try {
    document = asMapping(parse(await readFile(path, 'utf8'), { logLevel: 'error' }));
  } catch {
    return undefined;
  }
  const name = contextName ?? textOf(document['current-context']);
  const context = find(document, 'contexts', 'context', name);
  const user = find(document, 'users', 'user', textOf(context['user']));
  const exec = asMapping(user['exec']);
  if (typeof exec['command'] !== 'string') return undefined;
  const cluster = absolute(find(document, 'clusters', 'cluster', textOf(context['cluster'])), path);
  const status = await runPlugin(exec, cluster, path, env);
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'admin',
    contexts: [{ name: 'admin', context: { cluster: 'admin', user: 'admin' } }],
    clusters: [{ name: 'admin', cluster }],
    users: [
      {
        name: 'admin',
        user: {
          ...(typeof status['token'] === 'string' && { token: status['token'] }),
          ...(status['clientCertificateData'] !== undefined && {
            'client-certificate-data': base64(status['clientCertificateData']),
            'client-key-data': base64(status['clientKeyData']),
          }),
        },
      },
    ],
  };
}

/** client.authentication.k8s.io/v1, the part of client-go. */
async function runPlugin(exec: Mapping, cluster: Mapping, path: string, env: AdminOptions['env']): Promise<Mapping> {
  const command = asText(exec['command']);
  const extra = Array.isArray(exec['env']) ? exec['env'].map(asMapping) : [];
  const apiVersion = textOf(exec['apiVersion']) || 'client.authentication.k8s.io/v1';
  const { 'certificate-authority': file, ...said } = cluster;
  const authority =
    typeof file === 'string' ? { 'certificate-authority-data': (await readFile(file)).toString('base64') } : {};
  const info = {
    apiVersion,
    kind: 'ExecCredential',
    spec: {
      interactive: exec['interactiveMode'] !== 'Never',
      ...(exec['provideClusterInfo'] === true && { cluster: { ...said, ...authority } }),
    },
  };
  const child = spawn(
    command.includes('/') && !isAbsolute(command) ? resolve(dirname(path), command) : command,
    Array.isArray(exec['args']) ? exec['args'].map(asText) : [],
    {
      stdio: [exec['interactiveMode'] === 'Never' ? 'ignore' : 'inherit', 'pipe', 'inherit'],
      env: {
        ...env,
        ...Object.fromEntries(extra.map((each) => [asText(each['name']), asText(each['value'])])),
        KUBERNETES_EXEC_INFO: JSON.stringify(info),
      },
    },
  );
  const fail = (why: string, cause?: unknown) =>
    new KleisError('kubeconfig_invalid', `The credential plugin ${clean(command)} ${why}.`, {
      hint: 'Try the same context with kubectl.',
      cause,
    });
  const chunks: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number | null>((done, reject) => {
    child.once('error', (error) => reject(fail('cannot be run', error)));
    child.once('close', done);
  });
  if (code !== 0) throw fail(`ended with ${code ?? 'a signal'}`);
  try {
    const status = asMapping(asMapping(JSON.parse(Buffer.concat(chunks).toString('utf8'))['status']));
    if (status['token'] !== undefined || status['clientCertificateData'] !== undefined) return status;
  } catch {
    // Without its cause, which quotes the credential.
  }
  throw fail('gave no credential');
}

function absolute(cluster: Mapping, path: string): Mapping {
  const file = cluster['certificate-authority'];
  if (typeof file !== 'string') return cluster;
  return { ...cluster, 'certificate-authority': resolve(dirname(path), file) };
}

function find(document: Mapping, section: string, key: string, name: string): Mapping {
  const list = Array.isArray(document[section]) ? (document[section] as unknown[]) : [];
  return asMapping(list.map(asMapping).find((entry) => entry['name'] === name)?.[key]);
}

function asMapping(value: unknown): Mapping {
  return isObject(value) ? value : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function base64(pem: unknown): string {
  return Buffer.from(textOf(pem)).toString('base64');
}
