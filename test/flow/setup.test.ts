import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Agent, fetch } from 'undici';
import { stringify } from 'yaml';
import { startCluster, type Cluster, type ClusterOptions } from '../support/cluster.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { createWorld, said, type World } from './world.ts';

// What `kleis setup` prints is given to real API servers, as an admin would, and then people work there.

const kubectl = needs('kubectl-new') ?? '';
const hasAll = kubectl !== '' && needs('kube') !== undefined && needs('kube-1.30') !== undefined;

let world: World;
let folder: string;
const clusters: Cluster[] = [];
/** The one of 1.36 that has the file. */
let now: Cluster;

beforeAll(async () => {
  world = await createWorld({
    accounts: {
      nested: { groups: { kube: ['developers'], 'a-b': { one: 'developers' } }, name: { login: "o'neil" } },
      hostile: { groups: ['system:masters', 'yes', 'a: b\'"#,', 'developers'], name: 'system:admin' },
    },
  });
  folder = await mkdtemp(join(tmpdir(), 'kleis-setup-'));
});
afterEach(() => world.removePeople());
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster.stop()));
  await rm(folder, { recursive: true, force: true });
  await world?.end();
});

const setup = async (person: Person, ...args: string[]) =>
  person.run(
    'kleis',
    [
      ...['setup', '--yes', '--issuer-url', world.provider.issuer, '--certificate-authority', person.providerCaFile],
      ...args,
    ],
    { timeout: 60_000 },
  );

async function start(kind: ClusterOptions['kind'], flags: readonly string[]): Promise<Cluster> {
  const cluster = await startCluster({ kind, flags });
  clusters.push(cluster);
  await cluster.request('POST', '/api/v1/namespaces', { metadata: { name: 'web' } });
  return cluster;
}

const kubectlOf = (person: Person, kubeconfig: string, args: readonly string[]) =>
  person.run(kubectl, ['--kubeconfig', kubeconfig, ...args], { timeout: 60_000 });

/** Everybody has a rule in web and none elsewhere: what the binding of the group says, and nothing else. */
const binding = ['--bind', 'developers=system:aggregate-to-view@web'];

/** Applies the bindings as an admin, hands the kubeconfig out, and sees what its owner may do. */
async function workThere(cluster: Cluster, files: string, admin: Person): Promise<string> {
  const applied = await kubectlOf(admin, cluster.adminKubeconfig, ['apply', '-f', join(files, 'bindings.yaml')]);
  expect(said(applied)).toMatchObject({ code: 0 });
  const handedOut = await setup(
    admin,
    ...['--no-sign-in', '--context', 'test', '--kubeconfig', cluster.adminKubeconfig, '-o', 'kubeconfig'],
  );
  expect(said(handedOut)).toMatchObject({ code: 0 });
  // Of the admin nothing is in it.
  expect(handedOut.stdout).not.toMatch(/client-certificate|client-key/);
  const person = await world.person();
  const own = join(person.home, 'handed-out.yaml');
  await writeFile(own, handedOut.stdout);
  const pods = await kubectlOf(person, own, ['get', 'pods', '-n', 'web', '-o', 'name']);
  expect(said(pods)).toEqual({ code: 0, stdout: '', stderr: expect.any(String) });
  const elsewhere = await kubectlOf(person, own, ['get', 'pods', '-n', 'default']);
  expect(said(elsewhere)).toMatchObject({ code: 1, stderr: expect.stringMatching(/Forbidden.*User "oidc:alice"/) });
  const who = await kubectlOf(person, own, ['auth', 'whoami', '-o', 'json']);
  return who.stdout;
}

