import { existsSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { run } from '../../../cli/program.ts';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { createReport } from '../../../cli/surroundings/report.ts';
import { createAuthority } from '../../support/certificates.ts';
import { startProvider, type TestProvider } from '../../support/provider.ts';
import { readAll } from '../../support/read-all.ts';
import type { Answered } from './kubeconfig-world.ts';

let provider: TestProvider;
let home: string;
let base: readonly string[];

beforeAll(async () => {
  const authority = await createAuthority();
  const tls = await authority.issueServer(['localhost']);
  provider = await startProvider({ tls: { ...tls, ca: authority.cert } });
  home = await mkdtemp(join(tmpdir(), 'kleis-setup-'));
  await writeFile(join(home, 'ca.crt'), authority.cert);
  base = ['--issuer-url', provider.issuer, '--certificate-authority', join(home, 'ca.crt'), '--no-sign-in'];
});
beforeEach(() => rm(join(home, 'out'), { recursive: true, force: true }));
afterAll(async () => {
  await rm(home, { recursive: true, force: true });
  await provider?.stop();
});

/** In this process; with answers there is a terminal, on which the next of them is typed at each question. */
async function setup(args: readonly string[], answers?: readonly string[]): Promise<Answered & { left: number }> {
  const streams = [new PassThrough(), new PassThrough(), new PassThrough()] as const;
  const isTTY = answers !== undefined;
  for (const stream of streams) Object.assign(stream, { isTTY, columns: isTTY ? 80 : undefined });
  const [stdin, stdout, stderr] = streams;
  const said: string[] = [];
  const left = [...(answers ?? [])];
  stderr.on('data', (chunk: Buffer) => {
    said.push(String(chunk));
    if (!isTTY || !/(: |\[y\/N\] )$/.test(String(chunk))) return;
    const next = left.shift();
    if (next === undefined) stdin.end();
    else stdin.write(`${next}\n`);
  });
  const env = { HOME: home, NO_COLOR: '1', KLEIS_STATE_DIR: join(home, 'state'), KLEIS_CACHE_DIR: join(home, 'cache') };
  const code = await run(['setup', ...args], {
    env,
    stdin,
    stdout,
    stderr,
    clock: { now: Date.now, sleep: async () => undefined },
    platform: 'linux',
    pid: process.pid,
    ppid: process.ppid,
    startedAt: Date.now(),
    parentIsGone: () => false,
    report: createReport(stderr as unknown as Deps['stderr'], env),
    signal: new AbortController().signal,
  } as unknown as Deps);
  return { code, stdout: readAll(stdout), stderr: said.join(''), left: left.length };
}

const yes = (...args: string[]) => setup(['--yes', ...base, ...args]);

describe('without a terminal', () => {
  it('says which flag answers each question', async () => {
    const { code, stdout, stderr } = await setup(base);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/there is no terminal to ask on/);
    for (const flag of [
      '--yes',
      '--issuer-url',
      '--client-id',
      '--username-claim',
      '--groups-prefix',
      '--bind',
      '--distribution',
      '--output-dir',
    ])
      expect(stderr).toContain(flag);
    expect(await setup(['--yes'])).toMatchObject({ code: 2, stderr: expect.stringContaining('--issuer-url') });
  });

  it('with --yes takes the defaults, from discovery where nobody signs in', async () => {
    const { code, stdout } = await yes('-o', 'json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      provider: 'other',
      issuer: provider.issuer,
      client: {
        clientId: 'kleis',
        redirectUris: ['http://localhost:8000', 'http://localhost:18000'],
        scopes: ['openid', 'email', 'groups', 'offline_access'],
      },
      claims: null,
      username: { claim: 'sub', nested: false, prefix: 'oidc:', names: [] },
      groups: { claim: 'groups', nested: false, prefix: 'oidc:', names: [] },
      distribution: 'other',
      authenticationConfiguration: { apiVersion: 'apiserver.config.k8s.io/v1' },
      bindings: [],
      written: [],
    });
    expect(provider.count('authorization')).toBe(0);
  });

  it('the guide says all of it, no wider than a terminal but for what is copied', async () => {
    const { stdout } = await yes(
      '--distribution',
      'k3s',
      '--bind',
      'developers=view',
      '--server',
      'https://api.example.com',
    );
    for (const text of [
      '1. At the provider',
      'http://localhost:18000',
      'Whom the cluster sees',
      'authentication.yaml',
      '--oidc-issuer-url=',
      'kubectl apply -f bindings.yaml',
      'kleis kubeconfig add',
      'kleis-credential',
    ])
      expect(stdout).toContain(text);
    const prose = stdout.split('\n').filter((line) => /^ {0,3}\S/.test(line));
    expect(Math.max(...prose.map((line) => line.length))).toBeLessThanOrEqual(100);
  });
});

