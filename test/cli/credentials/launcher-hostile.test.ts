import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { needs } from '../../support/needs.ts';
import { until } from '../../support/wait.ts';
import { args, createWorld, setTime, shells } from './launcher-world.ts';

const text = `{"token":"${'stored'.repeat(20)}"}\n`;
const brought = '{"token":"brought"}\n';
const asRoot = process.getuid?.() === 0;

describe.each(shells)('the launcher on $name', ({ name: shellName, command }) => {
  const whole = () => createWorld(command);

  test('never prints any part of a credential that was cut off, wherever that was', async () => {
    const world = await whole();
    const file = world.store(text);
    const all = readFileSync(file, 'utf8');
    const end = all.indexOf("T='") + 3;
    for (const length of [0, 1, 5, 40, end - 4, end - 2, end - 1, end, end + 20, all.length - 3, all.length - 2]) {
      writeFileSync(file, all);
      truncateSync(file, length);
      setTime(file, 3_600_000);
      const outcome = await world.run();
      expect([length, outcome.stdout, outcome.stderr, outcome.code]).toEqual([length, brought, '', 0]);
      expect(readFileSync(file, 'utf8')).toContain('brought');
    }
  });

  test.each([
    ['an empty text', (all: string) => all.replace(/T='.*'/, "T=''")],
    ['a text that is no object', (all: string) => all.replace(/T='.*'/, "T='hello'")],
    ['no text', (all: string) => all.replace(/T=.*\n/, '')],
    ['a syntax error', (all: string) => `)(\n${all}`],
    ['an open quote', (all: string) => `'${all}`],
    ['noise', () => Buffer.from(Array.from({ length: 2000 }, (_, at) => (at * 7) % 256)).toString('latin1')],
    ['the end of the shell', (all: string) => `exit 0\n${all}`],
  ])('leaves a file with %s to Node', async (_, damage) => {
    const world = await whole();
    const file = world.store(text);
    writeFileSync(file, damage(readFileSync(file, 'utf8')));
    setTime(file, 3_600_000);
    expect(await world.run()).toMatchObject({ code: 0, stdout: brought, stderr: '' });
    expect(world.starts()).toMatchObject([{ mode: 'normal', args }]);
  });

  test('a credential that somebody renamed runs nothing and is left to Node', async () => {
    const world = await whole();
    const file = world.store(text);
    const evidence = join(world.root, 'evidence');
    renameSync(file, `${file} L=;printf x >"$EVIDENCE" #`);
    expect(await world.run({ env: { EVIDENCE: evidence }, times: 3 })).toMatchObject({ code: 0 });
    expect(existsSync(evidence)).toBe(false);
    expect(world.starts()).not.toEqual([]);
  });

  test('an old text does not pass for fresh by the time of the file that takes its place', async () => {
    const world = await whole();
    const file = world.store('{"token":"new"}\n');
    const next = join(world.root, 'next');
    renameSync(file, next);
    setTime(world.store(text), -2000);
    // While the shell reads it, the file is replaced.
    appendFileSync(file, `/bin/mv -f '${next}' '${file}'\n`);
    setTime(file, -2000);
    expect(await world.run()).toMatchObject({ code: 0, stdout: '{"token":"new"}\n', stderr: '' });
  });

  test('nothing runs of what a longer record of who asked has left', async () => {
    const world = await whole();
    setTime(world.store(text), -2000);
    for (let slot = 0; slot < 64; slot++) {
      const path = join(world.cache, `asked-${slot}`);
      const rest = `: >${world.root}/evil\n`.repeat(20);
      writeFileSync(path, `#\nP=1 N= L=\nreturn\n${rest}`, { mode: 0o600 });
    }
    expect(await world.run({ times: 2 })).toMatchObject({ code: 0, stdout: brought.repeat(2), stderr: '' });
    expect(existsSync(join(world.root, 'evil'))).toBe(false);
  });

  test.skipIf(!asRoot)('waits for no claim of another user', async () => {
    const world = await whole();
    setTime(world.store(text), -2000);
    const claim = world.file('claim-');
    writeFileSync(claim, `${process.pid}\n`);
    setTime(claim, 60_000);
    chownSync(claim, 12345, 12345);
    const run = world.run();
    await until('Node', () => world.starts().length === 1);
    rmSync(claim);
    expect(await run).toMatchObject({ code: 0, stdout: brought });
  });

  test('a file with nothing but the end of time is not fresh for ever: Node looks at the time', async () => {
    const world = await whole();
    const file = world.store(text);
    setTime(file, -1_000_000_000);
    expect(await world.run()).toMatchObject({ code: 0, stdout: brought });
  });

  test('prints nothing of a link, to a file or a folder', async () => {
    const world = await whole();
    const file = world.store(text);
    renameSync(file, join(world.root, 'elsewhere'));
    symlinkSync(join(world.root, 'elsewhere'), file);
    world.plan({ keep: false });
    expect(await world.run()).toMatchObject({ code: 0, stdout: brought });
    const other = await whole();
    other.store(text);
    other.plan({ keep: false });
    const link = join(other.root, 'link');
    symlinkSync(other.cache, link);
    for (const dir of [link, `${link}/`]) {
      expect(await other.run({ env: { KLEIS_CACHE_DIR: dir } })).toMatchObject({ code: 0, stdout: brought });
    }
    expect(other.starts()).toHaveLength(2);
  });

  test('runs nothing that stands in a folder which others can write', async () => {
    const world = await whole();
    setTime(world.store(text), -10);
    const planted = world.file('failed-');
    writeFileSync(planted, `: >${world.root}/evil\n`, { mode: 0o600 });
    setTime(planted, 3_600_000);
    chmodSync(world.cache, 0o722);
    const outcome = await world.run();
    expect(outcome).toMatchObject({ code: 0, stdout: brought });
    expect(outcome.stderr).toContain('could be used by others (mode 722)');
    expect(existsSync(join(world.root, 'evil'))).toBe(false);
    expect(await world.run()).toMatchObject({ code: 0, stdout: brought, stderr: '' });
    expect(world.starts()).toHaveLength(1);
  });

  test('writes through no link', async () => {
    const world = await whole();
    world.store(text);
    const victim = join(world.root, 'victim');
    writeFileSync(victim, 'precious');
    for (let slot = 0; slot < 64; slot++) {
      rmSync(join(world.cache, `asked-${slot}`), { force: true });
      symlinkSync(victim, join(world.cache, `asked-${slot}`));
    }
    expect(await world.run()).toMatchObject({ code: 0, stdout: text });
    expect(readFileSync(victim, 'utf8')).toBe('precious');
  });

  test.skipIf(!asRoot)('prints nothing, and runs nothing, of another user’s', async () => {
    const world = await whole();
    const file = world.store(text);
    appendFileSync(file, `: >${world.root}/evil\n`);
    setTime(file, 3_600_000);
    world.plan({ keep: false });
    chownSync(file, 12345, 12345);
    expect(await world.run()).toMatchObject({ code: 0, stdout: brought });
    chownSync(file, 0, 0);
    chownSync(world.cache, 12345, 12345);
    expect(await world.run()).toMatchObject({ code: 0, stdout: brought });
    expect(existsSync(join(world.root, 'evil'))).toBe(false);
  });

  test('a trace, exported functions and variables of the caller have no say and show nothing', async () => {
    const world = await whole();
    world.store(text);
    // Not those of POSIX's special built-ins: with them bash itself refuses to start.
    const evil = `() { : >${world.root}/evil; }`;
    const names = ['test', 'printf', 'command', 'umask', 'kill', 'read', 'sleep', 'mkdir', 'mv', 'rm', 'join', 'look'];
    const variables = [...'ACEGJLMNOPQTW', 'arguments', 'exec_info', 'fresh', 'given', 'job', 'name', 'rejected'];
    const env = {
      SHELLOPTS: 'allexport:xtrace:verbose:noglob:nounset:noclobber',
      PS4: 'TRACE ',
      IFS: '-',
      ENV: join(world.root, 'rc'),
      BASH_ENV: join(world.root, 'rc'),
      GLOBIGNORE: '*',
      CDPATH: '/',
      ...Object.fromEntries(names.map((name) => [`BASH_FUNC_${name}%%`, evil])),
      ...Object.fromEntries(variables.map((name) => [name, 'theirs'])),
    };
    writeFileSync(join(world.root, 'rc'), `: >${world.root}/evil; alias printf=false test=false\n`);
    const hit = await world.run({ env, direct: true });
    expect(hit).toMatchObject({ code: 0, stdout: text });
    // bash says that it sets +x, before that has any effect.
    expect(hit.stderr).not.toContain('stored');
    const miss = await world.run({ env, args: ['else'], direct: true });
    expect(miss).toMatchObject({ code: 0, stdout: brought });
    // What is exported stays so: Node must not find the credential in its environment, nor the browser it opens.
    setTime(world.file('soon-'), -2000);
    setTime(world.file(''), -2000);
    await world.run({ env, direct: true });
    for (const start of world.starts()) {
      expect(Object.values(start.env).join('\n')).not.toContain('stored');
      for (const name of variables) expect([name, start.env[name]]).toEqual([name, undefined]);
    }
    expect(existsSync(join(world.root, 'evil'))).toBe(false);
    expect(world.starts()).toHaveLength(2);
  });

  test('Node starts without what would load code into it, and with the locale of the caller', async () => {
    const world = await whole();
    const code = join(world.root, 'evil.cjs');
    writeFileSync(code, `require('fs').writeFileSync(${JSON.stringify(join(world.root, 'evil'))}, '')`);
    const env = {
      NODE_OPTIONS: `--require ${code}`,
      NODE_PATH: world.root,
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
      NODE_REPL_EXTERNAL_MODULE: code,
      NODE_EXTRA_CA_CERTS: '/nonexistent/ca.pem',
      LC_ALL: 'C.UTF-8',
    };
    expect(await world.run({ env })).toMatchObject({ code: 0, stdout: brought, stderr: '' });
    const [start] = world.starts();
    expect(start?.env).toMatchObject({
      KLEIS_EXTRA_CA_CERTS: '/nonexistent/ca.pem',
      LC_ALL: 'C.UTF-8',
      PATH: world.env.PATH,
    });
    for (const name of Object.keys(env).filter((each) => each.startsWith('NODE_'))) {
      expect(start?.env[name]).toBeUndefined();
    }
    expect(existsSync(join(world.root, 'evil'))).toBe(false);
    expect(await world.run({ args: ['else'] })).toMatchObject({ code: 0 });
    expect(world.starts()[1]?.env['LC_ALL']).toBeUndefined();
  });

  test.skipIf(!needs('mount'))('a full disk or a read-only one costs time, not the credential', async () => {
    const world = await whole();
    const disk = join(world.root, 'disk');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', disk]);
    onTestFinished(() => void spawnSync('umount', ['-l', disk]));
    const env = { KLEIS_CACHE_DIR: disk };
    expect(await world.run({ env })).toMatchObject({ code: 0, stdout: brought });
    spawnSync('sh', ['-c', 'cat /dev/zero >"$1"', 'sh', join(disk, 'filler')]);
    for (let call = 0; call < 3; call++) {
      expect(await world.run({ env })).toMatchObject({ code: 0, stdout: brought, stderr: '' });
    }
    // And where there was nothing before.
    expect(await world.run({ env, args: ['else'] })).toMatchObject({ code: 0, stdout: brought });
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const passedOver = await world.run({ env });
    expect(passedOver).toMatchObject({ code: 0, stdout: brought });
    expect(passedOver.stderr).toMatch(/^Credentials are kept in .*\.cache\/kleis: .* read-only\.\n$/);
    expect(await world.run({ env })).toMatchObject({ code: 0, stdout: brought, stderr: '' });
    expect(await world.run({ env, args: ['more'] })).toMatchObject({ code: 0, stdout: brought });
  });

  test.skipIf(!needs('strace'))('no process but the shell takes part in a hit', async () => {
    const world = await whole();
    world.store(text);
    const log = join(world.root, 'trace');
    const strace = ['-f', '-o', log, '-e', 'trace=clone,clone3,fork,vfork,execve'];
    const outcome = spawnSync('strace', [...strace, ...command, world.launcher, ...args], {
      env: { ...world.env, PATH: world.env.PATH ?? '' },
    });
    expect(outcome.stdout.toString()).toBe(text);
    const calls = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => /\b(?:clone3?|v?fork|execve)\(/.test(line));
    expect([shellName, calls.length]).toEqual([shellName, 1]);
  });
});

test('a folder that others can write is emptied and closed before it is used again', async () => {
  const world = await createWorld();
  const file = world.store(text);
  chmodSync(world.cache, 0o777);
  setTime(file, -2000);
  const outcome = await world.run();
  expect(outcome).toMatchObject({ code: 0, stdout: brought });
  expect(outcome.stderr).toContain('could be used by others (mode 777)');
  expect(await world.run()).toMatchObject({ code: 0, stdout: brought, stderr: '' });
  expect(world.starts()).toHaveLength(1);
});
