import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DoctorFinding } from '../../cli/doctor/finding.ts';
import { built } from '../support/built.ts';
import type { Cluster } from '../support/cluster.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import type { RunOptions, RunResult } from '../support/run.ts';
import type { StandInCluster } from '../support/stand-in/cluster.ts';
import { until } from '../support/wait.ts';
import { type AppWorld, startAppWorld } from '../broker/routes/world.ts';
import { freePorts } from '../support/processes.ts';
import { startSsoBroker } from './sso-broker.ts';
import { createWorld, type World } from './world.ts';

// Set-ups that are broken in one way each: `kleis doctor` names that way. Real API servers where they judge a token.

const kubectl = needs('kubectl-new');
const real = needs('kube');

let world: World;
let standIn: StandInCluster;
let cluster: Cluster;
const servers: Server[] = [];

const other = {
  client_id: 'other',
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'],
  token_endpoint_auth_method: 'none',
};

beforeAll(async () => {
  world = await createWorld({
    clients: [other],
    accounts: { nobody: { groups: ['strangers'] }, ungrouped: { groups: undefined } },
  });
  standIn = (await world.startCluster('stand-in')) as StandInCluster;
  cluster = real === undefined ? standIn : await world.startCluster('1.36');
});
afterEach(async () => {
  delete world.provider.quirks.before;
  delete world.provider.quirks.discovery;
  delete world.provider.quirks.token;
  standIn.standIn.clockOffset = 0;
  for (const server of servers.splice(0)) server.close();
  await world.removePeople();
});
afterAll(() => world?.end());

const trust = (person: Person) => ['--certificate-authority', person.providerCaFile];

interface Seen {
  readonly code: number;
  readonly findings: readonly DoctorFinding[];
  readonly stdout: string;
  readonly stderr: string;
  /** The first of its kind. */
  of(about: string, severity?: DoctorFinding['severity']): DoctorFinding | undefined;
}

async function examine(
  person: Person,
  args: readonly string[] = [],
  options: Partial<RunOptions> = {},
  program: readonly [string, ...string[]] = ['kleis'],
): Promise<Seen> {
  const [file, ...before] = program;
  const run: RunResult = await person.run(file, [...before, 'doctor', '-o', 'json', ...args], {
    timeout: 60_000,
    ...options,
  });
  const { code, stdout, stderr } = run;
  const { findings, exitCode } = JSON.parse(stdout || '{}') as { findings: DoctorFinding[]; exitCode: number };
  expect({ code, stderr }).toEqual({ code: exitCode, stderr });
  return {
    code,
    stdout,
    stderr,
    findings,
    of: (about, severity) =>
      findings.find((each) => each.about === about && each.severity === (severity ?? each.severity)),
  };
}

/** What is broken: the first failure, which is the cause. */
const cause = ({ findings }: Seen) => findings.find(({ severity }) => severity === 'error');

async function signedIn(person: Person, at: Cluster, flags: readonly string[]): Promise<void> {
  await person.addContext('prod', at, [...flags, ...trust(person)]);
  const { code, stderr } = await person.run('kleis', ['login', '--context', 'prod'], { timeout: 60_000 });
  expect({ code, stderr }).toEqual({ code: 0, stderr });
}

describe('a set-up that is as it should be', () => {
  it.skipIf(real === undefined)('has no failure: from the programs to what I may do', async () => {
    const person = await world.person();
    await signedIn(person, cluster, world.flags);
    const seen = await examine(person, [
      '--oidc-issuer-url',
      world.provider.issuer,
      '--oidc-client-id',
      'kleis',
      '--oidc-username-claim',
      'email',
      '--oidc-groups-claim',
      'groups',
    ]);
    expect(cause(seen)).toBeUndefined();
    expect(seen.code).toBe(0);
    expect(seen.of('identity')).toMatchObject({
      severity: 'ok',
      what: expect.stringContaining('oidc:alice@example.com'),
    });
    expect(seen.of('rights')).toMatchObject({ severity: 'ok', what: expect.stringMatching(/pods/) });
    expect(seen.of('expected')).toMatchObject({ severity: 'ok' });
  });
});

