import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Call, Scene } from './scene.ts';

/** One request to the API server by kubectl, with a token in its kubeconfig and with each plugin. */
export function kubectlCalls(program: string, scene: Scene) {
  const { cluster } = scene;
  const call = (name: string, user: object, env = scene.kleis.cached.env): Call => {
    const kubeconfig = join(scene.person.home, `${name}.kubeconfig`);
    const data = Buffer.from(cluster.caPem).toString('base64');
    const content = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'bench',
      clusters: [{ name: 'bench', cluster: { server: cluster.server, 'certificate-authority-data': data } }],
      users: [{ name: 'bench', user }],
      contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    };
    writeFileSync(kubeconfig, JSON.stringify(content), { mode: 0o600 });
    return { command: [program, '--kubeconfig', kubeconfig, 'get', '--raw', '/api/v1/namespaces/default'], env };
  };
  const plugin = ({ command: [command, ...args] }: Call) => ({
    exec: {
      apiVersion: 'client.authentication.k8s.io/v1',
      command,
      args,
      interactiveMode: 'IfAvailable',
      provideClusterInfo: true,
    },
  });
  return {
    withToken: call('token', { token: scene.token }),
    withKleis: call('kleis', plugin(scene.kleis.cached)),
    withKubelogin: scene.kubelogin && call('kubelogin', plugin(scene.kubelogin.cached)),
  };
}
