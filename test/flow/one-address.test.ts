import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { type AppWorld, startAppWorld } from '../broker/routes/world.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { run } from '../support/run.ts';
import { built } from '../support/built.ts';
import { converse } from '../support/converse.ts';
import { startSsoBroker } from './sso-broker.ts';
import { createWorld, said, type World } from './world.ts';

const kubectl = needs('kubectl-new') ?? needs('kubectl');

const access = [{ namespace: 'web', role: 'deployer' }];
const mine = {
  issuer: 'sso',
  where: { groups: { contains: 'developers' } },
  cluster: 'prod',
  serviceAccount: 'deploy-web',
  access,
};
const theirs = { ...mine, where: { groups: { contains: 'admins' } } };

let world: World;
let app: AppWorld;
let url: string;

async function startBroker(grants: Record<string, unknown>): Promise<void> {
  const others = (audience: string) => ({ github: { url: 'https://token.actions.githubusercontent.com', audience } });
  ({ url } = await startSsoBroker({ world, app }, { grants, others }));
}

beforeAll(async () => {
  world = await createWorld();
  app = await startAppWorld();
});
afterEach(() => world.removePeople());
afterAll(async () => {
  await app?.stop();
  await world?.end();
});

const add = async (person: Person, ...args: string[]) =>
  person.run('kleis', ['kubeconfig', 'add', '--from', url, ...args], { timeout: 60_000 });
const contextsOf = async (person: Person): Promise<string[]> =>
  parse(await readFile(person.kubeconfig, 'utf8')).contexts.map(({ name }: { name: string }) => name);