describe('this machine', () => {
  it('kleis not on the PATH of kubectl', async () => {
    const { dist } = await built();
    const person = await world.person();
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    const env = { PATH: '/usr/bin:/bin' };
    const seen = await examine(person, [], { env }, [process.execPath, join(dist, 'kleis.js')]);
    expect(cause(seen)).toMatchObject({ about: 'path', what: expect.stringContaining('on no folder of PATH') });
    expect(seen.code).toBe(6);
  });

  it('no Node for the launcher', async () => {
    const { dist } = await built();
    const person = await world.person();
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    const bin = join(person.home, 'bare');
    await mkdir(bin);
    await symlink(join(dist, 'kleis-credential'), join(bin, 'kleis-credential'));
    for (const tool of ['readlink', 'ls', 'mkdir', 'rm', 'mv', 'sleep'])
      await symlink(`/usr/bin/${tool}`, join(bin, tool));
    // Where Kleis has not noted a Node yet.
    const env = { PATH: bin, XDG_STATE_HOME: join(person.home, 'new') };
    const seen = await examine(person, [], { env }, [process.execPath, join(dist, 'kleis.js')]);
    expect(cause(seen)).toMatchObject({ about: 'path', what: expect.stringContaining('There is no Node for Kleis') });
    expect(seen.of('path')?.next).toMatch(/PATH of the program that runs kubectl/);
  });

  it('an entry without provideClusterInfo', async () => {
    const person = await world.person();
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    const text = await readFile(person.kubeconfig, 'utf8');
    await writeFile(person.kubeconfig, text.replace('provideClusterInfo: true', 'provideClusterInfo: false'));
    const seen = await examine(person);
    expect(cause(seen)).toMatchObject({
      about: 'kubeconfig',
      code: 'cluster_unknown',
      next: expect.stringContaining('provideClusterInfo: true'),
    });
  });

  it.skipIf(kubectl === undefined)('a kuberc that forbids the plugin, for a kubectl that reads it', async () => {
    const person = await world.person();
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    const kuberc = (rest: string) =>
      writeFile(
        join(dirname(person.kubeconfig), 'kuberc'),
        `apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n${rest}`,
      );
    const env = { PATH: `${dirname(kubectl ?? '')}:${person.env['PATH']}` };
    await kuberc('credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n  - command: other\n');
    expect(cause(await examine(person, [], { env }))).toMatchObject({
      about: 'kuberc',
      next: expect.stringContaining('kuberc set'),
    });
    const said = await person.run(kubectl ?? '', ['get', 'pods'], { env });
    expect(said.stderr).toContain('not permitted by the credential plugin allowlist');
    await kuberc('credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n  - command: kleis-credential\n');
    expect((await examine(person, [], { env })).of('kuberc')).toMatchObject({ severity: 'ok' });
  });

  it('a keyring that cannot be used', async () => {
    const person = await world.person({ cache: 'keyring' });
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    expect(cause(await examine(person))).toMatchObject({ about: 'keyring', code: 'keyring_unavailable' });
  });

  it('a state folder that others can enter', async () => {
    const person = await world.person();
    await signedIn(person, standIn, world.flags);
    const folder = join(person.home, '.local/state/kleis/sessions');
    await chmod(folder, 0o755);
    expect(cause(await examine(person))).toMatchObject({
      about: 'storage',
      code: 'storage_unsafe',
      next: expect.stringContaining(`chmod go= ${folder}`),
    });
  });

  it('a redirect port that is taken', async () => {
    const taken = await listen((_, response) => void response.end());
    const person = await world.person({ redirectUri: `http://127.0.0.1:${taken}/callback` });
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    expect(cause(await examine(person))).toMatchObject({
      about: 'redirect',
      code: 'port_in_use',
      what: expect.stringContaining(String(taken)),
    });
  });

  it('a proxy that refuses', async () => {
    const port = await listen((_, response) => void response.writeHead(403).end());
    const person = await world.person({ proxy: `http://user:hunter2@127.0.0.1:${port}` });
    await person.addContext('prod', standIn, ['--issuer-url', 'https://login.example.com']);
    const seen = await examine(person);
    expect(cause(seen)).toMatchObject({
      about: 'provider',
      what: expect.stringMatching(/The proxy 127.0.0.1:\d+ does not let us through/),
    });
    expect(seen.stdout + seen.stderr).not.toContain('hunter2');
  });
});