describe('what is refused', () => {
  it.each<[string, string[], RegExp]>([
    ['an issuer over http', ['--issuer-url', 'http://127.0.0.1:1'], /not an https URL/],
    ['an issuer that spells itself otherwise', ['--issuer-url', 'SLASH'], /slash at the end matters/],
    ['a prefix of Kubernetes', ['--username-prefix', 'system:'], /Kubernetes' own/],
    ['a prefix of Kubernetes in capitals', ['--groups-prefix', 'System:x'], /Kubernetes' own/],
    ['a claim that hides something', ['--username-claim', 'su\u200bb'], /no name of a claim/],
    ['a binding', ['--bind', 'developers'], /is not GROUP=ROLE/],
    ['a binding without groups', ['--groups-claim', '-', '--bind', 'a=view'], /no group can be bound/],
    [
      'a claim within another at EKS',
      ['--distribution', 'eks', '--groups-claim', 'a.b'],
      /EKS takes a claim by its name/,
    ],
    [
      'names without their beginning at AKS',
      ['--distribution', 'aks', '--username-prefix', 'oidc:'],
      /begin with aks:jwt:/,
    ],
    ['a binding at GKE', ['--distribution', 'gke', '--bind', 'a=view'], /grants of the broker/],
    [
      'a server at GKE',
      ['--distribution', 'gke', '--server', 'https://x.example'],
      /--server says what an API server does/,
    ],
    [
      'a version where there is no file',
      ['--distribution', 'eks', '--api-version', 'v1'],
      /--api-version says nothing/,
    ],
    [
      'a prefix of no groups',
      ['--groups-claim', '-', '--groups-prefix', 'x:'],
      /nothing that --groups-prefix could stand before/,
    ],
    ['a server over http', ['--server', 'http://api.example.com'], /https/],
    ['flags for a claim within another', ['--groups-claim', 'a.b', '-o', 'flags'], /by its name alone/],
    ['the file for EKS', ['--distribution', 'eks', '-o', 'authentication'], /takes no AuthenticationConfiguration/],
    ['a kubeconfig without a server', ['-o', 'kubeconfig'], /no kubeconfig to hand out/],
    ['bindings of none', ['-o', 'bindings'], /No group is bound/],
    ['a folder without a name', ['--output-dir', ''], /names no folder/],
  ])('%s', async (_, args, why) => {
    const given = args.map((each) => (each === 'SLASH' ? `${provider.issuer}/` : each));
    const { code, stdout, stderr } = await yes(...given);
    expect({ code, stdout }).toEqual({ code: expect.toSatisfy((found) => found === 2 || found === 6), stdout: '' });
    expect(stderr).toMatch(why);
    expect(stderr).toMatch(/^next: /m);
  });
});

/** Each question with answers that are none, and one that is. */
const questions: readonly (readonly [
  question: RegExp,
  wrong: readonly string[],
  right: string | (() => string),
  reason: RegExp,
])[] = [
  [
    /The URL of your provider/,
    ['http://127.0.0.1:1', 'nonsense'],
    () => provider.issuer,
    /not an https URL|is not a URL/,
  ],
  [/What it is/, ['samba', 'oktaa'], 'other', /none of them/],
  [/client ID/, ['a\u001b[Ab', 'x'.repeat(3000)], 'my-client', /cannot be seen|at most/],
  [/Scopes to ask for/, ['gr"oups', 'ä'], 'email, groups', /must be scopes/],
  [/Sign in there now/, ['maybe', 'perhaps'], 'no', /neither yes nor no/],
  [/What the cluster is/, ['openshift', '7'], 'other', /none of them/],
  [/version of its configuration/, ['v2', 'v1alpha1'], 'v1beta1', /none of them/],
  [/claim that names a person/, ['\u202e', 'x'.repeat(300)], 'sub', /cannot be seen|no name of a claim/],
  [/before the name of a person/, ['system:', 'SYSTEM:a'], 'corp:', /Kubernetes' own/],
  [/claim that holds the groups/, ['a\u0007', 'y'.repeat(300)], 'groups', /cannot be seen|no name of a claim/],
  [/before the name of a group/, ['system:x', 'system:'], '-', /Kubernetes' own/],
  [
    /A group and what it may do/,
    ['developers', 'a=role/b'],
    'developers=view@web',
    /is not GROUP=ROLE|names a Role and no namespace/,
  ],
  [/A group and what it may do/, ['=', 'a=b@C'], '', /is not GROUP=ROLE|no namespace/],
  [/address of the API server/, ['http://api.example.com', 'api'], 'https://api.example.com:6443', /https|URL/],
  [/PEM file of its authority/, ['/does/not/exist', '/dev/null'], '', /cannot be read|holds no PEM/],
  [/folder to write the files/, [], '', /./],
];
const right = () => questions.map(([, , answer]) => (typeof answer === 'string' ? answer : answer()));
const ask = () => ['--certificate-authority', join(home, 'ca.crt'), '-o', 'json'];

describe('on a terminal', () => {
  it('asks each question once, where it is answered', async () => {
    const { code, stdout, stderr, left } = await setup(ask(), right());
    expect({ code, left }).toEqual({ code: 0, left: 0 });
    expect(JSON.parse(stdout)).toMatchObject({
      client: { clientId: 'my-client', scopes: ['openid', 'email', 'groups'] },
      username: { claim: 'sub', prefix: 'corp:' },
      groups: { claim: 'groups', prefix: '' },
      authenticationConfiguration: {
        apiVersion: 'apiserver.config.k8s.io/v1beta1',
        jwt: [{ userValidationRules: [{}, {}] }],
      },
      bindings: [{ kind: 'RoleBinding', subjects: [{ name: 'developers' }] }],
    });
    // How the client is registered is said before anybody signs in there.
    expect(stderr.indexOf('http://localhost:18000')).toBeLessThan(stderr.indexOf('Sign in there now'));
    expect(stderr).toMatch(/warning: Without a prefix/);
  });

  it('says how the client is registered also where nobody is asked about a sign-in', async () => {
    const skipped = right().filter((_, index) => index !== 4);
    const { code, stdout } = await setup(['--certificate-authority', join(home, 'ca.crt'), '--no-sign-in'], skipped);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^1\. At the provider/m);
    expect(stdout).toContain('http://localhost:18000');
    expect(stdout).toMatch(/^2\. What the token says$/m);
  });

  it('asks again with the reason, twice', async () => {
    const answers = questions.flatMap(([, wrong], index) => [...wrong, right()[index]!]);
    const { code, stderr, left } = await setup(ask(), answers);
    expect({ code, left }).toEqual({ code: 0, left: 0 });
    for (const [question, , , reason] of questions) {
      expect(stderr).toMatch(question);
      expect(stderr).toMatch(reason);
    }
    for (const unseen of ['\u0007', '\u202e']) expect(stderr).not.toContain(unseen);
  });

  it.each(
    questions.filter(([, wrong]) => wrong.length > 0).map(([question], index) => [question.source, index] as const),
  )('%s: the third wrong answer ends it with usage', async (_, index) => {
    const [, wrong] = questions[index]!;
    const { code, stdout, left } = await setup(ask(), [
      ...right().slice(0, index),
      ...wrong,
      wrong[0]!,
      'never asked for',
    ]);
    expect({ code, stdout, left }).toEqual({ code: 2, stdout: '', left: 1 });
  });

  it('the end of the input writes nothing', async () => {
    for (const index of [0, 3, 9, 13]) {
      const { code, stdout } = await setup(ask(), right().slice(0, index));
      expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    }
  });
});

describe('files', () => {
  const out = () => join(home, 'out');

  it('are written whole, only for who made them, and never over another without agreement', async () => {
    const args = ['--output-dir', out(), '--bind', 'developers=view', '--server', 'https://api.example.com'];
    expect(await yes(...args)).toMatchObject({ code: 0 });
    const names = ['authentication.yaml', 'bindings.yaml', 'kubeconfig.yaml', 'oidc-ca.crt', 'oidc-flags.txt'];
    expect((await readdir(out())).toSorted()).toEqual(names);
    for (const name of names) expect((await lstat(join(out(), name))).mode & 0o777).toBe(0o600);
    await writeFile(join(out(), 'bindings.yaml'), 'mine');
    await rm(join(out(), 'kubeconfig.yaml'));
    const again = await yes(...args);
    expect(again).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/already: .*bindings\.yaml.*\nnext: .*--force/),
    });
    expect(await readFile(join(out(), 'bindings.yaml'), 'utf8')).toBe('mine');
    expect(await readdir(out())).toHaveLength(4);
    expect(await yes(...args, '--force')).toMatchObject({ code: 0 });
    expect(await readFile(join(out(), 'bindings.yaml'), 'utf8')).toContain('oidc:developers');
  });

  it('a link in the place of one is replaced with --force, and what it leads to stays', async () => {
    await mkdir(out());
    await writeFile(join(home, 'precious'), 'precious');
    await symlink(join(home, 'precious'), join(out(), 'authentication.yaml'));
    expect(await yes('--output-dir', out())).toMatchObject({ code: 2 });
    expect(await yes('--output-dir', out(), '--force')).toMatchObject({ code: 0 });
    expect(await readFile(join(home, 'precious'), 'utf8')).toBe('precious');
    expect((await lstat(join(out(), 'authentication.yaml'))).isSymbolicLink()).toBe(false);
  });

  it('on a terminal it asks, and no means no', async () => {
    await mkdir(out());
    await writeFile(join(out(), 'authentication.yaml'), 'mine');
    const answers = [...right().slice(0, -1), out()];
    const refused = await setup(ask(), [...answers, 'n']);
    expect(refused).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/Replace authentication\.yaml in/),
    });
    expect(await readFile(join(out(), 'authentication.yaml'), 'utf8')).toBe('mine');
    expect(await setup(ask(), [...answers, 'y'])).toMatchObject({ code: 0 });
    expect(await readFile(join(out(), 'authentication.yaml'), 'utf8')).toContain('AuthenticationConfiguration');
  });

  it('go into no folder where others could put theirs in the place of them', async () => {
    const open = join(home, 'open');
    const inside = join(open, 'mine');
    await mkdir(inside, { recursive: true });
    await chmod(open, 0o777);
    for (const folder of [open, inside, join(open, 'new')]) {
      const { code, stdout, stderr } = await yes('--output-dir', folder);
      expect({ code, stdout }).toEqual({ code: 6, stdout: '' });
      expect(stderr).toMatch(/open can be written by others\.\nnext: {2}Name a folder of your own/);
    }
    await chmod(open, 0o1777);
    expect(await yes('--output-dir', inside)).toMatchObject({ code: 0 });
    if (process.getuid?.() !== 0) return;
    await mkdir(out());
    await chown(out(), 12_345, 0);
    const foreign = await yes('--output-dir', out());
    expect(foreign).toMatchObject({ code: 6, stderr: expect.stringContaining('belongs to another user (id 12345)') });
    expect(await readdir(out())).toEqual([]);
  });

  it('a folder that cannot be is said', async () => {
    if (existsSync('/proc/self')) {
      const nowhere = await yes('--output-dir', '/proc/nowhere');
      expect(nowhere).toMatchObject({ code: 6, stderr: expect.stringMatching(/Cannot write/) });
    }
    await writeFile(join(home, 'file'), '');
    expect(await yes('--output-dir', join(home, 'file', 'x'))).toMatchObject({
      code: 6,
      stdout: '',
      stderr: expect.stringMatching(/Cannot (read|write)/),
    });
  });
});

