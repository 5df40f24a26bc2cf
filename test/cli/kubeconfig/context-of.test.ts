import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { clusterIdentity } from '../../../cli/kubeconfig/cluster-identity.ts';
import { contextOf } from '../../../cli/kubeconfig/context-of.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-context-'));
});
afterAll(() => rm(folder, { recursive: true }));

const server = 'https://api.example.com:6443';
const kleis = { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'kleis-credential' } };

/** The context for that server, of a kubeconfig with these contexts: name, server, user. */
async function found(current: string, ...contexts: (readonly [string, string, object])[]): Promise<string | undefined> {
  const file = join(folder, 'config');
  const config = {
    'current-context': current,
    clusters: contexts.map(([name, address]) => ({ name, cluster: { server: address } })),
    users: contexts.map(([name, , user]) => ({ name, user })),
    contexts: contexts.map(([name]) => ({ name, context: { cluster: name, user: name } })),
  };
  await writeFile(file, JSON.stringify(config));
  return contextOf(clusterIdentity({ server }), { env: { KUBECONFIG: file }, platform: 'linux' });
}

it('the only context that runs Kleis for that server', async () => {
  expect(await found('other', ['prod', `${server}/`, kleis], ['other', 'https://b.example', kleis])).toBe('prod');
  expect(await found('admin', ['prod', server, kleis], ['admin', server, { token: 'x' }])).toBe('prod');
});

it('of several the current one, and where that is none of them nobody knows', async () => {
  expect(await found('two', ['one', server, kleis], ['two', server, kleis])).toBe('two');
  expect(await found('', ['one', server, kleis], ['two', server, kleis])).toBeUndefined();
});

it('none where there is no kubeconfig or none that can be read', async () => {
  const deps = { env: { KUBECONFIG: join(folder, 'none') }, platform: 'linux' } as const;
  expect(await contextOf(clusterIdentity({ server }), deps)).toBeUndefined();
  await writeFile(join(folder, 'none'), '{[');
  expect(await contextOf(clusterIdentity({ server }), deps)).toBeUndefined();
});