describe('the provider', () => {
  it('an issuer with a slash too many', async () => {
    const person = await world.person();
    await person.addContext('prod', standIn, ['--issuer-url', `${world.provider.issuer}/`, ...trust(person)]);
    const seen = await examine(person);
    expect(cause(seen)).toMatchObject({
      about: 'provider',
      code: 'issuer_mismatch',
      next: expect.stringContaining(`--issuer-url ${world.provider.issuer}`),
    });
    expect(seen.code).toBe(6);
  });

  it('a client that it does not know', async () => {
    const person = await world.person();
    await person.addContext('prod', standIn, [...world.flags, '--client-id', 'stranger', ...trust(person)]);
    expect(cause(await examine(person))).toMatchObject({
      about: 'client',
      code: 'client_refused',
      what: expect.stringContaining('stranger'),
    });
    expect(await person.windows()).toEqual([]);
  });

  it('an authority that nobody trusts here', async () => {
    const person = await world.person();
    await person.addContext('prod', standIn, world.flags);
    const seen = await examine(person);
    expect(cause(seen)).toMatchObject({
      about: 'provider',
      what: expect.stringContaining('authority that is not trusted here'),
      next: expect.stringContaining('--certificate-authority'),
    });
    expect(seen.code).toBe(5);
  });

  it('a clock that is not ours', async () => {
    const person = await world.person();
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    world.provider.quirks.before = (_, response) => {
      response.setHeader('date', new Date(Date.now() - 600_000).toUTCString());
      return false;
    };
    expect(cause(await examine(person))).toMatchObject({
      about: 'clock',
      code: 'clock_skewed',
      what: expect.stringMatching(/The clock of the provider .* behind/),
    });
  });

  it('no device code, where one is to be used', async () => {
    world.provider.quirks.discovery = (document) => ({ ...document, device_authorization_endpoint: undefined });
    const person = await world.person({ login: 'device', redirectUri: 'http://127.0.0.1:0/callback' });
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    expect(cause(await examine(person))).toMatchObject({
      about: 'device',
      what: expect.stringContaining('no device code'),
    });
  });

  it('a session that has ended and has no refresh token', async () => {
    world.provider.quirks.token = (json) => ({ json: { ...json, refresh_token: undefined } });
    world.provider.lifetimes.idToken = 2;
    try {
      const person = await world.person();
      await signedIn(person, standIn, world.flags);
      const ended = Date.now() + 2000;
      await until('the token has ended', () => Date.now() > ended);
      const seen = await examine(person);
      expect(cause(seen)).toMatchObject({
        about: 'session',
        code: 'sign_in_needed',
        next: expect.stringContaining('offline_access'),
      });
      expect(seen.code).toBe(3);
      expect(await person.windows()).toHaveLength(1);
    } finally {
      delete world.provider.lifetimes.idToken;
    }
  });

  it('nobody is signed in: that is no failure, and nobody is signed in by it', async () => {
    const person = await world.person();
    await person.addContext('prod', standIn, [...world.flags, ...trust(person)]);
    const seen = await examine(person);
    expect(seen.code).toBe(0);
    expect(seen.of('session')).toMatchObject({ severity: 'unknown', next: 'kleis login --context prod' });
    expect(seen.of('identity')).toMatchObject({
      severity: 'unknown',
      what: expect.stringContaining('nobody is signed in'),
    });
    expect(await person.windows()).toEqual([]);
    const again = await examine(person, ['--sign-in']);
    expect(again.of('identity')).toMatchObject({ severity: 'ok', what: expect.stringContaining('alice@example.com') });
    expect(await person.windows()).toHaveLength(1);
  });

  it('a session of other scopes is told apart from none', async () => {
    const person = await world.person();
    await signedIn(person, standIn, world.flags);
    await person.addContext('prod', standIn, [...world.flags, '--scope', 'profile', ...trust(person), '--yes']);
    expect((await examine(person)).of('session')?.why).toMatch(/session of alice.*without the scope profile/);
  });
});

