import { existsSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { helpPages } from '../../manual.ts';
import { built } from '../support/built.ts';
import { createPerson, type Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';

// The commands that ask no provider, by real argv.

let programs: Awaited<ReturnType<typeof built>>;
let person: Person;
beforeAll(async () => {
  programs = await built();
});
afterEach(() => person?.remove());
afterAll(() => person?.remove());

async function newcomer(config: Record<string, unknown> = {}): Promise<Person> {
  person = await createPerson({ ...programs, config });
  return person;
}

const add = [
  'kubeconfig',
  'add',
  '--offline',
  'prod',
  '--server',
  'https://prod.example.com',
  '--issuer-url',
  'https://x.example',
];

describe('help', () => {
  it.each([
    ['kleis', ['--help']],
    ['kleis', ['login', '--help']],
    ['kleis', ['kubeconfig', 'add', '--help']],
    ['kleis', ['kubeconfig', 'migrate', '--help']],
    ['kleis', ['help', 'status']],
    ['kleis-get-token', ['--help']],
  ])('%s %j goes to stdout and fits a terminal', async (program, args) => {
    await newcomer();
    const { code, stdout, stderr } = await person.run(program, args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: kleis/);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(stdout).not.toMatch(/--background|--rejected|__complete/);
    expect(stdout).not.toContain('\u001b');
  });

  it('that the build took from the commands is what the commands say themselves', async () => {
    await newcomer();
    for (const page of helpPages) {
      const file = join(programs.dist, 'help', `${page.name.replaceAll(' ', '.')}.json`);
      expect(JSON.parse(await readFile(file, 'utf8')), page.name).toEqual(page);
    }
    for (const [program, ...words] of [['kleis'], ['kleis', 'kubeconfig', 'add'], ['kleis-broker', 'audit', 'show']]) {
      const atOnce = await person.run(program ?? '', [...words, '--help']);
      // With anything else on the line it is made anew.
      const anew = await person.run(program ?? '', [...words, '--help', '--help']);
      expect(atOnce).toMatchObject({ code: 0, stdout: anew.stdout, stderr: '' });
      const coloured = await person.run(program ?? '', [...words, '-h'], { env: { FORCE_COLOR: '1' } });
      expect(coloured.stdout).toContain('\u001b[1mUsage:');
    }
    // What is no command has no help.
    for (const words of [['kubeconfig-add'], ['kubeconfig.add'], ['..'], ['broker'], ['kubeconfig', 'x']]) {
      expect((await person.run('kleis', [...words, '--help'])).stdout, words.join(' ')).not.toMatch(
        /^Usage: \S+ \S+ add/,
      );
    }
  });

  it('every flag is in the reference', async () => {
    await newcomer();
    const reference = await readFile(new URL('../../docs/cli.md', import.meta.url), 'utf8');
    for (const args of [
      ['login'],
      ['logout'],
      ['status'],
      ['get-token'],
      ['kubeconfig', 'add'],
      ['kubeconfig', 'list'],
      ['kubeconfig', 'remove'],
      ['kubeconfig', 'merge'],
      ['kubeconfig', 'migrate'],
      ['config'],
      ['token'],
      ['revoke'],
    ]) {
      const { stdout } = await person.run('kleis', [...args, '--help']);
      for (const [, flag = ''] of stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)) {
        if (flag !== '--help') expect(reference, args.join(' ')).toMatch(new RegExp(`(?<![\\w-])${flag}(?![\\w-])`));
      }
    }
  });
});

describe('usage', () => {
  it.each([
    [['frobnicate'], /unknown command/],
    [['login', '--isuer-url', 'x'], /Did you mean --issuer-url/],
    [['get-token', '--login', 'magic'], /Allowed choices/],
    [['get-token', '--browser-command', 'x'], /unknown option/],
    [['get-token', 'surplus'], /too many arguments/],
    [['status', '-o', 'xml'], /Allowed choices/],
    [['kubeconfig', 'add'], /The context has no name/],
    [['logout', '--context', 'x'], /kubeconfig/],
  ] as const)('%j fails with a reason, and nothing on stdout', async (args, reason) => {
    await newcomer();
    const { code, stdout, stderr } = await person.run('kleis', args);
    expect({ code, stdout }).toEqual({ code: args[0] === 'logout' ? 6 : 2, stdout: '' });
    expect(stderr).toMatch(reason);
  });

  it.each([
    [
      ['login', '--issuer\u200b-url', 'x'],
      String.raw`unknown option '--issuer\u{200b}-url'`,
      String.raw`"--issuer\u{200b}-url" holds`,
    ],
    [['login\u2060'], String.raw`unknown command 'login\u{2060}'`, String.raw`"login\u{2060}" holds`],
    [['login', '\u2013-issuer-url', 'x'], 'too many arguments', '–-issuer-url begins with U+2013, which is no hyphen'],
    [
      ['login', '--account', 'a\u00a0b', '--issuer-url', 'https://x.example'],
      String.raw`--account "a\u{a0}b"`,
      'letters',
    ],
    [
      ['login', '--issuer-url', 'https://x.example\u200b'],
      String.raw`--issuer-url "https://x.example\u{200b}"`,
      'not a URL',
    ],
    [['login', '--issuer-url', ' https://x.example'], '--issuer-url " https://x.example"', 'not a URL'],
    [['login', '--context', 'prod\u200b'], String.raw`no context "prod\u{200b}"`, 'There is: prod'],
    [['login', '\u001b[2J'], 'too many arguments', String.raw`"\u{1b}[2J" holds`],
    [['kubeconfig', 'add', 'a\u200b', '--issuer-url', 'https://x.example'], String.raw`"a\u{200b}"`, ''],
    [['token', '-o', 'env', '--server', 'https://a.example\u00ad'], String.raw`--server "https://a.example\u{ad}"`, ''],
  ])('%j is shown with what nobody sees in it', async (args, what, why) => {
    await newcomer();
    await person.run('kleis', add);
    const { code, stdout, stderr } = await person.run('kleis', args);
    expect([2, 6]).toContain(code);
    expect(stdout).toBe('');
    expect(stderr).toContain(what);
    expect(stderr).toContain(why);
    // oxlint-disable-next-line no-control-regex -- that is what must not come through
    expect(stderr).not.toMatch(/[\u001b\u00a0\u00ad\u200b\u2060]/);
  });

  it.each([
    ['https://login.microsoftonline.com/{tenantid}/v2.0', 'holds {tenantid}', 'id of your tenant'],
    ['https://login.example.com/realms/<realm>', 'holds <realm>', 'in its place'],
    [
      'https://login.example.com/x/.well-known/openid-configuration',
      'a description',
      '--issuer-url https://login.example.com/x\n',
    ],
    [
      'https://login.example.com/.well-known/oauth-authorization-server',
      'a description',
      '--issuer-url https://login.example.com\n',
    ],
  ])('an issuer %s leads to the right one', async (issuer, what, next) => {
    await newcomer();
    const { code, stderr } = await person.run('kleis', ['login', '--issuer-url', issuer]);
    expect(code).toBe(6);
    expect(stderr).toContain(what);
    expect(stderr).toContain(next);
  });

  it('a KUBECONFIG with blanks beside its names is said, and nothing is written beside the right one', async () => {
    await newcomer();
    for (const KUBECONFIG of [` ${person.home}/a`, `${person.home}/a : ${person.home}/b`, '   ']) {
      for (const args of [['login'], ['token', '--context', 'prod'], add]) {
        const { code, stderr } = await person.run('kleis', args, { env: { KUBECONFIG } });
        expect([2, 6]).toContain(code);
        expect(stderr).toMatch(/" .*"|".* "/);
        expect(stderr).toContain('blank');
      }
    }
    expect(
      (await readdir(person.home)).filter((name) => /a|b| /.test(name) && !/^(?:\.|bin|browser|provider)/.test(name)),
    ).toEqual([]);
  });

  it('`kleis-get-token` knows nothing but its flags: no command hides in it', async () => {
    await newcomer();
    for (const word of ['login', 'kubeconfig', 'help', 'get-token', '__complete']) {
      expect(await person.run('kleis-get-token', [word]), word).toMatchObject({ code: 2, stdout: '' });
    }
  });
});

it('status of nobody is an empty list, not an error', async () => {
  await newcomer();
  expect(await person.run('kleis', ['status', '-o', 'json'])).toMatchObject({
    code: 0,
    stdout: '{\n  "contexts": [],\n  "sessions": [],\n  "credentials": []\n}\n',
  });
  expect(await person.run('kleis', ['status'])).toMatchObject({ code: 0, stdout: '' });
  expect(await person.run('kleis', ['status', '--quiet'])).toMatchObject({ code: 3, stdout: '', stderr: '' });
});

it('config shows each setting and where it comes from', async () => {
  await newcomer({ login: 'device' });
  const { stdout } = await person.run('kleis', ['config', '-o', 'json'], { env: { KLEIS_LOG: 'error' } });
  const { settings } = JSON.parse(stdout) as { settings: { key: string; value: unknown; source: string }[] };
  const of = (key: string) => settings.find((setting) => setting.key === key);
  expect(of('login')).toMatchObject({ value: 'device', source: expect.stringMatching(/config\.yaml:\d+$/) });
  expect(of('minValidity')).toMatchObject({ value: '1m', source: 'default' });
  // As they are, for programs: no words in their place.
  expect(of('confirmNewClusters')).toMatchObject({ value: false });
  expect(of('listenAddress')).toMatchObject({ value: ['localhost:8000', 'localhost:18000'] });
  expect(of('proxy')).toMatchObject({ value: null });
  expect(of('browserCommand')).toMatchObject({ value: [expect.stringContaining('browse')] });
  expect(of('log')).toMatchObject({ value: 'error', source: 'KLEIS_LOG' });
  expect(of('credentials')).toMatchObject({ source: 'XDG_RUNTIME_DIR' });
});

it.each([
  [['config', '-v', '-o', 'json'], 'error', 'debug', '-v'],
  [['config', '-o', 'json'], 'bogus', 'info', 'default'],
] as const)('%j with KLEIS_LOG=%s says what decided: %s', async (args, log, value, source) => {
  await newcomer();
  const { stdout, stderr } = await person.run('kleis', args, { env: { KLEIS_LOG: log } });
  const { settings } = JSON.parse(stdout) as { settings: { key: string }[] };
  expect(settings).toContainEqual({ key: 'log', value, source });
  expect(stderr.includes('KLEIS_LOG is bogus')).toBe(log === 'bogus');
});

it('colour is for terminals, and not where NO_COLOR is set', async () => {
  await newcomer();
  const coloured = await person.run('kleis', ['get-token'], { env: { FORCE_COLOR: '1' } });
  const plain = await person.run('kleis', ['get-token'], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } });
  expect(coloured.stderr).toContain('\u001b[31merror:');
  expect(plain.stderr).not.toContain('\u001b');
});

