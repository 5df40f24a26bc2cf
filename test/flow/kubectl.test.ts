import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Cluster, ClusterOidc, ClusterOptions } from '../support/cluster.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import type { Running, RunOptions } from '../support/run.ts';
import { createWorld, said, type World } from './world.ts';

const machine = { version: "the machine's own", program: needs('kubectl') };
const newest = { version: '1.36', program: needs('kubectl-new') };

interface Setting {
  readonly title: string;
  readonly kind: ClusterOptions['kind'];
  readonly how: ClusterOidc['how'];
  readonly missing: boolean;
  readonly kubectls: readonly { version: string; program: string | undefined }[];
  /** Also the stories in which no server has a say; each kubectl plays them once. */
  readonly alone?: true;
}

const settings: readonly Setting[] = [
  {
    title: 'the stand-in',
    kind: 'stand-in',
    how: 'flags',
    missing: false,
    // With real servers, those have both.
    kubectls: needs('kube') && needs('kube-1.30') ? [machine] : [machine, newest],
    alone: true,
  },
  {
    title: 'kube-apiserver 1.36, --oidc flags',
    kind: '1.36',
    how: 'flags',
    missing: !needs('kube'),
    kubectls: [newest],
    alone: true,
  },
  {
    title: 'kube-apiserver 1.36, AuthenticationConfiguration',
    kind: '1.36',
    how: 'config',
    missing: !needs('kube'),
    kubectls: [machine],
  },
  {
    title: 'kube-apiserver 1.30, AuthenticationConfiguration',
    kind: '1.30',
    how: 'config',
    missing: !needs('kube-1.30'),
    kubectls: [machine],
  },
  {
    title: 'kube-apiserver 1.30, --oidc flags',
    kind: '1.30',
    how: 'flags',
    missing: !needs('kube-1.30'),
    kubectls: [newest],
  },
];

let world: World;
const refreshes = () => grants('refresh_token');
beforeAll(async () => {
  world = await createWorld();
});
afterEach(async () => {
  world.distrust(false);
  world.provider.lifetimes.idToken = 3600;
  await world.removePeople();
});
afterAll(() => world?.end());

for (const { title, kind, how, missing, kubectls, alone } of settings) {
  describe.skipIf(missing)(`on ${title}`, () => {
    let cluster: Cluster;
    beforeAll(async () => {
      cluster = await world.startCluster(kind, how);
    });

    for (const { version, program } of kubectls) {
      describe.skipIf(!program)(`kubectl: ${version}`, () => {
        stories(() => cluster, program ?? '');
        if (alone) storiesOfClient(() => cluster, program ?? '', version);
      });
    }
  });
}

/** People with that kubectl, and that cluster in their kubeconfig. */
function peopleOf(clusterOf: () => Cluster, program: string) {
  /** Somebody whose kubeconfig names the cluster, who has not signed in yet. */
  const newcomer = async (config?: Readonly<Record<string, unknown>>): Promise<Person> => {
    const person = await world.person(config);
    await person.addContext('test', clusterOf(), [...world.flags, '--certificate-authority', person.providerCaFile]);
    return person;
  };
  const kubectl = async (person: Person, args: readonly string[], options: Partial<RunOptions> = {}) =>
    person.run(program, args, options);
  return { newcomer, kubectl };
}