describe('one address is enough, with a broker', () => {
  it('signs in once and writes exactly what is the caller’s; kubectl then works without another question', async () => {
    await startBroker({ view: mine, deploy: mine, secret: theirs });
    const person = await world.person();
    expect(said(await add(person, '--yes'))).toMatchObject({ code: 0, stdout: '' });
    expect(await contextsOf(person)).toEqual(['prod-view', 'prod-deploy']);
    expect(await person.windows()).toHaveLength(1);
    const text = await readFile(person.kubeconfig, 'utf8');
    expect(text).not.toContain('secret');
    // The one namespace that the grants are about: kubectl needs no -n.
    expect(parse(text).contexts[0].context).toEqual({ cluster: 'prod', user: 'kleis-view', namespace: 'web' });
    // The entry works on another machine: no path of this one is in it.
    expect(text).not.toContain(app.folder);

    if (kubectl === undefined) return;
    const whoami = await person.run(kubectl, ['--context', 'prod-view', 'auth', 'whoami', '-o', 'json']);
    expect(said(whoami)).toMatchObject({ code: 0 });
    expect(whoami.stdout).toContain('system:serviceaccount:kleis-identities:deploy-web');
    expect(await person.windows()).toHaveLength(1);
  });

  it.skipIf(!needs('script'))(
    'by questions too: the address, a y to the sign-in, which grant, a y to what is shown',
    async () => {
      await startBroker({ view: mine, deploy: mine });
      const person = await world.person();
      const running = person.start('kleis', ['init'], { tty: true, timeout: 60_000 });
      await converse(running, [
        [/That address .*: $/, url],
        [/Let \S+ have your sign-in at .*\? \[y\/N\] $/, 'y'],
        [/1 {2}all .*\n +2 {2}prod-view .*\n +3 {2}prod-deploy .*\nWhich one \[all\]: $/, '2'],
        [
          /identity +The API server sees\s+system:serviceaccount:kleis-identities:deploy-web[^]*Write it\? \[y\/N\] $/,
          'y',
        ],
      ]);
      expect(said(await running.done)).toMatchObject({ code: 0 });
      expect(await contextsOf(person)).toEqual(['prod-view']);
      expect(await person.windows()).toHaveLength(1);
    },
  );

  it('an entry of a cloud becomes one of the broker’s, which has the same cluster', async () => {
    const person = await world.person();
    await add(person, '--grant', 'view', '--yes');
    const { clusters } = parse(await readFile(person.kubeconfig, 'utf8')) as { clusters: unknown[] };
    const aws = { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'aws', args: ['eks', 'get-token'] } };
    const contexts = [{ name: 'eks', context: { cluster: 'prod', user: 'eks' } }];
    await writeFile(person.kubeconfig, stringify({ clusters, contexts, users: [{ name: 'eks', user: aws }] }));
    const migrate = ['kubeconfig', 'migrate', 'eks', '--from', url, '--yes'];
    const several = await person.run('kleis', migrate);
    expect(said(several)).toMatchObject({ code: 6, stderr: expect.stringMatching(/several grants.*view, deploy/) });
    expect(said(await person.run('kleis', [...migrate, '--grant', 'deploy']))).toMatchObject({ code: 0, stdout: '' });
    const text = await readFile(person.kubeconfig, 'utf8');
    expect(text).toContain('--grant=deploy');
    if (kubectl === undefined) return;
    const whoami = await person.run(kubectl, ['--context', 'eks', 'auth', 'whoami', '-o', 'json']);
    expect(said(whoami)).toMatchObject({ code: 0 });
    expect(whoami.stdout).toContain('system:serviceaccount:kleis-identities:deploy-web');
    expect(await person.windows()).toHaveLength(1);
  });

  it('is the same a second time: nothing changes, and nobody signs in', async () => {
    const person = await world.person();
    await add(person, '--yes');
    const before = await readFile(person.kubeconfig, 'utf8');
    const again = await add(person);
    expect(said(again)).toMatchObject({ code: 0, stderr: expect.stringContaining('Nothing to change') });
    expect(await readFile(person.kubeconfig, 'utf8')).toBe(before);
    expect(await person.windows()).toHaveLength(1);
  });

  it('asks before an address gets the sign-in; where nobody can be asked it gets none', async () => {
    const person = await world.person();
    const { code, stderr } = await add(person);
    expect(code).toBe(2);
    expect(stderr).toContain(`${url} would get your sign-in at ${world.provider.issuer}`);
    expect(await person.windows()).toEqual([]);
    await expect(readFile(person.kubeconfig, 'utf8')).rejects.toThrow('ENOENT');
  });

  it('with a cluster and a grant writes one context, under the name that is given', async () => {
    const person = await world.person();
    expect(said(await add(person, 'mine', '--grant', 'view', '--yes', '--namespace', 'mine'))).toMatchObject({
      code: 0,
    });
    const { contexts } = parse(await readFile(person.kubeconfig, 'utf8'));
    expect(contexts).toEqual([{ name: 'mine', context: { cluster: 'prod', user: 'kleis-view', namespace: 'mine' } }]);
  });

  it('a name, or --current, for several contexts is refused, with what there is', async () => {
    const person = await world.person();
    for (const args of [['mine'], ['--current']]) {
      const { code, stderr } = await add(person, '--yes', ...args);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/there are 2\.\n.*prod/) });
    }
  });

  it('whoever has no grant is told so and nothing is written', async () => {
    await startBroker({ secret: theirs });
    const person = await world.person();
    const { code, stderr } = await add(person, '--yes');
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining(`${url} has no grant for alice`) });
    await expect(readFile(person.kubeconfig, 'utf8')).rejects.toThrow('ENOENT');
  });

  it.each([
    ['--server', 'https://other.example.com'],
    ['--broker', 'https://other.example.com'],
    ['--user', 'me'],
  ])('%s beside --from is refused: two things would say it', async (flag, value) => {
    const person = await world.person();
    const { code, stderr } = await add(person, flag, value);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(`${flag} is what the address`) });
  });
});

