import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { addEntries, checkEntry, type EntryRequest } from '../../../cli/kubeconfig/add.ts';
import type { Change, Changed, ChangeOptions, Plan } from '../../../cli/kubeconfig/change.ts';
import { bodyKey, parseKubeconfig, sections } from '../../../cli/kubeconfig/document.ts';
import { withLocks } from '../../../cli/kubeconfig/lock.ts';
import { readAll } from '../../support/read-all.ts';
import { createReport } from '../../../cli/surroundings/report.ts';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { bundle } from '../../support/bundle.ts';
import { createAuthority } from '../../support/certificates.ts';
import { needs } from '../../support/needs.ts';
import { type Mapping, randomKubeconfig } from './random.ts';

const run = promisify(execFile);

let folder: string;
const at = (...names: string[]) => join(folder, ...names);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-kubeconfig-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  /** What the person at the terminal types, at once or whenever they are asked; without it there is no terminal. */
  readonly answer?: string | ((nth: number) => Promise<string>);
  readonly platform?: NodeJS.Platform;
  readonly clock?: Deps['clock'];
}

type AddWanted = EntryRequest & ChangeOptions & { readonly current?: boolean };

interface Outcome {
  readonly outcome: Changed<Plan>['outcome'];
  readonly context: string;
  readonly cluster: string;
  readonly user: string;
  readonly changes: readonly Change[];
  readonly stdout: string;
  readonly stderr: string;
}

const realClock: Deps['clock'] = { now: Date.now, sleep: async (milliseconds) => sleep(milliseconds) };

/** Collects what the program prints; the end of the input comes after the answer. */
async function add(request: Partial<AddWanted>, surroundings: Surroundings = {}): Promise<Outcome> {
  const { env = { HOME: folder }, answer, platform = process.platform, clock = realClock } = surroundings;
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()].map((stream) =>
    Object.assign(stream, { isTTY: answer !== undefined, setEncoding: () => stream }),
  ) as unknown as [Deps['stdin'], Deps['stdout'], Deps['stderr']];
  const typed = stdin as unknown as PassThrough;
  if (typeof answer === 'string') typed.end(answer);
  let printed = '';
  let asked = 0;
  stderr.on('data', (data: unknown) => {
    printed += String(data);
    if (typeof answer === 'function' && String(data).includes('Replace?')) {
      asked += 1;
      void answer(asked).then((text) => (text === '' ? typed.end() : typed.write(text)));
    }
  });
  const deps: Deps = {
    env,
    stdin,
    stdout,
    stderr,
    clock,
    platform,
    pid: process.pid,
    ppid: process.ppid,
    parentIsGone: () => false,
    startedAt: Date.now(),
    report: createReport(stderr, { NO_COLOR: '1' }),
    signal: new AbortController().signal,
  };
  const { current, kubeconfig, dryRun, yes, ...rest } = request;
  const entry = await checkEntry({ name: 'prod', args: ['--issuer-url=https://sso.example.com'], ...rest });
  const { contexts: context, clusters: cluster, users: user } = entry.names;
  const options = { kubeconfig, dryRun, yes, current: current === true ? context : undefined };
  const { outcome, plan } = await addEntries([entry], options, deps);
  return { outcome, context, cluster, user, changes: plan.changes, stdout: readAll(stdout), stderr: printed };
}

const server = 'https://api.example.com:6443';
const failsWith = (code: string, message: RegExp, hint = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message), hint: expect.stringMatching(hint) });