function stories(clusterOf: () => Cluster, program: string): void {
  const { newcomer, kubectl } = peopleOf(clusterOf, program);

  it('the first command signs in through the browser, the next is answered without starting Node', async () => {
    const person = await newcomer();
    // The entry has the authority itself: it works on another machine too.
    await rm(person.providerCaFile);
    const first = await kubectl(person, ['get', 'ns']);
    expect(said(first)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^NAME +STATUS +AGE\ndefault +Active/),
    });
    expect(await person.windows()).toHaveLength(1);

    const [nodes, requests] = [await person.nodeStarts(), world.provider.seen.length];
    const second = await kubectl(person, ['get', 'ns', '-o', 'name']);
    expect(said(second)).toEqual({ code: 0, stdout: expect.stringContaining('namespace/default\n'), stderr: '' });
    expect(await person.nodeStarts()).toBe(nodes);
    expect(world.provider.seen).toHaveLength(requests);
  });

  it('apply -f - signs in although stdin is taken; whoami and can-i show who the cluster sees', async () => {
    const person = await newcomer();
    const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `of-${Date.now()}` }, data: { a: '1' } };
    const applied = await kubectl(person, ['apply', '-f', '-'], { stdin: JSON.stringify(manifest) });
    expect(said(applied)).toMatchObject({ code: 0, stdout: `configmap/${manifest.metadata.name} created\n` });
    const whoami = await kubectl(person, ['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}']);
    expect(said(whoami)).toEqual({ code: 0, stdout: 'oidc:alice@example.com', stderr: '' });
    expect(said(await kubectl(person, ['auth', 'can-i', 'create', 'configmaps']))).toEqual({
      code: 0,
      stdout: 'yes\n',
      stderr: '',
    });
    expect(await kubectl(person, ['auth', 'can-i', 'get', 'secrets'])).toMatchObject({ code: 1, stdout: 'no\n' });
    expect(await person.windows()).toHaveLength(1);
  });

  // Beside each other, since both wait until a token ends; each has a session of their own.
  it('a watch and a process go on over the expiry of their token, and the next command refreshes without a window', async () => {
    world.provider.lifetimes.idToken = 6;
    const [watching, asking] = [await newcomer(), await newcomer()];
    await Promise.all([watch(watching), outlive(asking)]);
    const before = refreshes();
    expect(said(await kubectl(watching, ['get', 'ns', '-o', 'name']))).toMatchObject({ code: 0, stderr: '' });
    expect(refreshes()).toBe(before + 1);
    for (const person of [watching, asking]) expect(await person.windows()).toHaveLength(1);
  });

  /** A watch over the end of its token. */
  async function watch(person: Person) {
    expect(await kubectl(person, ['get', 'ns'])).toMatchObject({ code: 0 });
    const signedIn = Date.now();
    const running = person.start(program, ['get', 'cm', '--watch', '-o', 'name'], { timeout: 60_000 });
    try {
      await expect.poll(async () => (await watched(clusterOf())).length, { timeout: 10_000 }).toBeGreaterThan(0);
      await expect.poll(() => Date.now() - signedIn, { timeout: 10_000, interval: 200 }).toBeGreaterThan(6500);
      const name = `late-${Date.now()}`;
      await clusterOf().request('POST', '/api/v1/namespaces/default/configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name },
      });
      await running.waitFor(new RegExp(`configmap/${name}\n`));
    } finally {
      running.kill('SIGINT');
    }
    await running.done;
  }

  /** A process that outlives its token and gets the next one from the plugin. */
  async function outlive(person: Person) {
    await inProxy(person, program, async (get) => {
      expect(await get('/api/v1/namespaces')).toBe(200);
      const ended = Date.now() + 6500;
      await expect.poll(() => Date.now() > ended, { timeout: 10_000, interval: 200 }).toBe(true);
      const before = refreshes();
      expect(await get('/api/v1/namespaces')).toBe(200);
      expect(refreshes()).toBeGreaterThan(before);
    });
  }

  it('a token that the server refuses is replaced by one refresh, and not by one after the other', async () => {
    const person = await newcomer();
    world.distrust(true);
    const before = refreshes();
    await inProxy(person, program, async (get) => {
      for (let times = 0; times < 5; times += 1) expect(await get('/api/v1/namespaces')).toBe(401);
    });
    expect(refreshes()).toBe(before + 1);
    expect(await person.windows()).toHaveLength(1);
  });

  it('after a token was refused, the refreshed one works in the same process', async () => {
    const person = await newcomer();
    world.distrust(true);
    expect(await person.run('kleis', ['login', '--context', 'test'])).toMatchObject({ code: 0 });
    world.distrust(false);
    const before = refreshes();
    await inProxy(person, program, async (get) => {
      // The token of the session is refused once: to kubectl's own first request, or to this one.
      const first = await get('/api/v1/namespaces');
      expect([first, await get('/api/v1/namespaces')]).toEqual([first === 200 ? 200 : 401, 200]);
    });
    expect(refreshes()).toBe(before + 1);
    expect(await person.windows()).toHaveLength(1);
  });
}