describe('one address is enough, without a broker', () => {
  it('the document that well-known prints gives a context for each cluster', async () => {
    const { dist } = await built();
    const admin = parse(await readFile(app.state.cluster.adminKubeconfig, 'utf8'));
    const context = admin['current-context'] as string;
    const args = ['--issuer-url', world.provider.issuer, '--client-id', 'kleis', '--scope', 'groups', 'email'];
    const ca = ['--certificate-authority', join(app.folder, 'sso.pem')];
    const cluster = ['--kubeconfig', app.state.cluster.adminKubeconfig, '--context', context];
    const printed = await run(
      process.execPath,
      [join(dist, 'kleis-broker.js'), 'well-known', ...args, ...ca, ...cluster],
      {
        env: {},
      },
    );
    expect(said(printed)).toMatchObject({ code: 0 });
    const server = await serve(() => printed.stdout);
    const person = await world.person();
    url = server.url;
    try {
      expect(said(await add(person))).toMatchObject({ code: 0 });
    } finally {
      await server.stop();
    }
    const { contexts, clusters, users } = parse(await readFile(person.kubeconfig, 'utf8'));
    expect(contexts).toEqual([{ name: context, context: { cluster: context, user: 'kleis-sso' } }]);
    expect(clusters[0].cluster.server).toBe(app.state.cluster.server);
    expect(users[0].user.exec.args.filter((each: string) => !each.includes('authority'))).toEqual([
      `--issuer-url=${world.provider.issuer}`,
      '--client-id=kleis',
      '--scope=groups',
      '--scope=email',
    ]);
  });
});

describe('an address that lies or is broken', () => {
  const cluster = { name: 'prod', server: 'https://api.example.com', issuer: 'sso' };
  const issuer = {
    name: 'sso',
    issuer: 'https://login.example.com',
    audience: 'kleis',
    sign_in: { client_id: 'kleis' },
  };
  const good = { issuers: [issuer], clusters: [cluster] };
  const control = '\u001b[2J';

  it.each<[string, unknown, RegExp]>([
    ['HTML', '<html>', /does not answer as a Kleis broker/],
    ['another broker’s document', { ...good, broker: 'https://other.example.com' }, /says that it is https:\/\/other/],
    [
      'a cluster over http',
      { ...good, clusters: [{ ...cluster, server: 'http://api.example.com' }] },
      /address of a cl/,
    ],
    [
      'a control character in a name',
      { ...good, clusters: [{ ...cluster, name: `p${control}` }] },
      /name of a cluster/,
    ],
    [
      'a line break in a server',
      { ...good, clusters: [{ ...cluster, server: 'https://a\n' }] },
      /address of a cluster/,
    ],
    [
      'an authority that is none',
      { ...good, clusters: [{ ...cluster, certificate_authority: 'x' }] },
      /authority of a cl/,
    ],
    ['a list that is none', { ...good, clusters: { prod: cluster } }, /clusters/],
    ['too many clusters', { ...good, clusters: Array.from({ length: 10_001 }, () => cluster) }, /clusters/],
    ['an issuer over http', { ...good, issuers: [{ ...issuer, issuer: 'http://login.example.com' }] }, /https/],
    ['nobody who signs in', { ...good, issuers: [{ ...issuer, sign_in: undefined }] }, /does not say how people/],
    ['no clusters', { ...good, clusters: [] }, /no cluster/],
    ['nothing', {}, /does not answer as a Kleis broker/],
  ])('%s: nothing is written, and it says why', async (_, document, why) => {
    const server = await serve(() => (typeof document === 'string' ? document : JSON.stringify(document)));
    const person = await world.person();
    url = server.url;
    try {
      const { code, stderr } = await add(person, '--yes');
      expect(code).not.toBe(0);
      expect(stderr).toMatch(why);
      expect(stderr).not.toContain('\u001b');
    } finally {
      await server.stop();
    }
    await expect(readFile(person.kubeconfig, 'utf8')).rejects.toThrow('ENOENT');
  });
});

async function serve(body: () => string): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(body());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