describe('the API server', () => {
  const expected = ['--oidc-client-id', 'kleis', '--oidc-username-claim', 'email', '--oidc-groups-claim', 'groups'];
  const known = () => ['--oidc-issuer-url', world.provider.issuer, ...expected];

  it.skipIf(real === undefined)('an audience that it does not accept', async () => {
    const person = await world.person();
    await signedIn(person, cluster, [...world.flags, '--client-id', 'other']);
    const alone = await examine(person);
    expect(cause(alone)).toMatchObject({
      about: 'identity',
      code: 'unauthenticated',
      why: expect.stringContaining('does not take the audience other'),
    });
    const compared = await examine(person, known());
    expect(cause(compared)).toMatchObject({
      code: 'token_audience',
      what: expect.stringMatching(/takes tokens for kleis, and this one is for other/),
    });
  });

  it.skipIf(real === undefined)('an issuer that it spells differently', async () => {
    const person = await world.person();
    await signedIn(person, cluster, world.flags);
    const file = join(person.home, 'authentication.yaml');
    const jwt = [
      {
        issuer: { url: `${world.provider.issuer}/`, audiences: ['kleis'] },
        claimMappings: { username: { claim: 'sub', prefix: '' } },
      },
    ];
    await writeFile(
      file,
      JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthenticationConfiguration', jwt }),
    );
    expect(cause(await examine(person, ['--authentication-config', file]))).toMatchObject({
      code: 'token_issuer',
      next: expect.stringContaining('slash'),
    });
  });

  it.skipIf(real === undefined)('a token without the claim of the name', async () => {
    const person = await world.person();
    await signedIn(person, cluster, ['--issuer-url', world.provider.issuer, '--scope', 'groups']);
    const seen = await examine(person, known());
    expect(cause(seen)).toMatchObject({
      code: 'token_username',
      what: expect.stringContaining('the claim email'),
      next: expect.stringContaining('--scope email'),
    });
    expect(seen.of('identity')).toMatchObject({ code: 'unauthenticated' });
  });

  it.skipIf(real === undefined)('a token without groups', async () => {
    const person = await world.person();
    await person.behave({ login: 'ungrouped' });
    await signedIn(person, cluster, world.flags);
    const seen = await examine(person, known());
    expect(seen.of('groups')).toMatchObject({ severity: 'warning', what: expect.stringContaining('no groups') });
    expect(cause(seen)).toMatchObject({ code: 'no_rights', why: expect.stringContaining('sees no groups') });
  });

  it.skipIf(real === undefined)('403: it knows who it is, and RBAC gives nothing', async () => {
    const person = await world.person();
    await person.behave({ login: 'nobody' });
    await signedIn(person, cluster, world.flags);
    const seen = await examine(person);
    expect(cause(seen)).toMatchObject({
      about: 'rights',
      code: 'no_rights',
      next: expect.stringContaining('oidc:strangers'),
    });
    expect(seen.code).toBe(4);
  });

  it('a clock that is ahead: the token has ended there', async () => {
    const person = await world.person();
    await signedIn(person, standIn, world.flags);
    standIn.standIn.clockOffset = 7_200_000;
    const seen = await examine(person);
    expect(cause(seen)).toMatchObject({
      about: 'clock',
      what: expect.stringMatching(/The clock of the API server .* is [12]h.* ahead/),
    });
  });

  it('a server that is down', async () => {
    const [port] = await freePorts(1);
    const person = await world.person();
    await person.addContext('prod', { server: `https://127.0.0.1:${port}`, caFile: standIn.caFile }, [
      ...world.flags,
      ...trust(person),
    ]);
    const seen = await examine(person);
    expect(cause(seen)).toMatchObject({
      about: 'server',
      code: 'cluster_unavailable',
      what: expect.stringContaining('refused'),
    });
    expect(seen.code).toBe(5);
  });

  it('an authority that is another', async () => {
    const person = await world.person();
    await person.addContext('prod', { server: standIn.server, caFile: person.providerCaFile }, [
      ...world.flags,
      ...trust(person),
    ]);
    expect(cause(await examine(person))).toMatchObject({
      about: 'server',
      next: expect.stringContaining('--cluster-certificate-authority'),
    });
  });

  it('a server that anybody could be gets no token', async () => {
    const person = await world.person();
    await signedIn(person, standIn, world.flags);
    const text = await readFile(person.kubeconfig, 'utf8');
    await writeFile(
      person.kubeconfig,
      text.replace(/certificate-authority-data: .*/, 'insecure-skip-tls-verify: true'),
    );
    const before = standIn.standIn.requests.length;
    const seen = await examine(person);
    expect(seen.of('kubeconfig', 'warning')).toMatchObject({ code: 'insecure_cluster' });
    expect(seen.of('server')).toMatchObject({ severity: 'unknown' });
    expect(standIn.standIn.requests).toHaveLength(before);
  });
});