/** In these the server only answers. */
function storiesOfClient(clusterOf: () => Cluster, program: string, version: string): void {
  const { newcomer, kubectl } = peopleOf(clusterOf, program);

  it('a sign-in that is refused opens one window for all runs of the plugin, and says why once', async () => {
    const person = await newcomer();
    await person.behave({ behaviour: 'refuse' });
    const { code, stdout, stderr } = await kubectl(person, ['get', 'ns']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(await person.windows()).toHaveLength(1);
    const runs = stderr.match(/failed with exit code 3/g)?.length ?? 0;
    expect(runs).toBeGreaterThan(0);
    expect(stderr.match(/^error: .*(refused|denied)/gim)).toHaveLength(1);
    expect(stderr.match(/^next: /gm)).toHaveLength(1);

    await person.behave({ behaviour: 'agree' });
    expect(said(await kubectl(person, ['get', 'ns']))).toMatchObject({ code: 0 });
    expect(await person.windows()).toHaveLength(2);
  });

  it('logout ends it: the next command signs in again', async () => {
    const person = await newcomer();
    expect(await kubectl(person, ['get', 'ns'])).toMatchObject({ code: 0 });
    expect(said(await person.run('kleis', ['logout']))).toMatchObject({ code: 0, stdout: '' });
    expect(said(await person.run('kleis', ['status', '-o', 'json']))).toMatchObject({ code: 0 });
    expect(await kubectl(person, ['get', 'ns'])).toMatchObject({ code: 0 });
    expect(await person.windows()).toHaveLength(2);
  });

  it('signs in with a device code', async () => {
    const person = await newcomer({ login: 'device' });
    const running = person.start(program, ['get', 'ns', '-o', 'name']);
    const [, url, code] = await running.waitFor(/(https:\/\/localhost:\d+\/device)\b[^]*?([A-Z]{4}-[A-Z]{4})/);
    await world.provider.browser().visit(`${url}?user_code=${code}`);
    expect(await running.done).toMatchObject({ code: 0, stdout: expect.stringContaining('namespace/default\n') });
    expect(await person.windows()).toHaveLength(0);
  });

  it('a second cluster shares the session, gets a credential of its own, and is announced in one line', async () => {
    const person = await newcomer();
    const other = await world.startCluster('stand-in');
    await person.addContext('other', other, [...world.flags, '--certificate-authority', person.providerCaFile]);
    expect(await kubectl(person, ['get', 'ns', '--context=test'])).toMatchObject({ code: 0 });
    const first = await kubectl(person, ['get', 'ns', '--context=other']);
    expect(first.code).toBe(0);
    expect(first.stderr.split('\n').filter((line) => line.includes(other.server))).toHaveLength(1);
    expect(said(await kubectl(person, ['get', 'ns', '-o', 'name', '--context=other']))).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await person.windows()).toHaveLength(1);
  });

  // The allow-list came with kubectl 1.35.
  if (version !== '1.36') return;
  describe('with an allow-list in kuberc', () => {
    it('that names kleis-credential alone, everything works', async () => {
      const person = await newcomer();
      const env = await allowing(person);
      expect(said(await kubectl(person, ['get', 'ns'], { env }))).toMatchObject({ code: 0 });
    });

    it('a kubeconfig that names another program is refused, and nothing of it runs', async () => {
      const person = await newcomer();
      const env = await allowing(person);
      const nodes = await person.nodeStarts();
      for (const command of ['kleis', 'kleis-get-token', 'sh']) {
        const text = await readFile(person.kubeconfig, 'utf8');
        await writeFile(person.kubeconfig, text.replace(/command: \S+/, `command: ${command}`));
        const { code, stderr } = await kubectl(person, ['get', 'ns'], { env });
        expect({ code, stderr }).toEqual({
          code: 1,
          stderr: expect.stringContaining('not permitted by the credential plugin allowlist'),
        });
      }
      expect(await person.nodeStarts()).toBe(nodes);
      expect(await person.windows()).toHaveLength(0);
    });
  });
}

const grants = (type: string) =>
  world.provider.seen.filter(({ route, params }) => route === 'token' && params['grant_type'] === type).length;

const watched = async (cluster: Cluster) =>
  (await cluster.audit()).filter(
    ({ uri, user }) => user !== undefined && uri.includes('configmaps') && uri.includes('watch=true'),
  );

/** A kuberc under which kubectl runs `kleis-credential` and no other plugin. */
async function allowing(person: Person): Promise<Record<string, string>> {
  const file = join(person.home, 'kuberc');
  const kuberc = {
    apiVersion: 'kubectl.config.k8s.io/v1beta1',
    kind: 'Preference',
    credentialPluginPolicy: 'Allowlist',
    credentialPluginAllowlist: [{ command: 'kleis-credential' }],
  };
  await writeFile(file, JSON.stringify(kuberc));
  return { KUBERC: file };
}

/** `kubectl proxy`: one process of client-go that lives long and asks when it is told to. */
async function inProxy(
  person: Person,
  program: string,
  work: (get: (path: string) => Promise<number>) => Promise<void>,
): Promise<void> {
  const proxy: Running = person.start(program, ['proxy', '--port=0'], { timeout: 60_000 });
  const dispatcher = new Agent({ keepAliveTimeout: 10 });
  try {
    const [, address] = await proxy.waitFor(/Starting to serve on (\S+)/);
    await work(async (path) => {
      const response = await fetch(`http://${address}${path}`, { dispatcher });
      await response.text();
      return response.status;
    });
  } finally {
    proxy.kill();
    await proxy.done;
    await dispatcher.close();
  }
}
