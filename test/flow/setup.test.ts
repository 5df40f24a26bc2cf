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
/** Those that have the files. */
let now: Cluster;
let old: Cluster;

beforeAll(async () => {
  world = await createWorld();
  folder = await mkdtemp(join(tmpdir(), 'kleis-setup-'));
});
afterEach(() => world.removePeople());
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster.stop()));
  await rm(folder, { recursive: true, force: true });
  await world?.end();
});

const setup = async (person: Person, args: readonly string[], { provider } = world) =>
  person.run(
    'kleis',
    ['setup', '--yes', '--issuer-url', provider.issuer, '--certificate-authority', person.providerCaFile, ...args],
    { timeout: 60_000 },
  );

const accounts = {
  nested: { groups: { kube: ['developers'], 'a-b': { one: 'developers' } }, name: { login: "o'neil" } },
  hostile: { groups: ['system:masters', 'yes', 'a: b\'"#,', 'developers'], name: 'system:admin' },
};

const prefix = `it's "\\ {#: `;
const cases = [
  {
    title: 'a list within a claim',
    login: 'nested',
    args: ['--username-claim', 'name.login', '--groups-claim', 'groups.kube', '--username-prefix', prefix],
    user: { username: `${prefix}o'neil`, groups: [`${prefix}developers`, 'system:authenticated'] },
  },
  {
    title: 'a text within a claim, and no prefix',
    login: 'nested',
    args: ['--username-claim', 'sub', '--groups-claim', 'groups.a-b.one', '--groups-prefix', '-'],
    user: { username: 'oidc:nested', groups: ['developers', 'system:authenticated'] },
  },
  {
    title: 'a list within a claim, and no prefix',
    login: 'nested',
    args: ['--username-claim', 'sub', '--groups-claim', 'groups.kube', '--groups-prefix', '-'],
    user: { username: 'oidc:nested', groups: ['developers', 'system:authenticated'] },
  },
  {
    title: 'AKS: expressions alone',
    login: 'alice',
    args: ['--distribution', 'aks', '--username-claim', 'email'],
    user: { username: 'aks:jwt:alice@example.com', groups: ['aks:jwt:developers', 'system:authenticated'] },
  },
  {
    title: 'names of Kubernetes stay behind a prefix',
    login: 'hostile',
    args: ['--username-claim', 'name'],
    user: {
      username: 'oidc:system:admin',
      groups: expect.arrayContaining(['oidc:system:masters', 'oidc:yes', 'oidc:a: b\'"#,']) as unknown,
    },
  },
  {
    title: 'without a prefix they are refused',
    login: 'hostile',
    args: ['--username-claim', 'name', '--username-prefix', '-'],
    user: { status: 401 },
  },
];

/** The entry that setup makes of a token, and that token. */
async function signInThere(there: World, login: string, args: readonly string[]) {
  const scopes = ['--scope', 'profile', '--scope', 'groups', '--scope', 'email'];
  const person = await there.person();
  await person.behave({ login });
  const made = await setup(person, [...scopes, ...args, '-o', 'json'], there);
  expect(said(made), args.join(' ')).toMatchObject({ code: 0 });
  const flags = ['--issuer-url', there.provider.issuer, ...scopes, '--certificate-authority', person.providerCaFile];
  const { stdout } = await person.run('kleis', ['token', ...flags], { timeout: 60_000 });
  return { entry: entryIn(JSON.parse(made.stdout) as Printed), token: stdout.trim() };
}

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
  const there = ['--context', 'test', '--kubeconfig', cluster.adminKubeconfig];
  const handedOut = await setup(admin, ['--no-sign-in', ...there, '-o', 'kubeconfig']);
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
      const made = await setup(admin, [...args, ...binding]);
      expect(said(made)).toMatchObject({ code: 0, stderr: expect.stringContaining('authentication.yaml') });
    }
    // One sign-in for both runs.
    expect(await admin.windows()).toHaveLength(1);
    const flags = (await readFile(join(places[0], 'oidc-flags.txt'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((flag) => flag.replace('/etc/kubernetes/pki', places[0]));
    const [newest, oldest, flagged] = await Promise.all([
      start('1.36', [`--authentication-config=${places[0]}/authentication.yaml`]),
      start('1.30', [`--authentication-config=${places[1]}/authentication.yaml`]),
      start('1.30', flags),
    ]);
    [now, old] = [newest, oldest];
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
    // Of one issuer an API server takes one entry.
    const worlds = await Promise.all(cases.map(() => createWorld({ accounts })));
    try {
      const made = await Promise.all(
        cases.map(async ({ login, args }, index) => signInThere(worlds[index]!, login, args)),
      );
      for (const [place, version] of [
        [join(folder, 'v1'), 'v1'],
        [join(folder, 'v1beta1'), 'v1beta1'],
      ] as const) {
        const jwt = made.map(({ entry }) => entry);
        await replace(join(place, 'authentication.yaml'), stringify({ ...kind(version), jwt }));
      }
      for (const cluster of [now, old]) {
        // What is refused is not kept: the first of them shows when the file is in force.
        const [first] = made;
        await expect.poll(() => whoAmI(cluster, first!.token), { timeout: 30_000 }).toMatchObject(cases[0]!.user);
        for (const [index, { title, user }] of cases.entries()) {
          expect(await whoAmI(cluster, made[index]!.token), `${title} on ${cluster.kind}`).toMatchObject(user);
        }
      }
    } finally {
      await Promise.all(worlds.map((each) => each.end()));
    }
  }, 120_000);
});

it('a sign-in that is refused prints nothing, and says how to go on without one', async () => {
  const admin = await world.person();
  await admin.behave({ behaviour: 'refuse' });
  const refused = await setup(admin, ['-o', 'authentication']);
  expect(said(refused)).toMatchObject({ code: 3, stdout: '', stderr: expect.stringMatching(/^next: .*--no-sign-in/m) });
});

describe('an access token that a hostile provider signs', () => {
  const flag = '--authorization-mode=AlwaysAllow';
  const seen = async (person: Person, claims: Record<string, unknown>) => {
    const { provider } = world;
    const token = provider.signed({ iss: provider.issuer, sub: 'alice', aud: 'kleis', ...claims });
    provider.quirks.token = (body) => ({ json: { ...body, access_token: token } });
    const made = await setup(person, ['--token', 'access', '-o', 'json']);
    delete provider.quirks.token;
    return said(made);
  };

  it('is refused where its audience cannot be seen', async () => {
    const person = await world.person();
    for (const aud of [`x\n${flag}`, 'a\u202eb', 'x'.repeat(1000)]) {
      expect(await seen(person, { aud })).toMatchObject({
        code: 6,
        stdout: '',
        stderr: expect.stringContaining('audience'),
      });
    }
  });

  it('makes no second flag of the API server out of a word', async () => {
    const person = await world.person();
    for (const claims of [{ aud: `x ${flag}` }, { [`x ${flag} --y=/groups`]: ['a'] }]) {
      const { code, stdout } = await seen(person, claims);
      expect(code).toBe(0);
      const made = JSON.parse(stdout) as Printed & { readonly flags: unknown };
      expect(made.flags).toBeNull();
      expect(Object.keys(made.files)).not.toContain('oidc-flags.txt');
      expect(JSON.stringify(entryIn(made))).toContain(flag);
    }
  });
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