describe('the broker', () => {
  let app: AppWorld;
  let url: string;
  const grant = {
    issuer: 'sso',
    where: { groups: { contains: 'developers' } },
    cluster: 'prod',
    serviceAccount: 'deploy-web',
    access: [{ namespace: 'web', role: 'deployer' }],
  };
  const startBroker = async (audience: string) => {
    const admins = { contains: 'admins' };
    const grants = {
      view: grant,
      secret: { ...grant, where: { groups: admins } },
      mine: { ...grant, where: { sub: 'alice', groups: admins } },
    };
    ({ url } = await startSsoBroker({ world, app }, { sso: { audience }, grants }));
  };
  const through = async (wanted: string) => {
    const person = await world.person();
    await signedIn(person, app.state.cluster, [...world.flags, '--broker', url, '--grant', wanted]);
    return person;
  };

  beforeAll(async () => {
    app = await startAppWorld();
    await startBroker('kleis');
  });
  afterAll(() => app?.stop());

  it('is fine: the API server sees the account of the grant', async () => {
    const seen = await examine(await through('view'));
    expect(cause(seen)).toBeUndefined();
    expect(seen.of('grant')).toMatchObject({ severity: 'ok', what: expect.stringContaining('gives deployer in web') });
    expect(seen.of('identity')).toMatchObject({
      severity: 'ok',
      what: expect.stringContaining('system:serviceaccount:kleis-identities:deploy-web'),
    });
  });

  it('has no grant of that name for me', async () => {
    const seen = await examine(await through('secret'));
    expect(cause(seen)).toMatchObject({
      about: 'grant',
      code: 'grant_denied',
      next: expect.stringContaining('Yours are: view'),
    });
    expect(seen.code).toBe(4);
    expect(seen.of('identity')).toMatchObject({ severity: 'unknown' });
  });

  it('has a grant for me that my token does not fit: which claim, and what to change', async () => {
    const seen = await examine(await through('mine'));
    expect(cause(seen)).toMatchObject({
      about: 'grant',
      code: 'grant_denied',
      what: expect.stringContaining('The grant mine is for you'),
      next: expect.stringMatching(/^groups is .*developers.*sign in anew/),
    });
    expect(seen.code).toBe(4);
  });

  it('is down', async () => {
    const person = await world.person();
    const [port] = await freePorts(1);
    await person.addContext('prod', app.state.cluster, [
      ...world.flags,
      ...trust(person),
      '--broker',
      `http://127.0.0.1:${port}`,
      '--grant',
      'view',
    ]);
    expect(cause(await examine(person))).toMatchObject({ about: 'broker', code: 'provider_unavailable' });
  });

  it('wants another audience', async () => {
    await startBroker('kleis-broker');
    expect(cause(await examine(await through('view')))).toMatchObject({
      about: 'broker',
      code: 'subject_audience',
      what: expect.stringContaining('takes tokens for kleis-broker, and this one is for kleis'),
    });
  });
});

describe('what is printed', () => {
  it('a line each on a pipe, with why and next below; the kubeconfig that is missing ends it', async () => {
    const person = await world.person();
    const { code, stdout } = await person.run('kleis', ['doctor']);
    expect(code).toBe(6);
    expect(stdout).toMatch(/^failed {3}kubeconfig {2}There is no kubeconfig: .*\n +next: Write one/m);
    expect(stdout).toMatch(/1 failed, 0 warnings, 1 unknown, 2 ok\n$/);
  });

  it('a bundle is for its owner, replaces nothing, and holds no secret that Kleis was given', async () => {
    const person = await world.person({ proxy: 'http://user:canary-proxy@127.0.0.1:9' });
    await mkdir(join(person.home, '.config/kleis'), { recursive: true });
    const secretFile = join(person.home, '.config/kleis/secret');
    await writeFile(secretFile, 'canary-client-secret', { mode: 0o600 });
    await signedIn(person, standIn, [...world.flags, '--auth-param', 'ui_hint=canary-parameter']);
    const file = join(person.home, 'bundle.json');
    const env = { HTTPS_PROXY: 'http://user:canary-variable@127.0.0.1:9', AWS_SECRET_ACCESS_KEY: 'canary-environment' };
    const seen = await examine(person, ['--bundle', file], { env });
    expect(seen.stderr).toContain('no token, no secret');
    const text = await readFile(file, 'utf8');
    const sessions = await readFile(await sessionFile(person), 'utf8');
    const { secrets } = JSON.parse(sessions) as { secrets: Record<string, string> };
    expect(Object.keys(secrets)).toContain('refreshToken');
    for (const secret of Object.values(secrets)) expect(text).not.toContain(secret);
    expect(text).not.toContain('canary');
    expect(text).not.toMatch(/eyJ[\w-]+\.[\w-]+/);
    expect(text).toContain(world.provider.issuer);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = await person.run('kleis', ['doctor', '--bundle', file], { env });
    expect(again).toMatchObject({ code: 6, stderr: expect.stringContaining('nothing is overwritten') });
    expect(await readFile(file, 'utf8')).toBe(text);
  });
});

async function sessionFile(person: Person): Promise<string> {
  const folder = join(person.home, '.local/state/kleis/sessions');
  const name = (await readdir(folder)).find((each) => each.endsWith('.json'));
  return join(folder, name ?? '');
}

async function listen(answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  server.on('connect', (_, socket) => socket.end('HTTP/1.1 403 Forbidden\r\n\r\n'));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}
