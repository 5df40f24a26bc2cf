import type { CommandOptions, Outcome } from './commands.ts';
import { withoutKubectl } from './client-alone.ts';
import type { Home, Kubectl } from './home.ts';
import type { Screen } from './screen.ts';

/** What talks to the API server: kubectl or, on a machine without one, the demo itself with what Kleis gives it. */
export interface Client {
  /** Its name, for sentences. */
  readonly name: string;
  /** Shows the command and what it prints. */
  namespaces(context?: string): Promise<Outcome>;
  /** Shows who the API server says we are, and gives the name. */
  whoami(): Promise<string>;
  /** As many at once; shows one line. Gives how many of them succeeded. */
  manyAtOnce(count: number): Promise<number>;
  /** Shows the command and what it prints, whatever comes of it. The file is in the home and holds one ConfigMap, as JSON. */
  apply(file: string, namespace: string): Promise<Outcome>;
  /** The same for reading, with a kubeconfig of the home that holds a token. */
  configMaps(kubeconfig: string, namespace: string): Promise<Outcome>;
}

export interface ClientOptions {
  readonly home: Home;
  readonly screen: Screen;
  /** Milliseconds for one command. */
  readonly limit: number;
}

export function createClient({ kubectl, ...options }: ClientOptions & { kubectl: Kubectl | undefined }): Client {
  return kubectl ? withKubectl(kubectl.program, options) : withoutKubectl(options);
}

function withKubectl(program: string, { home, screen, limit }: ClientOptions): Client {
  const { commands } = home;
  const options: CommandOptions = { onOutput: screen.output, limit };
  const kubectl = (...args: readonly string[]) => {
    screen.command(['kubectl', ...args]);
    return commands.run([program, ...args], options);
  };
  return {
    name: 'kubectl',
    namespaces: (context) => kubectl('get', 'ns', ...(context === undefined ? [] : ['--context', context])),
    async whoami() {
      const { stdout } = await kubectl('auth', 'whoami');
      return /^Username +(.+)$/m.exec(stdout)?.[1] ?? '';
    },
    async manyAtOnce(count) {
      screen.command(`for i in $(seq ${count}); do kubectl get ns & done; wait`);
      const all = Array.from({ length: count }, () => commands.run([program, 'get', 'ns', '-o', 'name']));
      return (await Promise.all(all)).filter(({ code, stdout }) => code === 0 && stdout.includes('namespace/')).length;
    },
    apply: (file, namespace) => kubectl('apply', '-f', file, '-n', namespace),
    configMaps: (kubeconfig, namespace) => kubectl('--kubeconfig', kubeconfig, 'get', 'configmaps', '-n', namespace),
  };
}