describe('a new kubeconfig', () => {
  test('is made where kubectl looks for it, for nobody else to read', async () => {
    const result = await add({ server, namespace: 'web' });
    expect(result).toMatchObject({
      outcome: 'written',
      context: 'prod',
      cluster: 'prod',
      user: 'kleis-prod',
      stdout: '',
    });
    expect(await readFile(at('.kube', 'config'), 'utf8')).toBe(`apiVersion: v1
kind: Config
clusters:
- cluster:
    server: https://api.example.com:6443
  name: prod
users:
- name: kleis-prod
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      args:
      - --issuer-url=https://sso.example.com
      command: kleis-credential
      installHint: "Kleis signs you in to this cluster. To install it: npm install --global kleis, or see https://github.com/kleis-dev/kleis/blob/main/docs/install.md"
      interactiveMode: IfAvailable
      provideClusterInfo: true
contexts:
- context:
    cluster: prod
    user: kleis-prod
    namespace: web
  name: prod
current-context: prod
`);
    expect((await stat(at('.kube', 'config'))).mode & 0o777).toBe(0o600);
    expect((await stat(at('.kube'))).mode & 0o777).toBe(0o700);
    expect(await readdir(at('.kube'))).toEqual(['config']);
  });

  test('names the program that an allow-list on Windows can name', async () => {
    await add({ server, kubeconfig: at('config') }, { platform: 'win32' });
    expect(await readFile(at('config'), 'utf8')).toContain('command: kleis-get-token\n');
  });

  test('holds the certificates of the cluster, and nothing else from their file', async () => {
    const { cert } = await createAuthority();
    await writeFile(at('ca.pem'), `Certificate:\n    Data: what a tool prints\n${cert.trimEnd()}\n${cert}`);
    const extension = { audience: 'prod', scope: ['a', 'b'] };
    await add({
      server,
      clusterCertificateAuthority: at('ca.pem'),
      tlsServerName: 'kubernetes',
      clusterExtension: extension,
      kubeconfig: at('config'),
    });
    const { clusters } = parse(await readFile(at('config'), 'utf8')) as { clusters: [{ cluster: Mapping }] };
    const { cluster } = clusters[0];
    expect(Buffer.from(String(cluster['certificate-authority-data']), 'base64').toString()).toBe(
      `${cert.trimEnd()}\n${cert.trimEnd()}\n`,
    );
    expect(cluster).toMatchObject({
      server,
      'tls-server-name': 'kubernetes',
      extensions: [{ name: 'client.authentication.k8s.io/exec', extension }],
    });
  });
});