describe('hostile names', () => {
  const name = `it's $(touch pwned) "x": - #`;

  it('are text wherever they stand', async () => {
    const made = await yes(
      '--username-claim',
      name,
      '--groups-claim',
      'yes',
      '--groups-prefix',
      '- ',
      '--bind',
      `${name}=view`,
      '-o',
      'json',
    );
    expect(made.code).toBe(0);
    const { files } = JSON.parse(made.stdout) as { files: Record<string, string> };
    expect(parse(files['authentication.yaml'] ?? '', { version: '1.1' })).toMatchObject({
      jwt: [{ claimMappings: { username: { claim: name }, groups: { claim: 'yes', prefix: '- ' } } }],
    });
    const [binding] = parseAllDocuments(files['bindings.yaml'] ?? '', { version: '1.1' });
    expect(binding?.toJS()).toMatchObject({ subjects: [{ name: `- ${name}` }] });
  });

  it('stay one word of the commands of the guide', async () => {
    const made = await yes(
      '--username-prefix',
      '$(touch pwned) ',
      '--groups-claim',
      '-',
      '--output-dir',
      join(home, "o'ut $x"),
    );
    expect(made.stdout).toContain("'--user=$(touch pwned) NAME'");
    const bound = await yes('--bind', 'a=view', '--output-dir', join(home, "b'ut $x"));
    expect(bound.stdout).toContain(String.raw`'\''ut $x/bindings.yaml'`);
    // An ID token is for its client.
    const other = await yes('--audience', 'https://api.example.com', '-o', 'flags');
    expect(other.stdout).toContain('--oidc-client-id=kleis\n');
  });

  it('a shell gives kleis the words that were meant', async () => {
    const made = await setup(['--yes', ...base, name, '--client-id', name, '--audience', "a'b", '-o', 'json']);
    const { developers } = JSON.parse(made.stdout) as { developers: { command: string } };
    const script = `kleis() { printf '%s\\0' "$@"; }\n${developers.command}`;
    const { stdout } = await promisify(execFile)('/bin/sh', ['-c', script], { cwd: home });
    expect(stdout.split('\0')).toEqual(
      expect.arrayContaining(['kubeconfig', 'add', name, `--client-id=${name}`, "--audience=a'b"]),
    );
    expect(await readdir(home)).not.toContain('pwned');
  });
});

