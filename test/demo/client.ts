import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { parse } from 'yaml';
import { DemoFailure, type CommandOptions, type Outcome } from './commands.ts';
import type { Screen } from './screen.ts';
import type { Stage } from './stage.ts';

/** What talks to the API server: kubectl or, on a machine without one, the demo itself with what Kleis gives it. */
export interface Client {
  /** Shows the command and what it prints. */
  namespaces(context?: string): Promise<Outcome>;
  /** Shows who the API server says we are, and gives the name. */
  whoami(): Promise<string>;
  /** As many at once; shows one line. Gives how many of them succeeded. */
  manyAtOnce(count: number): Promise<number>;
}

export function createClient(stage: Stage, screen: Screen, patience: number): Client {
  const show: CommandOptions = { onOutput: screen.output, limit: patience };
  return stage.kubectl ? withKubectl(stage.kubectl.program, stage, screen, show) : withoutKubectl(stage, screen, show);
}

function withKubectl(program: string, { commands }: Stage, screen: Screen, options: CommandOptions): Client {
  const kubectl = (args: readonly string[]) => {
    screen.command(['kubectl', ...args]);
    return commands.run([program, ...args], options);
  };
  return {
    namespaces: (context) => kubectl(['get', 'ns', ...(context === undefined ? [] : ['--context', context])]),
    async whoami() {
      const { stdout } = await kubectl(['auth', 'whoami']);
      return /^Username +(.+)$/m.exec(stdout)?.[1] ?? '';
    },
    async manyAtOnce(count) {
      screen.command(`for i in $(seq ${count}); do kubectl get ns & done; wait`);
      const all = Array.from({ length: count }, () => commands.run([program, 'get', 'ns', '-o', 'name']));
      return (await Promise.all(all)).filter(({ code, stdout }) => code === 0 && stdout.includes('namespace/')).length;
    },
  };
}

/** What kubectl says to the plugin and does with its answer (client-go, plugin/pkg/client/auth/exec). */
function withoutKubectl(stage: Stage, screen: Screen, options: CommandOptions): Client {
  let explained = false;

  async function ask(context: string, showing: CommandOptions = {}): Promise<Outcome> {
    const { words, execInfo } = await readEntry(stage, context);
    const env = { KUBERNETES_EXEC_INFO: execInfo };
    // Asked through a shell that stays, each time another: the same client asking twice means that the server said 401.
    return stage.commands.run(['sh', '-c', '"$@"; exit $?', 'client', ...words], { ...showing, env });
  }

  async function call(context: string, method: string, path: string, body?: object): Promise<unknown> {
    const { words, server, caPem } = await readEntry(stage, context);
    if (!explained) {
      screen.aside(
        'no kubectl here: the demo runs what the kubeconfig names, with the KUBERNETES_EXEC_INFO that kubectl sets',
      );
    }
    screen.command(explained ? `${words[0]} …` : words);
    explained = true;
    const { code, stdout } = await ask(context, {
      ...options,
      onOutput: (text) => screen.output(text.replace(/("token":"[^"]{12})[^"]+/, '$1…')),
    });
    if (code !== 0) throw new DemoFailure(`kleis-credential ended with exit code ${code}`);
    const { token } = (JSON.parse(stdout) as { status: { token: string } }).status;
    screen.aside(`with this token the demo asks: ${method} ${server}${path}`);
    return request(caPem, token, method, server + path, body);
  }

  return {
    async namespaces(context = 'demo') {
      const { items } = (await call(context, 'GET', '/api/v1/namespaces')) as {
        items: { metadata: { name: string } }[];
      };
      const stdout = items.map(({ metadata }) => `namespace/${metadata.name}\n`).join('');
      screen.output(stdout);
      return { code: 0, stdout, stderr: '' };
    },
    async whoami() {
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
      const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
      const answer = (await call('demo', 'POST', path, review)) as {
        status: { userInfo: { username: string; groups: string[] } };
      };
      const { username, groups } = answer.status.userInfo;
      screen.output(`${username}, in the groups ${groups.join(', ')}\n`);
      return username;
    },
    async manyAtOnce(count) {
      const { words } = await readEntry(stage, 'demo');
      screen.command(`for i in $(seq ${count}); do ${words[0]} … & done; wait`);
      const all = await Promise.all(Array.from({ length: count }, () => ask('demo')));
      return all.filter(({ code, stdout }) => code === 0 && stdout.includes('"token"')).length;
    },
  };
}

async function request(caPem: string, token: string, method: string, url: string, body?: object): Promise<unknown> {
  const dispatcher = new Agent({ connect: { ca: caPem } });
  try {
    const response = await fetch(url, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(10_000),
    });
    const text = await response.text();
    if (!response.ok) throw new DemoFailure(`${method} ${url} is answered with ${response.status}: ${text}`);
    return JSON.parse(text);
  } finally {
    await dispatcher.close();
  }
}

interface Kubeconfig {
  readonly contexts: readonly { name: string; context: { cluster: string; user: string } }[];
  readonly clusters: readonly { name: string; cluster: { server: string; 'certificate-authority-data': string } }[];
  readonly users: readonly { name: string; user: { exec: { apiVersion: string; command: string; args: string[] } } }[];
}

export interface Entry {
  readonly words: readonly string[];
  /** KUBERNETES_EXEC_INFO, as kubectl words it. */
  readonly execInfo: string;
  readonly server: string;
  readonly caPem: string;
}

/** What a context of the kubeconfig says. */
export async function readEntry({ home }: Stage, name: string): Promise<Entry> {
  const config = parse(await readFile(join(home, '.kube/config'), 'utf8')) as Kubeconfig;
  const context = config.contexts.find((each) => each.name === name)?.context;
  const cluster = config.clusters.find((each) => each.name === context?.cluster)?.cluster;
  const exec = config.users.find((each) => each.name === context?.user)?.user.exec;
  if (cluster === undefined || exec === undefined) throw new DemoFailure(`the kubeconfig has no context ${name}`);
  const { server, 'certificate-authority-data': ca } = cluster;
  const spec = { cluster: { server, 'certificate-authority-data': ca, config: null }, interactive: false };
  return {
    words: [exec.command, ...exec.args],
    execInfo: `${JSON.stringify({ kind: 'ExecCredential', apiVersion: exec.apiVersion, spec })}\n`,
    server,
    caPem: Buffer.from(ca, 'base64').toString(),
  };
}
