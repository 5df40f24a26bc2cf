import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { request, type KubeAnswer } from './api-server.ts';
import type { Client, ClientOptions } from './client.ts';
import { DemoFailure, type CommandOptions, type Outcome } from './commands.ts';
import type { Home } from './home.ts';

/** What kubectl says to the plugin and does with its answer (client-go, plugin/pkg/client/auth/exec). */
export function withoutKubectl({ home, screen, limit }: ClientOptions): Client {
  let explained = false;

  async function ask({ words, execInfo }: Entry, showing: CommandOptions = {}): Promise<Outcome> {
    const env = { KUBERNETES_EXEC_INFO: execInfo };
    // Asked through a shell that stays, each time another: the same client asking twice means that the server said 401.
    return home.commands.run(['sh', '-c', '"$@"; exit $?', 'client', ...words], { ...showing, env });
  }

  /** With the token that the plugin gives for a context: the current one, if none is named. */
  async function call(method: string, path: string, body?: object, context?: string): Promise<KubeAnswer> {
    const entry = await readEntry(home, context);
    if (!explained) {
      screen.aside(
        'no kubectl here: the demo runs what the kubeconfig names, with the KUBERNETES_EXEC_INFO that kubectl sets',
      );
    }
    screen.command(explained ? `${entry.words[0]} …` : entry.words);
    explained = true;
    const { code, stdout } = await ask(entry, { limit, onOutput: screen.output });
    if (code !== 0) throw new DemoFailure(`kleis-credential ended with exit code ${code}`);
    const { token } = (JSON.parse(stdout) as { status: { token: string } }).status;
    screen.aside(`with this token the demo asks: ${method} ${entry.server}${path}`);
    return request(entry, token, method, path, body);
  }

  /** In the words of kubectl. */
  function tell({ status, body }: KubeAnswer, done: string): Outcome {
    const { reason = '', message = '' } = body;
    const refused = status === 401 ? 'You must be logged in to the server' : message;
    if (status < 300) screen.output(done);
    else screen.output(`Error from server (${reason}): ${refused}\n`);
    return status < 300
      ? { code: 0, stdout: done, stderr: '' }
      : { code: 1, stdout: '', stderr: `${reason}: ${refused}` };
  }

  const namesOf = ({ body }: KubeAnswer, kind: string) =>
    (body.items ?? []).map(({ metadata }) => `${kind}/${metadata.name}\n`).join('');

  return {
    name: 'the demo',
    async namespaces(context) {
      const answer = await call('GET', '/api/v1/namespaces', undefined, context);
      return tell(answer, namesOf(answer, 'namespace'));
    },
    async whoami() {
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
      const answer = await call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', review);
      const { status } = answer.body as { status?: { userInfo: { username: string; groups: string[] } } };
      const { username = '', groups = [] } = status?.userInfo ?? {};
      tell(answer, `${username}, in the groups ${groups.join(', ')}\n`);
      return username;
    },
    async manyAtOnce(count) {
      const entry = await readEntry(home);
      screen.command(`for i in $(seq ${count}); do ${entry.words[0]} … & done; wait`);
      const all = await Promise.all(Array.from({ length: count }, () => ask(entry)));
      return all.filter(({ code, stdout }) => code === 0 && stdout.includes('"token"')).length;
    },
    async apply(file, namespace) {
      const object = JSON.parse(await readFile(join(home.folder, file), 'utf8')) as { metadata: { name: string } };
      const answer = await call('POST', `/api/v1/namespaces/${namespace}/configmaps`, object);
      return tell(answer, `configmap/${object.metadata.name} created\n`);
    },
    async configMaps(kubeconfig, namespace) {
      const { token, ...server } = await readTokenEntry(home, kubeconfig);
      const path = `/api/v1/namespaces/${namespace}/configmaps`;
      screen.command(`# with the token in ${kubeconfig}: GET ${path}`);
      const answer = await request(server, token, 'GET', path);
      return tell(answer, namesOf(answer, 'configmap'));
    },
  };
}

interface Kubeconfig {
  readonly 'current-context': string;
  readonly contexts: readonly { name: string; context: { cluster: string; user: string } }[];
  readonly clusters: readonly { name: string; cluster: { server: string; 'certificate-authority-data': string } }[];
  readonly users: readonly {
    name: string;
    user: { token?: string; exec?: { apiVersion: string; command: string; args: string[] } };
  }[];
}

export interface Entry {
  readonly words: readonly string[];
  /** KUBERNETES_EXEC_INFO, as kubectl words it. */
  readonly execInfo: string;
  readonly server: string;
  readonly caPem: string;
}

/** What a context of the home's kubeconfig says: the current one, if none is named. */
export async function readEntry({ folder }: Home, context?: string): Promise<Entry> {
  const { user, server, ca } = await readContext(join(folder, '.kube/config'), context);
  if (user.exec === undefined) throw new DemoFailure('the kubeconfig names no plugin');
  const { apiVersion, command, args } = user.exec;
  const spec = { cluster: { server, 'certificate-authority-data': ca, config: null }, interactive: false };
  return {
    words: [command, ...args],
    execInfo: `${JSON.stringify({ kind: 'ExecCredential', apiVersion, spec })}\n`,
    server,
    caPem: Buffer.from(ca, 'base64').toString(),
  };
}

/** The same of a kubeconfig that holds a token. */
export async function readTokenEntry({ folder }: Home, file: string) {
  const { user, server, ca } = await readContext(join(folder, file));
  if (user.token === undefined) throw new DemoFailure(`${file} holds no token`);
  return { server, caPem: Buffer.from(ca, 'base64').toString(), token: user.token };
}

async function readContext(file: string, name?: string) {
  const config = parse(await readFile(file, 'utf8')) as Kubeconfig;
  const wanted = name ?? config['current-context'];
  const context = config.contexts.find((each) => each.name === wanted)?.context;
  const cluster = config.clusters.find((each) => each.name === context?.cluster)?.cluster;
  const user = config.users.find((each) => each.name === context?.user)?.user;
  if (cluster === undefined || user === undefined) throw new DemoFailure(`the kubeconfig has no context ${wanted}`);
  return { user, server: cluster.server, ca: cluster['certificate-authority-data'] };
}