describe('what cannot be meant is refused before anything is touched', () => {
  test.each<[string, Partial<AddWanted>, string, RegExp]>([
    ['http', { server: 'http://api.example.com' }, 'usage', /must begin with https/],
    ['no URL', { server: 'api.example.com:6443' }, 'usage', /must begin with https|not a URL/],
    ['https without a host', { server: 'https:api.example.com' }, 'usage', /not a URL/],
    ['a password', { server: 'https://a:b@api.example.com' }, 'usage', /user name or password/],
    ['a query', { server: `${server}?a=b` }, 'usage', /query or fragment/],
    ['a control character', { server: `${server}/\u0007` }, 'usage', /not a URL/],
    ['no name', { server, name: '' }, 'usage', /name is empty/],
    ['a name that moves the cursor', { server, userName: 'a\u001b[2J' }, 'usage', /--user .* control characters/],
    ['a namespace that cannot be', { server, namespace: 'Web_1' }, 'usage', /--namespace Web_1/],
    ['a cluster that nobody knows', {}, 'usage', /no cluster "prod" .* no --server/],
    ['an empty --kubeconfig', { server, kubeconfig: '' }, 'usage', /--kubeconfig is empty/],
    ['no certificates', { server, clusterCertificateAuthority: '/dev/null' }, 'config_invalid', /no PEM certificate/],
    [
      'a missing file',
      { server, clusterCertificateAuthority: '/nowhere/ca.pem' },
      'config_invalid',
      /cannot be read: it does not exist/,
    ],
  ])('%s', async (_name, request, code, message) => {
    await expect(add(request)).rejects.toEqual(failsWith(code, message));
    expect(await readdir(folder)).toEqual([]);
  });

  test('a private key does not get into a kubeconfig', async () => {
    const { key, cert } = await (await createAuthority()).issueServer(['localhost']);
    await writeFile(at('both.pem'), cert + key);
    const both = { server, clusterCertificateAuthority: at('both.pem') };
    await expect(add(both)).rejects.toEqual(failsWith('config_invalid', /private key/));
    await writeFile(at('both.pem'), cert.replace(/\n.{8}/, '\nAAAAAAAA'));
    await expect(add(both)).rejects.toEqual(failsWith('config_invalid', /certificate 1 is damaged/));
  });

  test('an authority that kubectl could not hand to a plugin is refused, wherever it stands', async () => {
    const { cert } = await createAuthority();
    const bundleOf = (bytes: number) => cert.repeat(Math.ceil(bytes / cert.length));
    await writeFile(at('large.pem'), bundleOf(91_000));
    await writeFile(at('small.pem'), bundleOf(88_000));
    const refusal = failsWith('config_invalid', /one environment variable/);
    await expect(add({ server, clusterCertificateAuthority: at('large.pem') })).rejects.toEqual(refusal);
    const data = Buffer.from(bundleOf(91_000)).toString('base64');
    for (const cluster of [
      { server, 'certificate-authority': 'large.pem' },
      { server, 'certificate-authority-data': data },
    ]) {
      await writeFile(at('config'), JSON.stringify({ clusters: [{ name: 'prod', cluster }] }));
      await expect(add({ kubeconfig: at('config') })).rejects.toEqual(refusal);
    }
    await writeFile(at('config'), '');
    const small = { server, kubeconfig: at('config'), clusterCertificateAuthority: at('small.pem') };
    expect(await add(small)).toMatchObject({ outcome: 'written' });
  });

  test('without HOME and KUBECONFIG there is no place', async () => {
    await expect(add({ server }, { env: {} })).rejects.toEqual(failsWith('usage', /Neither KUBECONFIG nor HOME/));
    await expect(add({ server }, { env: { KUBECONFIG: delimiter } })).rejects.toEqual(
      failsWith('usage', /names no file/),
    );
  });

  test('what is not a kubeconfig is named with its place and stays', async () => {
    for (const [text, message] of [
      ['clusters: [\n', /config:2:1: this is not valid YAML/],
      [Buffer.from([0xff, 0xfe, 0x41]), /config is not text in UTF-8/],
      ['users: []\n---\nusers: []\n', /several YAML documents/],
    ] as const) {
      await writeFile(at('config'), text);
      await expect(add({ server, kubeconfig: at('config') })).rejects.toEqual(failsWith('kubeconfig_invalid', message));
      expect(await readFile(at('config'))).toEqual(Buffer.from(text));
    }
    await expect(add({ server, kubeconfig: folder })).rejects.toEqual(
      failsWith('storage_unavailable', /folder in its place/),
    );
  });
});