describe('completion', () => {
  const complete = async (...words: string[]) => {
    const { stdout } = await person.run('kleis', ['__complete', '--shell', 'zsh', '--', ...words]);
    return stdout.split('\n').flatMap((line) => line.split('\t')[0] || []);
  };

  it('offers contexts where a context belongs, however many, and files where files do', async () => {
    await newcomer();
    await person.run('kleis', add);
    for (const verb of ['use', 'rename', 'remove', 'migrate']) {
      expect(await complete('kubeconfig', verb, ''), verb).toEqual(['prod']);
    }
    expect(await complete('kubeconfig', 'remove', 'other', 'p')).toEqual(['prod']);
    expect(await complete('kubeconfig', 'rename', 'prod', '')).toEqual([]);
    expect(await complete('kubeconfig', 'merge', '')).toEqual([]);
    expect(await complete('kubeconfig', '')).toEqual(
      expect.arrayContaining(['add', 'list', 'use', 'rename', 'remove', 'merge', 'migrate']),
    );
  });

  it('offers commands, flags, and the values of a flag', async () => {
    await newcomer();
    expect(await complete('')).toEqual(expect.arrayContaining(['login', 'logout', 'status', 'kubeconfig']));
    expect(await complete('lo')).toEqual(['login', 'logout']);
    expect(await complete('kubeconfig', '')).toContain('add');
    expect(await complete('login', '--log')).toEqual(['--login', '--login-timeout']);
    expect(await complete('login', '--login', '')).toEqual(['auto', 'browser', 'device', 'paste']);
    expect(await complete('login', '--login=d')).toEqual(['--login=device']);
    expect(await complete('completion', 'z')).toEqual(['zsh']);
    expect(await complete('login', '--issuer-url', '')).toEqual([]);
  });

  it('offers the contexts of the kubeconfig', async () => {
    await newcomer();
    expect(await person.run('kleis', add)).toMatchObject({ code: 0 });
    expect(await complete('login', '--context', '')).toEqual(['prod']);
  });

  // Without /dev/fd, as where /proc is not mounted, bash has no `<(…)`.
  it.skipIf(!needs('bash') || !existsSync('/dev/fd'))('works in bash, also behind an equals sign', async () => {
    await newcomer();
    const script = `source <(kleis completion bash)
try() { COMP_LINE=$1 COMP_POINT=\${#1}; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _kleis; echo "\${COMPREPLY[*]}"; }
try 'kleis lo' kleis lo
try 'kleis login --login=d' kleis login --login = d
try 'kleis completion ' kleis completion ''`;
    const { stdout, stderr } = await person.run('bash', ['-c', script]);
    expect({ stdout, stderr }).toEqual({ stdout: 'login logout\ndevice\nbash zsh fish powershell\n', stderr: '' });
  });

  it.skipIf(!needs('kubectl'))('works through kubectl, which hands on what its own script can take', async () => {
    await newcomer();
    await person.run('kleis', add);
    const text = await readFile(person.kubeconfig, 'utf8');
    const other = (name: string) => `- context: {cluster: c, user: u}\n  name: ${JSON.stringify(name)}\n`;
    const names = ['p$(touch RAN)', 'p a', 'p:1@x'];
    await writeFile(person.kubeconfig, text.replace('contexts:\n', `contexts:\n${names.map(other).join('')}`));
    const asked = async (...words: string[]) => {
      const { stdout } = await person.run(needs('kubectl') ?? '', ['__complete', 'kleis', ...words]);
      return stdout.split('\n').map((line) => line.split('\t')[0]);
    };
    expect(await asked('login', '--context', '')).toEqual(['p:1@x', 'prod', ':4', '']);
    expect(await asked('kubeconfig', 'r')).toEqual(['rename', 'remove', ':4', '']);
    // Where a file belongs.
    expect(await asked('kubeconfig', 'merge', '')).toEqual([':0', '']);
  });

  it.skipIf(!needs('zsh'))('is a script that zsh accepts', async () => {
    await newcomer();
    const file = join(person.home, 'kleis.zsh');
    await writeFile(file, (await person.run('kleis', ['completion', 'zsh'])).stdout);
    const script = `autoload -U compinit && compinit -u; source ${file}; print -r -- $_comps[kleis] $_comps[kubectl-kleis]`;
    expect(await person.run('zsh', ['-c', script])).toMatchObject({ code: 0, stdout: '_kleis _kleis\n' });
    // Where a package puts it; what it offers at the first Tab.
    await rename(file, join(person.home, '_kleis'));
    const first = `fpath=(${person.home} $fpath); autoload -U compinit && compinit -u; compadd() { print -r -- $found }
words=(kleis completion z) CURRENT=3 PREFIX=z; $_comps[kleis]; $_comps[kleis]`;
    expect(await person.run('zsh', ['-c', first])).toMatchObject({ code: 0, stdout: 'zsh\nzsh\n' });
  });
});
