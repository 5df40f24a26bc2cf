import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { clientSecret } from '../support/provider.ts';
import type { Cluster } from '../support/cluster.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { freePorts } from '../support/processes.ts';
import { createWorld, said, type World } from './world.ts';

const kubectl = needs('kubectl-new') ?? needs('kubectl');

let world: World;
let cluster: Cluster;
beforeAll(async () => {
  world = await createWorld();
  cluster = await world.startCluster(needs('kube') ? '1.36' : 'stand-in');
});
afterEach(() => world.removePeople());
afterAll(() => world?.end());

const exec = (command: string, ...args: string[]) => ({
  exec: { apiVersion: 'client.authentication.k8s.io/v1', interactiveMode: 'IfAvailable', command, args },
});

/** Somebody whose kubeconfig another program made. */
async function personWith(user: object): Promise<Person> {
  const person = await world.person();
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'prod', cluster: { server: cluster.server, 'certificate-authority': cluster.caFile } }],
    contexts: [{ name: 'prod', context: { cluster: 'prod', user: 'me' } }],
    users: [{ name: 'me', user }],
    'current-context': 'prod',
  };
  // kubectl makes its folder.
  await person.run('/bin/mkdir', ['-p', `${person.home}/.kube`]);
  await writeFile(person.kubeconfig, `# mine\n${stringify(config)}`);
  return person;
}

const forms: [string, (person: Person, port: number) => object][] = [
  [
    'kubectl oidc-login get-token',
    ({ providerCaFile }, port) =>
      exec(
        'kubectl',
        'oidc-login',
        'get-token',
        `--oidc-issuer-url=${world.provider.issuer}`,
        '--oidc-client-id=kleis',
        '--oidc-extra-scope=email,groups,offline_access',
        `--certificate-authority=${providerCaFile}`,
        `--listen-address=127.0.0.1:${port}`,
        '--grant-type=authcode',
        '--token-cache-dir=/nowhere',
      ),
  ],
  [
    'kubelogin get-token, with a redirect URI of its own',
    ({ providerCaFile }, port) =>
      exec(
        'kubelogin',
        'get-token',
        `--oidc-issuer-url=${world.provider.issuer}`,
        '--oidc-client-id=kleis',
        '--oidc-extra-scope=email',
        '--oidc-pkce-method=S256',
        `--certificate-authority=${providerCaFile}`,
        `--oidc-redirect-url=http://127.0.0.1:${port}/callback`,
      ),
  ],
  [
    'the removed auth-provider oidc',
    ({ providerCaFile }) => ({
      'auth-provider': {
        name: 'oidc',
        config: {
          'idp-issuer-url': world.provider.issuer,
          'client-id': 'kleis',
          'idp-certificate-authority': providerCaFile,
          'extra-scopes': 'email,groups',
          'refresh-token': 'of-old',
        },
      },
    }),
  ],
  [
    'pinniped login oidc',
    ({ providerCaFile }) =>
      exec(
        'pinniped',
        'login',
        'oidc',
        `--issuer=${world.provider.issuer}`,
        '--client-id=kleis',
        '--scopes=offline_access,openid,email',
        `--ca-bundle=${providerCaFile}`,
      ),
  ],
  ['a static token, where the person names the provider', () => ({ token: 'of-old' })],
];

describe.skipIf(kubectl === undefined)('after kleis kubeconfig migrate, kubectl signs in', () => {
  it.each(forms)('%s', async (name, form) => {
    const [port = 0] = await freePorts(1);
    const person = await personWith({});
    const user = form(person, port);
    const config = parse(await readFile(person.kubeconfig, 'utf8')) as { users: { user: object }[] };
    await writeFile(person.kubeconfig, `# mine\n${stringify({ ...config, users: [{ name: 'me', user }] })}`);
    const before = await readFile(person.kubeconfig, 'utf8');
    const typed = name.startsWith('a static token')
      ? [...world.flags, '--certificate-authority', person.providerCaFile]
      : [];

    const dry = await person.run('kleis', ['kubeconfig', 'migrate', 'prod', '--dry-run', ...typed]);
    expect(said(dry)).toMatchObject({ code: 0, stderr: '' });
    expect(await readFile(person.kubeconfig, 'utf8')).toBe(before);
    const done = await person.run('kleis', ['kubeconfig', 'migrate', 'prod', '--yes', ...typed]);
    expect(said(done)).toMatchObject({ code: 0, stdout: '' });
    expect(done.stderr + dry.stdout).not.toContain('of-old');
    expect(await readFile(person.kubeconfig, 'utf8')).not.toContain('of-old');

    const whoami = await person.run(kubectl ?? '', ['auth', 'whoami', '-o', 'json'], { timeout: 60_000 });
    expect(said(whoami)).toMatchObject({ code: 0 });
    expect(whoami.stdout).toContain('oidc:alice@');
    expect(await person.windows()).toHaveLength(1);
  });
});

it('a client secret works from the file that it was moved to', async () => {
  const person = await personWith({});
  const user = exec(
    'kubelogin',
    'get-token',
    `--oidc-issuer-url=${world.provider.issuer}`,
    '--oidc-client-id=kleis-basic',
    `--oidc-client-secret=${clientSecret}`,
    '--grant-type=client-credentials',
    '--oidc-use-access-token',
    `--certificate-authority=${person.providerCaFile}`,
  );
  const config = parse(await readFile(person.kubeconfig, 'utf8')) as object;
  await writeFile(person.kubeconfig, stringify({ ...config, users: [{ name: 'me', user }] }));
  const done = await person.run('kleis', ['kubeconfig', 'migrate', '--all', '--yes']);
  expect(said(done)).toMatchObject({ code: 0 });
  expect(await readFile(person.kubeconfig, 'utf8')).not.toContain(clientSecret);
  expect(done.stderr).not.toContain(clientSecret);
  const token = await person.run('kleis', ['token', '--context', 'prod'], { timeout: 60_000 });
  expect(said(token)).toMatchObject({ code: 0, stderr: '' });
});