describe('an entry that is there already', () => {
  const config = () => at('config');
  const original = `# mine
users:
- name: kleis-prod
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      args: [--issuer-url=https://sso.example.com]
      command: kleis-credential # ours
      env:
      - {name: KLEIS_LOG, value: debug}
      installHint: "Kleis signs you in to this cluster. To install it: npm install --global kleis, or see https://github.com/kleis-dev/kleis/blob/main/docs/install.md"
      interactiveMode: IfAvailable
      provideClusterInfo: true
clusters:
- name: prod
  cluster: {server: 'https://api.example.com:6443', proxy-url: '', certificate-authority: ca.crt}
contexts:
- name: prod
  context: {cluster: prod, user: kleis-prod, namespace: web}
current-context: other
`;

  test('with the same content is left alone, down to the time of the file', async () => {
    await writeFile(config(), original);
    await utimes(config(), 1000, 1000);
    for (const request of [{ server }, {}, { server, yes: true }]) {
      expect((await add({ ...request, kubeconfig: config() })).outcome).toBe('unchanged');
    }
    expect((await stat(config())).mtimeMs).toBe(1_000_000);
    expect(await readFile(config(), 'utf8')).toBe(original);
  });

  test('with other content is changed when the person says so, and what is not named stays', async () => {
    await writeFile(config(), original);
    const request = { args: ['--issuer-url=https://other.example.com', '--dpop'], kubeconfig: config() };
    for (const answer of ['\n', 'n\n', 'yesterday\n', '']) {
      const declined = await add(request, { answer });
      expect(declined).toMatchObject({ outcome: 'declined', stdout: '' });
      expect(declined.stderr).toContain('This changes the user "kleis-prod"');
      expect(declined.stderr).toContain('(exec changes)');
      expect(await readFile(config(), 'utf8')).toBe(original);
    }
    expect((await add(request, { answer: 'y\n' })).outcome).toBe('written');
    expect(await readFile(config(), 'utf8')).toBe(
      original.replace(
        'args: [--issuer-url=https://sso.example.com]',
        'args:\n      - --issuer-url=https://other.example.com\n      - --dpop',
      ),
    );
  });

  test('that became another one while the person was asked is asked about again', async () => {
    await writeFile(config(), original);
    const meanwhile = original.replace('command: kleis-credential # ours', 'command: other');
    const { outcome, stderr } = await add(
      { args: ['--dpop'], kubeconfig: config() },
      {
        async answer(nth) {
          if (nth > 1) return '';
          await writeFile(config(), meanwhile);
          return 'y\n';
        },
      },
    );
    expect(outcome).toBe('declined');
    expect(stderr.match(/Replace\?/g)).toHaveLength(2);
    expect(await readFile(config(), 'utf8')).toBe(meanwhile);
  });

  test('is not changed where nobody can be asked, unless --yes says it beforehand', async () => {
    await writeFile(config(), original);
    const request = { server: 'https://new.example.com', kubeconfig: config() };
    await expect(add(request)).rejects.toEqual(failsWith('usage', /server: https:\/\/api.* → https:\/\/new/, /--yes/));
    expect(await readFile(config(), 'utf8')).toBe(original);
    await add({ ...request, yes: true });
    // What vouched for the old server does not vouch for the new one.
    expect(await readFile(config(), 'utf8')).toBe(
      original.replace(/cluster: \{server.*/, `cluster: {server: "https://new.example.com", proxy-url: ''}`),
    );
  });

  test('that signs in otherwise is replaced as a whole, and its secrets are not shown', async () => {
    const text = `users:\n- name: u\n  user:\n    token: hunter2\n    client-key-data: hunter3\n`;
    await writeFile(config(), text);
    const request = { server, userName: 'u', kubeconfig: config() };
    const { stderr } = await add(request, { answer: 'y\n' });
    expect(stderr).toContain('(token is removed, client-key-data is removed, exec is added)');
    expect(stderr).not.toContain('hunter');
    expect(await readFile(config(), 'utf8')).not.toContain('hunter');
  });

  test('a cluster without --server is used as it is; an insecure one is warned about', async () => {
    await writeFile(
      config(),
      'clusters:\n- {name: lab, cluster: {server: "https://lab", insecure-skip-tls-verify: true}}\n',
    );
    const { stderr } = await add({ clusterName: 'lab', kubeconfig: config() });
    expect(stderr).toContain('insecure-skip-tls-verify');
    expect(await readFile(config(), 'utf8')).toContain('insecure-skip-tls-verify: true}}\nusers:');
    await expect(add({ clusterName: 'other', kubeconfig: config() })).rejects.toEqual(
      failsWith('usage', /no cluster "other"/, /There is: lab\./),
    );
    // A certificate makes it secure: kubectl refuses both together.
    await writeFile(at('ca.pem'), (await createAuthority()).cert);
    await add({ clusterName: 'lab', clusterCertificateAuthority: at('ca.pem'), yes: true, kubeconfig: config() });
    expect(await readFile(config(), 'utf8')).not.toContain('insecure');
  });
});

describe('the current context', () => {
  test('is set where there is none, and otherwise only when asked', async () => {
    const request = { server, kubeconfig: at('config') };
    const current = async () => (parse(await readFile(at('config'), 'utf8')) as Mapping)['current-context'];
    await writeFile(at('config'), 'current-context: "" # none\n');
    await add(request);
    expect(await current()).toBe('prod');
    await add({ ...request, name: 'second' });
    expect(await current()).toBe('prod');
    await add({ ...request, name: 'second', current: true });
    expect(await current()).toBe('second');
    expect(await readFile(at('config'), 'utf8')).toMatch(/^current-context: second # none\n/);
  });
});

describe('--dry-run', () => {
  test('shows no password of a proxy, and what is written keeps it', async () => {
    const text = `apiVersion: v1
kind: Config
clusters:
- cluster:
    proxy-url: http://ann:hush@proxy.example.com:3128
    server: https://api.example.com:6443
  name: prod
`;
    await writeFile(at('config'), text);
    const { stdout } = await add({ name: 'prod', dryRun: true, kubeconfig: at('config') });
    expect(stdout).toContain('proxy-url: "http://ann:…@proxy.example.com:3128"');
    expect(stdout).not.toContain('hush');
    await add({ name: 'prod', kubeconfig: at('config') });
    expect(await readFile(at('config'), 'utf8')).toContain('http://ann:hush@proxy.example.com:3128');
  });

  test('prints a kubeconfig of the three entries and writes nothing', async () => {
    await writeFile(at('config'), 'clusters:\n- {name: prod, cluster: {server: "https://old"}}\nusers: []\n');
    const before = await readFile(at('config'), 'utf8');
    const { stdout, outcome } = await add({ server, dryRun: true, kubeconfig: at('config') });
    expect(outcome).toBe('dry-run');
    expect(stdout).toContain(`# Would change the cluster "prod" in ${at('config')}.\n`);
    const fragment = parseKubeconfig(stdout, 'stdout').value;
    expect(fragment).toMatchObject({ kind: 'Config', clusters: [{ name: 'prod', cluster: { server } }] });
    expect(await readFile(at('config'), 'utf8')).toBe(before);
    expect(await readdir(folder)).toEqual(['config']);
  });
});

describe('the file', () => {
  test('stays a link, and what it leads to keeps its mode', async () => {
    await mkdir(at('dotfiles'));
    await writeFile(at('dotfiles', 'config'), 'users: []\n');
    await chmod(at('dotfiles', 'config'), 0o640);
    await symlink(join('dotfiles', 'config'), at('link'));
    await symlink('link', at('config'));
    await add({ server, kubeconfig: at('config') });
    expect(await readlink(at('config'))).toBe('link');
    expect((await lstat(at('link'))).isSymbolicLink()).toBe(true);
    expect(await readFile(at('dotfiles', 'config'), 'utf8')).toContain('name: kleis-prod');
    expect((await stat(at('dotfiles', 'config'))).mode & 0o777).toBe(0o640);
    expect(await readdir(at('dotfiles'))).toEqual(['config']);
  });

  test('behind a link that leads to nothing yet is made', async () => {
    await symlink('later', at('config'));
    await add({ server, kubeconfig: at('config') });
    expect(await readlink(at('config'))).toBe('later');
    expect((await stat(at('later'))).mode & 0o777).toBe(0o600);
    await symlink('b', at('a'));
    await symlink('a', at('b'));
    await expect(add({ server, kubeconfig: at('a') })).rejects.toEqual(
      failsWith('storage_unavailable', /symbolic link/),
    );
  });

  test('keeps its owner and group when root writes it', async () => {
    await writeFile(at('config'), 'users: []\n');
    const root = process.getuid?.() === 0;
    if (root) await chown(at('config'), 1234, 1235);
    const { uid, gid } = await stat(at('config'));
    await add({ server, kubeconfig: at('config') });
    expect(await stat(at('config'))).toMatchObject({ uid, gid });
  });

  test('that its owner made read-only is not replaced', async () => {
    await writeFile(at('config'), 'users: []\n');
    await chmod(at('config'), 0o400);
    await asNobody(async () => {
      await expect(add({ server, kubeconfig: at('config') })).rejects.toEqual(
        failsWith('storage_unavailable', /no right/),
      );
    });
    expect(await readFile(at('config'), 'utf8')).toBe('users: []\n');
  });

  /** Root may do everything; then the files are another user's, and so are we. */
  async function asNobody(work: () => Promise<void>): Promise<void> {
    if (process.getuid?.() !== 0) return work();
    for (const name of ['.', ...(await readdir(folder))]) await chown(at(name), 65_534, 65_534);
    process.setegid?.(65_534);
    process.seteuid?.(65_534);
    try {
      await work();
    } finally {
      process.seteuid?.(0);
      process.setegid?.(0);
    }
  }

  test('that is no file is not replaced by one', async () => {
    await expect(add({ server, kubeconfig: '/dev/null' })).rejects.toEqual(
      failsWith('storage_unavailable', /not a regular file/),
    );
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
    expect(existsSync('/dev/null.lock')).toBe(false);
  });

  test('what a killed writer left is removed, and what another one is writing is not', async () => {
    const leftover = '.config.0123456789ab.kleis-tmp';
    const other = '.config.old.0123456789ab.kleis-tmp';
    await writeFile(at(leftover), 'token');
    await writeFile(at(other), 'token');
    await add({ server, kubeconfig: at('config') });
    expect((await readdir(folder)).toSorted()).toEqual([other, 'config'].toSorted());
  });
});

describe("client-go's lock", () => {
  test('of somebody else is waited for, and never taken away', async () => {
    await writeFile(at('config.lock'), '');
    const release = sleep(200).then(() => rm(at('config.lock')));
    await add({ server, kubeconfig: at('config') });
    await release;
    expect(await readdir(folder)).toEqual(['config']);
  });

  test('that stays is reported by name, and nothing is changed', async () => {
    await writeFile(at('config.lock'), '');
    let now = Date.now();
    const began = now;
    const clock = { now: () => now, sleep: async (milliseconds: number) => void (now += milliseconds) };
    await expect(add({ server, kubeconfig: at('config') }, { clock })).rejects.toEqual(
      failsWith('claim_held', /config\.lock exists, made \d+s ago/, /remove .*config\.lock/),
    );
    expect(now - began).toBeGreaterThanOrEqual(5000);
    expect(now - began).toBeLessThan(5100);
    expect(await readdir(folder)).toEqual(['config.lock']);
  });

  test('twenty at once: all are there, and the file is whole', async () => {
    const names = Array.from({ length: 20 }, (_unused, index) => `cluster-${index}`);
    await writeFile(at('config'), '# mine\nusers: []\n');
    await link(at('config'), at('before'));
    await Promise.all(names.map((name) => add({ name, server: `https://${name}`, kubeconfig: at('config') })));
    const text = await readFile(at('config'), 'utf8');
    const { value } = parseKubeconfig(text, 'config');
    for (const section of sections) expect((value[section] as unknown[]).length).toBe(20);
    expect(text.startsWith('# mine\n')).toBe(true);
    expect(names).toContain(value['current-context']);
    expect(await readFile(at('before'), 'utf8')).toBe('# mine\nusers: []\n');
    expect((await readdir(folder)).toSorted()).toEqual(['before', 'config']);
  });

  // Not kubectl itself, which reads before it locks, and removes what came in between (ModifyConfig of client-go).
  test('others who lock, empty the file and write it, lose nothing and make us lose nothing', async () => {
    await writeFile(at('config'), 'users: []\n');
    const names = Array.from({ length: 10 }, (_unused, index) => `n${index}`);
    const theirs = async (name: string) => {
      const deps = { clock: realClock, signal: new AbortController().signal };
      await withLocks([at('config')], deps, async () => {
        const config = parse(await readFile(at('config'), 'utf8')) as { contexts?: unknown[] };
        await writeFile(at('config'), '');
        await sleep(10);
        await writeFile(
          at('config'),
          stringify({ ...config, contexts: [...(config.contexts ?? []), { name: `t-${name}` }] }),
        );
      });
    };
    const ours = (name: string) => add({ server, name: `o-${name}`, kubeconfig: at('config') });
    await Promise.all(names.flatMap((name) => [theirs(name), ours(name)]));
    const { contexts } = parse(await readFile(at('config'), 'utf8')) as { contexts: { name: string }[] };
    expect(contexts.map(({ name }) => name).toSorted()).toEqual(
      names.flatMap((name) => [`o-${name}`, `t-${name}`]).toSorted(),
    );
  });
});

describe('killed in mid-write', () => {
  test('the file is the old one or the new one', async () => {
    const program = at('write.mjs');
    const module = await bundle('cli/kubeconfig/write.ts');
    const big = (letter: string) => `# ${letter.repeat(3_000_000)}\n`;
    await writeFile(
      program,
      `import { replaceKubeconfig } from ${JSON.stringify(module)};
       const big = (letter) => '# ' + letter.repeat(3000000) + '\\n';
       process.stdout.write('.');
       for (let turn = 0; ; turn++) await replaceKubeconfig(${JSON.stringify(at('config'))}, big(turn % 2 ? 'a' : 'b'));`,
    );
    await writeFile(at('config'), big('a'));
    for (let round = 0; round < 5; round++) {
      const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(child.stdout, 'data');
      // Anywhere between opening and renaming: the moment is drawn, the result must hold for each.
      await sleep(Math.random() * 60);
      child.kill('SIGKILL');
      await once(child, 'exit');
      const text = await readFile(at('config'), 'utf8');
      expect(text === big('a') || text === big('b')).toBe(true);
    }
  });
});

describe.skipIf(!needs('kubectl'))('beside kubectl', () => {
  const kubectl = async (args: readonly string[], kubeconfig: string) =>
    (await run(needs('kubectl') ?? '', args, { cwd: folder, env: { HOME: folder, KUBECONFIG: kubeconfig } })).stdout;
  const minimal = (name: string) =>
    `users: [{name: ${name}, user: {token: ${name}}}]\nclusters: [{name: ${name}, cluster: {server: "https://${name}"}}]\n`;

  test('what was added to any kubeconfig, kubectl reads as it was meant', async () => {
    await fc.assert(
      fc.asyncProperty(randomKubeconfig, async ({ text, value }) => {
        await writeFile(at('config'), text);
        await add({ server, name: 'added by us', kubeconfig: at('config') });
        const seen = JSON.parse(await kubectl(['config', 'view', '--raw', '-o', 'json'], at('config'))) as Mapping;
        for (const section of sections) {
          const names = (list: unknown) => ((list ?? []) as { name: string }[]).map(({ name }) => name);
          const ours = section === 'users' ? 'kleis-added by us' : 'added by us';
          expect(names(seen[section]).toSorted()).toEqual([...names(value[section]), ours].toSorted());
          const entry = (seen[section] as Mapping[]).find(({ name }) => name === ours);
          expect(entry?.[bodyKey(section)]).toMatchObject(
            {
              clusters: { server },
              users: {
                exec: { command: 'kleis-credential', provideClusterInfo: true, interactiveMode: 'IfAvailable' },
              },
              contexts: { cluster: 'added by us', user: 'kleis-added by us' },
            }[section],
          );
        }
      }),
      { numRuns: 30, interruptAfterTimeLimit: 10_000 },
    );
  });

  test.each([
    ['all exist', ['a', 'b', 'c'], 'a:b:c'],
    ['the first is missing', ['b', 'c'], 'a:b:c'],
    ['the last alone exists', ['c'], 'a:b:c'],
    ['none exists', [], 'a:b:c'],
    ['the only one is missing', [], 'a'],
    ['empty parts and repetitions', ['b', 'c'], ':b::b:c'],
  ])('of several files, new entries go to the one that kubectl takes: %s', async (_name, existing, variable) => {
    const outcome = async (act: (kubeconfig: string) => Promise<unknown>) => {
      const parts = variable.split(':').map((part) => (part === '' ? '' : at(part)));
      for (const name of existing) await writeFile(at(name), minimal(name));
      await act(parts.join(delimiter));
      const files = (await readdir(folder)).filter((name) => /^[abc]$/.test(name));
      const changed = [];
      for (const name of files) if ((await readFile(at(name), 'utf8')).includes('new')) changed.push(name);
      for (const name of files) await rm(at(name));
      return changed;
    };
    const theirs = await outcome((kubeconfig) =>
      kubectl(['config', 'set-cluster', 'new', `--server=${server}`], kubeconfig),
    );
    const ours = await outcome((KUBECONFIG) => add({ server, name: 'new' }, { env: { HOME: folder, KUBECONFIG } }));
    expect(theirs).toHaveLength(1);
    expect(ours).toEqual(theirs);
  });

  test('of several files, an entry is changed where it is, and the others stay byte for byte', async () => {
    const KUBECONFIG = ['a', 'b', 'c'].map((name) => at(name)).join(delimiter);
    for (const name of ['a', 'b', 'c']) await writeFile(at(name), minimal(name));
    await writeFile(at('c'), minimal('b'));
    await kubectl(['config', 'set-cluster', 'b', '--server=https://theirs'], KUBECONFIG);
    expect(await readFile(at('b'), 'utf8')).toContain('https://theirs');
    const result = await add({ server, name: 'b', yes: true }, { env: { KUBECONFIG } });
    expect(result.changes.map(({ what, file }) => [what, file])).toEqual([
      ['cluster', at('b')],
      ['user', at('a')],
      ['context', at('a')],
      ['current-context', at('a')],
    ]);
    expect(await readFile(at('b'), 'utf8')).toContain(server);
    expect(await readFile(at('c'), 'utf8')).toBe(minimal('b'));
    expect(
      (
        await kubectl(['config', 'view', '-o', 'jsonpath={.clusters[?(@.name=="b")].cluster.server}'], KUBECONFIG)
      ).trim(),
    ).toBe(server);
    expect((await kubectl(['config', 'current-context'], KUBECONFIG)).trim()).toBe('b');
  });

  test('a file of KUBECONFIG that cannot be locked does not matter if it need not be changed', async () => {
    await mkdir(at('theirs'));
    await writeFile(at('theirs', 'config'), minimal('admin'));
    await writeFile(at('theirs', 'config.lock'), '');
    await writeFile(at('mine'), '');
    const KUBECONFIG = [at('mine'), at('theirs', 'config')].join(delimiter);
    expect((await add({ clusterName: 'admin', name: 'me' }, { env: { KUBECONFIG } })).outcome).toBe('written');
  });

  test('the lock that we hold is the one that kubectl respects', async () => {
    await writeFile(at('config'), minimal('a'));
    const set = () => kubectl(['config', 'set-context', 'new', '--cluster=a'], at('config'));
    const deps = { clock: realClock, signal: new AbortController().signal };
    await expect(withLocks([at('config')], deps, set)).rejects.toThrow(/config\.lock: file exists/);
    expect(await readFile(at('config'), 'utf8')).toBe(minimal('a'));
    await set();
  });
});
