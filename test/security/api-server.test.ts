import { chmod } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKubeconfigWorld, type KubeconfigWorld } from '../cli/commands/kubeconfig-world.ts';
import { createAuthority } from '../support/certificates.ts';

// An API server that means ill, or is broken: whoever asks it ends, and says what was not seen.

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}
type Answer = readonly [status: number, body: unknown] | 'never';

let world: KubeconfigWorld;
let server: Server;
let answer: (asked: Asked) => Answer | undefined;
let asked: Asked[];

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname: path } = new URL(request.url ?? '', 'https://x');
  const sent = await text(request);
  const call = { method: request.method ?? '', path, body: sent === '' ? undefined : JSON.parse(sent) };
  asked.push(call);
  const said = answer(call) ?? [404, { kind: 'Status', message: 'nothing here' }];
  if (said === 'never') return;
  response.writeHead(said[0], { 'content-type': 'application/json' }).end(JSON.stringify(said[1]));
}

beforeAll(async () => {
  const authority = await createAuthority();
  server = createServer(await authority.issueServer(['127.0.0.1']), (request, response) => {
    void respond(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  world = await createKubeconfigWorld();
  await world.write('ca.crt', authority.cert);
  const { port } = server.address() as AddressInfo;
  await world.write(
    'config',
    `clusters: [{name: prod, cluster: {server: "https://127.0.0.1:${port}", certificate-authority: ca.crt}}]
contexts: [{name: prod, context: {cluster: prod, user: me}}]
users: [{name: me, user: {token: x}}]
current-context: prod
`,
  );
  await chmod(world.at('config'), 0o600);
});
beforeEach(() => {
  asked = [];
});
afterAll(async () => {
  server?.closeAllConnections();
  server?.close();
  await world?.remove();
});

const lists = (items: Readonly<Record<string, readonly unknown[]>>) => {
  answer = ({ path }) => {
    const resource = path.split('/').at(-1) ?? '';
    if (resource === 'version') return [200, { minor: '36', gitVersion: 'v1.36.0' }];
    return /secrets|roles|rolebindings/.test(resource)
      ? [200, { kind: 'List', items: items[resource] ?? [] }]
      : undefined;
  };
};

describe('kleis doctor --cluster', () => {
  it('tells of more Secrets than a call takes arguments, and of a subject with as many bindings', async () => {
    const many = Array.from({ length: 150_000 }, (_, index) => ({ metadata: { name: `s${index}`, namespace: 'n' } }));
    const subjects = Array.from({ length: 150_000 }, () => ({ kind: 'User', name: 'eve' }));
    lists({
      secrets: many,
      clusterroles: [{ metadata: { name: 'all' }, rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }] }],
      clusterrolebindings: [{ metadata: { name: 'b' }, roleRef: { kind: 'ClusterRole', name: 'all' }, subjects }],
    });
    const { stdout, stderr } = await world.kleis(['doctor', '--cluster']);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/And 149990 more like these/);
    expect(stdout).toMatch(/User eve may do everything/);
  }, 60_000);

  it.each<[string, { name?: string; twin?: string; labels?: Record<string, string> }]>([
    ['a role with a twin that nobody can tell from it', { twin: '\u200b' }],
    ['a role with a name as long as that of another', { name: 'r'.repeat(400), twin: 'r' }],
    ['a binding that says it is Kubernetes’ own', { labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' } }],
  ])('is not deceived by %s', async (_, { name = 'helper', twin = '', labels = {} }) => {
    const everything = { apiGroups: ['*'], resources: ['*'], verbs: ['*'] };
    const roles = [
      { metadata: { name }, rules: [everything] },
      { metadata: { name: `${name}${twin}` }, rules: twin === '' ? [everything] : [] },
    ];
    const bind = (subject: object, index: number) => ({
      metadata: { name: `b${index}\u200b`, labels },
      roleRef: { kind: 'ClusterRole', name },
      subjects: [subject],
    });
    const subjects = [
      { kind: 'Group', name: 'system:authenticated' },
      { kind: 'Group', name: 'system:serviceaccounts:web' },
      { kind: 'User', name: 'system:serviceaccount:web:x' },
    ];
    lists({ clusterroles: roles, clusterrolebindings: subjects.map(bind) });
    const { code, stdout } = await world.kleis(['doctor', '--cluster']);
    expect(code).toBe(6);
    for (const subject of subjects) expect(stdout).toContain(`${subject.kind} ${subject.name} may do everything`);
    // What is not shown as it is names perhaps another.
    expect(stdout).toContain('delete clusterrolebinding NAME');
    expect(stdout).not.toMatch(/delete clusterrolebinding b\d/);
  });

  it('follows roles that all select one another', async () => {
    const everything = { apiGroups: ['*'], resources: ['*'], verbs: ['*'] };
    const clusterroles = Array.from({ length: 8000 }, (_, index) => ({
      metadata: { name: `r${index}` },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: {} }] },
      rules: index === 7999 ? [everything] : [],
    }));
    const subjects = [{ kind: 'User', name: 'eve' }];
    const binding = { metadata: { name: 'b' }, roleRef: { kind: 'ClusterRole', name: 'r0' }, subjects };
    lists({ clusterroles, clusterrolebindings: [binding] });
    const { stdout, stderr } = await world.kleis(['doctor', '--cluster']);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/User eve may do everything/);
  });
});

describe('kleis kubeconfig service-account --never-expires', () => {
  const secrets = '/api/v1/namespaces/web/secrets';
  const command = 'kubeconfig service-account --namespace web --name tool --never-expires --yes'.split(' ');

  it.each([
    ['while the Secret is made', 'POST'],
    ['while its token is waited for', 'GET'],
  ])('that is stopped %s leaves no token behind, or says that it does', async (_, when) => {
    for (const removes of [true, false]) {
      const stop = new AbortController();
      asked = [];
      let made = '';
      answer = ({ method, path, body }) => {
        if (method === 'DELETE') return removes ? [200, {}] : [403, {}];
        if (path.endsWith('/serviceaccounts/tool')) return [200, {}];
        if (!path.startsWith(secrets)) return undefined;
        if (method === 'POST') made = (body as { metadata: { name: string } }).metadata.name;
        if (method === when) stop.abort();
        return method === when ? 'never' : [201, { metadata: { name: made } }];
      };
      const { stderr } = await world.kleis(command, { signal: stop.signal });
      expect(asked.at(-1)).toMatchObject({ method: 'DELETE', path: `${secrets}/${made}` });
      expect(made).toMatch(/^tool-token-[0-9a-f]{10}$/);
      expect(stderr).toContain(
        removes ? `Removed the Secret web/${made}` : `remove it yourself, kubectl -n web delete secret ${made}`,
      );
    }
  });
});