describe.skipIf(!hasAll)('what setup prints is taken by real API servers, and the right of a group holds there', () => {
  it('the file for 1.36 and for 1.30, and the flags, written into a folder', async () => {
    const admin = await world.person();
    const places = [join(folder, 'v1'), join(folder, 'v1beta1')] as const;
    for (const [index, version] of (['v1', 'v1beta1'] as const).entries()) {
      const args = [
        '--api-version',
        version,
        '--output-dir',
        places[index]!,
        '--server',
        'https://api.example.com:6443',
      ];
      const made = await setup(admin, ...args, ...binding);
      expect(said(made)).toMatchObject({ code: 0, stderr: expect.stringContaining('authentication.yaml') });
    }
    // One sign-in for both runs.
    expect(await admin.windows()).toHaveLength(1);
    const flags = (await readFile(join(places[0], 'oidc-flags.txt'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((flag) => flag.replace('/etc/kubernetes/pki', places[0]));
    const [newest, old, flagged] = await Promise.all([
      start('1.36', [`--authentication-config=${places[0]}/authentication.yaml`]),
      start('1.30', [`--authentication-config=${places[1]}/authentication.yaml`]),
      start('1.30', flags),
    ]);
    now = newest;
    const seen = await Promise.all([
      workThere(now, places[0], admin),
      workThere(old, places[1], admin),
      workThere(flagged, places[0], admin),
    ]);
    for (const who of seen) {
      expect(JSON.parse(who)).toMatchObject({
        status: { userInfo: { username: 'oidc:alice', groups: ['oidc:developers', 'system:authenticated'] } },
      });
    }
  }, 120_000);

  it('a changed file is in force without a restart: claims within others, expressions of AKS, hostile names', async () => {
    const nested = await world.person();
    await nested.behave({ login: 'nested' });
    const hostile = await world.person();
    await hostile.behave({ login: 'hostile' });
    const scopes = ['--scope', 'profile', '--scope', 'groups', '--scope', 'email'];
    const prefix = `it's "\\ {#: `;
    const cases = [
      {
        title: 'a list within a claim',
        person: nested,
        args: ['--username-claim', 'name.login', '--groups-claim', 'groups.kube', '--username-prefix', prefix],
        user: { username: `${prefix}o'neil`, groups: [`${prefix}developers`, 'system:authenticated'] },
      },
      {
        title: 'a text within a claim',
        person: nested,
        args: ['--username-claim', 'sub', '--groups-claim', 'groups.a-b.one', '--groups-prefix', '-'],
        user: { username: 'oidc:nested', groups: ['developers', 'system:authenticated'] },
      },
      {
        title: 'AKS: expressions alone',
        person: await world.person(),
        args: ['--distribution', 'aks', '--username-claim', 'email'],
        user: { username: 'aks:jwt:alice@example.com', groups: ['aks:jwt:developers', 'system:authenticated'] },
      },
      {
        title: 'names of Kubernetes stay behind a prefix',
        person: hostile,
        args: ['--username-claim', 'name'],
        user: {
          username: 'oidc:system:admin',
          groups: expect.arrayContaining(['oidc:system:masters', 'oidc:yes', 'oidc:a: b\'"#,']),
        },
      },
      // The name begins with system:, and the configuration refuses it.
      {
        title: 'no prefix',
        person: hostile,
        args: ['--username-claim', 'name', '--username-prefix', '-'],
        user: undefined,
      },
    ];
    const entries: Entry[] = [];
    let first = '';
    for (const { title, person, args, user } of cases) {
      const made = await setup(person, ...scopes, ...args, '-o', 'json');
      expect(said(made), title).toMatchObject({ code: 0 });
      const entry = entryIn(JSON.parse(made.stdout) as Printed);
      expect(entry.issuer['url']).toBe(world.provider.issuer);
      entries.push(entry);
      const flags = [
        '--issuer-url',
        world.provider.issuer,
        ...scopes,
        '--certificate-authority',
        person.providerCaFile,
      ];
      const token = (await person.run('kleis', ['token', ...flags], { timeout: 60_000 })).stdout.trim();
      first ||= token;
      await replace(join(folder, 'v1/authentication.yaml'), stringify({ ...kind('v1'), jwt: [entry] }));
      await expect
        .poll(() => whoAmI(now, token), { timeout: 20_000, message: title })
        .toMatchObject((user ?? { status: 401 }) as object);
    }
    // 1.30 starts with all of them, or not at all; of one issuer it takes one.
    const jwt = entries.map((entry, index) =>
      index === 0 ? entry : { ...entry, issuer: { ...entry.issuer, url: `https://${index}.example.com` } },
    );
    const path = join(folder, 'all.yaml');
    await writeFile(path, stringify({ ...kind('v1beta1'), jwt }));
    const old = await start('1.30', [`--authentication-config=${path}`]);
    await expect.poll(() => whoAmI(old, first), { timeout: 20_000 }).toMatchObject(cases[0]?.user as object);
  }, 120_000);
});

type Entry = Readonly<Record<string, unknown>> & { readonly issuer: Readonly<Record<string, unknown>> };

interface Printed {
  readonly authenticationConfiguration: { readonly jwt: readonly [Entry] } | null;
  readonly files: Readonly<Record<string, string>>;
}

const kind = (version: string) => ({
  apiVersion: `apiserver.config.k8s.io/${version}`,
  kind: 'AuthenticationConfiguration',
});

/** Of AKS as it would make it of its file; the authority is its own affair. */
function entryIn({ authenticationConfiguration, files }: Printed): Entry {
  if (authenticationConfiguration !== null) return authenticationConfiguration.jwt[0];
  const entry = JSON.parse(files['aks.json'] ?? '{}') as Entry;
  return { ...entry, issuer: { ...entry.issuer, certificateAuthority: files['oidc-ca.crt'] } };
}

/** As an editor or a tool puts a file in place. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

async function whoAmI({ server, caPem }: Cluster, token: string): Promise<unknown> {
  const dispatcher = new Agent({ connect: { ca: caPem } });
  try {
    const response = await fetch(`${server}/apis/authentication.k8s.io/v1/selfsubjectreviews`, {
      method: 'POST',
      dispatcher,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }),
    });
    if (!response.ok) return { status: response.status };
    const { status } = (await response.json()) as { status: { userInfo: unknown } };
    return status.userInfo;
  } finally {
    await dispatcher.close();
  }
}