it('the cluster can be that of a context: its address and authority, and nothing of who is there', async () => {
  const ca = await readFile(join(home, 'ca.crt'), 'utf8');
  const kubeconfig = join(home, 'admin.yaml');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'prod',
        cluster: {
          server: 'https://api.example.com',
          'certificate-authority-data': Buffer.from(ca).toString('base64'),
        },
      },
    ],
    contexts: [{ name: 'admin@prod', context: { cluster: 'prod', user: 'admin', namespace: 'kube-system' } }],
    users: [{ name: 'admin', user: { token: 'a-secret-token' } }],
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const made = await yes('--context', 'admin@prod', '--kubeconfig', kubeconfig, '-o', 'json');
  const { developers, files } = JSON.parse(made.stdout) as {
    developers: { command: string };
    files: Record<string, string>;
  };
  expect(developers.command).toMatch(
    /kubeconfig add prod --server=https:\/\/api\.example\.com .*--cluster-certificate-authority=cluster-ca\.crt/s,
  );
  expect(files['cluster-ca.crt']).toBe(ca.endsWith('\n') ? ca : `${ca}\n`);
  expect(parse(files['kubeconfig.yaml'] ?? '')).toMatchObject({
    'current-context': 'prod',
    clusters: [{ cluster: { server: 'https://api.example.com', 'certificate-authority-data': expect.any(String) } }],
    contexts: [{ context: { cluster: 'prod', user: 'kleis-prod' } }],
  });
  expect(made.stdout).not.toMatch(/a-secret-token|kube-system/);
  expect(await yes('--context', 'other', '--kubeconfig', kubeconfig)).toMatchObject({
    code: 6,
    stdout: '',
    stderr: expect.stringMatching(/no context/),
  });
  expect(await yes('--context', 'admin@prod', '--server', 'https://x.example')).toMatchObject({ code: 2, stdout: '' });
});

it('a client with a secret has no kubeconfig to hand out, and no path of this machine goes into the line', async () => {
  const file = join(home, 'secret');
  await writeFile(file, 'secret\n', { mode: 0o600 });
  const made = await yes('--client-secret-file', file, '--server', 'https://api.example.com', '-o', 'json');
  const { developers, files } = JSON.parse(made.stdout) as {
    developers: { command: string };
    files: Record<string, string>;
  };
  expect(developers.command).toContain('--client-secret-file=FILE');
  expect(made.stdout).not.toContain(home);
  expect(Object.keys(files)).not.toContain('kubeconfig.yaml');
});
