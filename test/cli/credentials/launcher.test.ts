import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { args, type Call, createWorld, execInfo, setTime, shells } from './launcher-world.ts';
import { closedFolder } from '../../support/bare-system.ts';
import { until } from '../../support/wait.ts';

const text = `{"token":"${'it\'s $(touch evil) `touch evil` \\n %s " ü '.repeat(20)}"}\n`;

describe.each(shells)('the launcher on $name', ({ command }) => {
  test('prints a fresh credential byte for byte, and starts nothing', async () => {
    const world = await createWorld(command);
    world.store(text);
    // Nothing to run: neither Node nor any program.
    rmSync(join(world.bin, 'kleis-get-token'));
    const outcome = await world.run({ env: { PATH: '/nonexistent' } });
    expect(outcome).toMatchObject({ code: 0, stdout: text, stderr: '' });
    expect(readdirSync(world.root)).not.toContain('evil');
  });

  test('answers with and without a terminal alike', async () => {
    const world = await createWorld(command);
    world.store(text);
    for (const info of [execInfo(undefined, true), execInfo(undefined, true).trim(), execInfo().trim()]) {
      expect(await world.run({ env: { KUBERNETES_EXEC_INFO: info } })).toMatchObject({ code: 0, stdout: text });
    }
    expect(world.starts()).toEqual([]);
  });

  const long = 'x'.repeat(10_000);
  test.each([
    ['another argument', { args: [...args, '--dpop'] }],
    ['arguments joined differently', { args: [...args.slice(0, 2), args.slice(2).join(' ')] }],
    ['an argument of the same length', { args: [...args.slice(0, 3), 'kleid'] }],
    ['another cluster', { env: { KUBERNETES_EXEC_INFO: execInfo('https://10.0.0.2:6443') } }],
    ['a cluster with much to say', { env: { KUBERNETES_EXEC_INFO: execInfo(long) } }],
    ['another job', { env: { CI_JOB_ID: '2' } }],
    ['another leg of the matrix', { env: { ACTIONS_ID_TOKEN_REQUEST_URL: 'https://example.com/2' } }],
    ['another home', { env: { HOME: '/nonexistent' } }],
    ['another state folder', { env: { KLEIS_STATE_DIR: '/nonexistent' } }],
  ])('does not answer %s with it', async (_, call) => {
    const world = await createWorld(command);
    world.store(text);
    expect(await world.run(call)).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n', stderr: '' });
    expect(world.starts()).toHaveLength(1);
    // What Node wrote is found the next time: both make the same key of the call.
    expect(await world.run(call)).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n', stderr: '' });
    expect(world.starts()).toHaveLength(1);
    expect(await world.run()).toMatchObject({ code: 0, stdout: text });
  });

  test.each([
    ['a line break in an argument', { args: [...args, 'a\nb'] }],
    ['a control character in an argument', { args: [...args, 'a\u0001b\u007f'] }],
    ['a line break in the home', { env: { HOME: '/a\nb' } }],
    ['no folder', { env: { KLEIS_CACHE_DIR: undefined, HOME: undefined } }],
    ['a relative folder', { env: { KLEIS_CACHE_DIR: 'cache' } }],
  ] satisfies [string, Call][])('leaves %s to Node, with all arguments as they are', async (_, call: Call) => {
    const world = await createWorld(command);
    world.plan({ keep: false });
    expect(await world.run(call)).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n', stderr: '' });
    expect(world.starts()).toMatchObject([{ mode: 'normal', args: call.args ?? args }]);
    expect(readdirSync(world.cache).filter((name) => !name.startsWith('asked-'))).toEqual([]);
  });

  test('a control character makes it another call, a line break too', async () => {
    const world = await createWorld(command);
    world.plan({ keep: false });
    const call = { args: [...args, 'ab', 'c'], env: { CI_JOB_ID: '12' } };
    world.store(text, call);
    expect(await world.run(call)).toMatchObject({ stdout: text });
    const others: Call[] = [
      { ...call, args: [...args, 'ab\nc'] },
      { ...call, args: [...args.slice(0, 2), args.slice(2).join('\n'), 'ab', 'c'] },
      { ...call, args: [...args, 'a\u0001b', 'c'] },
      { ...call, args: [...args, 'ab\u007f', 'c'] },
      { ...call, env: { CI_JOB_ID: '1\u00012' } },
      { ...call, env: { CI_JOB_ID: '12\n', BUILDKITE_JOB_ID: undefined } },
      { ...call, env: { GITHUB_JOB: '\n', CI_JOB_ID: '12' } },
    ];
    for (const other of others) {
      expect(await world.run(other)).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n', stderr: '' });
    }
    expect(world.starts()).toHaveLength(others.length);
    expect(readdirSync(world.cache).filter((name) => name.startsWith('claim-'))).toEqual([]);
  });

  test.each([
    ['no word about the cluster', undefined],
    ['a blank at the end', `${execInfo()} `],
    ['interactive before the cluster, as kube-rs', '{"spec":{"interactive":true,"cluster":{"server":"https://a"}}}'],
    [
      'blanks, as Python',
      '{"kind": "ExecCredential", "spec": {"interactive": false, "cluster": {"server": "https://a"}}}',
    ],
    ['lines of another system', '{\r\n"spec": {"interactive": true}}\r\n'],
    ['lines', '{\n\t"spec": {\n\t\t"interactive": true\n\t}\n}\n'],
    ['interactive being something else', '{"spec":{"interactive":null}}'],
    ["what is before kubectl's last word", execInfo().slice(0, execInfo().indexOf('"interactive"'))],
  ])('%s is a call of its own: Node once, then none', async (_, info) => {
    const world = await createWorld(command);
    world.store(text);
    const call = { env: { KUBERNETES_EXEC_INFO: info } };
    for (let times = 0; times < 2; times += 1) {
      expect(await world.run(call)).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n', stderr: '' });
    }
    expect(world.starts()).toMatchObject([{ mode: 'normal', args }]);
    expect(await world.run()).toMatchObject({ stdout: text });
    world.plan({ fail: 'normal' });
    setTime(world.file('', call), -10);
    expect(await world.run({ ...call, times: 5 })).toMatchObject({ code: 3, stdout: '' });
    expect(world.starts()).toHaveLength(2);
  });

  test('a folder that cannot be used gives way to the next, for the shell and for Node alike', async () => {
    const world = await createWorld(command);
    const taken = join(world.root, 'taken');
    writeFileSync(taken, '');
    const link = join(world.root, 'link');
    symlinkSync(world.cache, link);
    const places: Record<string, string | undefined>[] = [
      { KLEIS_CACHE_DIR: join(closedFolder, 'kleis') },
      { KLEIS_CACHE_DIR: taken },
      { KLEIS_CACHE_DIR: link },
      { KLEIS_CACHE_DIR: undefined, XDG_RUNTIME_DIR: join(world.root, 'vanished') },
      { KLEIS_CACHE_DIR: undefined, XDG_RUNTIME_DIR: 'relative' },
      { KLEIS_CACHE_DIR: undefined, XDG_RUNTIME_DIR: join(closedFolder, '1') },
    ];
    if (process.getuid?.() === 0) {
      const theirs = join(world.root, 'theirs');
      mkdirSync(theirs, { mode: 0o700 });
      chownSync(theirs, 12345, 12345);
      places.push({ KLEIS_CACHE_DIR: theirs }, { KLEIS_CACHE_DIR: undefined, XDG_RUNTIME_DIR: theirs });
    }
    for (const [index, env] of places.entries()) {
      const call = { args: [...args, String(index)], env };
      expect(await world.run(call), JSON.stringify(env)).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n' });
      expect(await world.run(call), JSON.stringify(env)).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n' });
      expect(world.starts(), JSON.stringify(env)).toHaveLength(index + 1);
    }
    const kept = readdirSync(join(world.env.HOME, '.cache', 'kleis')).filter((name) => /^\d+-/.test(name));
    expect(kept).toHaveLength(places.length);
  });

  test('a failure is said once to a parent, and to each parent', async () => {
    const world = await createWorld(command);
    world.plan({ fail: 'normal' });
    const first = await world.run({ times: 5 });
    expect(first.code).toBe(3);
    expect(first.stderr.match(/^error: /gm)).toHaveLength(1);
    expect((await world.run({ times: 3 })).stderr.match(/^error: /gm)).toHaveLength(1);
    // Whoever does not say that it is a client may be a person, who wonders.
    const person = await world.run({ times: 3, env: { KUBERNETES_EXEC_INFO: undefined } });
    expect(person.stderr.match(/^error: /gm)).toHaveLength(3);
  });

  test('finds Node beside itself, on PATH, and where it ran last; else it says that there is none', async () => {
    const world = await createWorld(command);
    const sibling = join(world.bin, 'kleis-get-token');
    writeFileSync(sibling, '#!/usr/bin/env node\n');
    const tools = join(world.root, 'tools');
    mkdirSync(tools);
    for (const tool of ['env', 'ls', 'mkdir', 'sleep', 'rm', 'mv', 'readlink', 'sh']) {
      symlinkSync(
        execFileSync('/bin/sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim(),
        join(tools, tool),
      );
    }
    const node = (folder: string) => {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'node'), `#!/bin/sh\necho '{"node":"${folder}"}'\n`, { mode: 0o755 });
    };
    const said = async () => (await world.run({ env: { PATH: `${tools}:${join(world.root, 'path')}` } })).stdout;
    const none = await world.run({ env: { PATH: tools } });
    expect(none).toMatchObject({ code: 6, stdout: '' });
    expect(none.stderr).toMatch(/^error: There is no Node for Kleis.*\nnext: {2}.*PATH/);
    // kubectl asks up to six times.
    const again = await world.run({ env: { PATH: tools }, times: 4 });
    expect(again).toMatchObject({ code: 6, stdout: '', stderr: none.stderr });
    const state = join(world.env.HOME, '.local', 'state', 'kleis');
    mkdirSync(state, { recursive: true });
    node(join(world.root, 'noted'));
    writeFileSync(join(state, 'node'), `${join(world.root, 'noted', 'node')}\n`);
    expect(await said()).toContain('noted');
    node(join(world.root, 'path'));
    expect(await said()).toContain('path');
    node(world.bin);
    expect(await said()).toContain(world.bin);
  });

  test('never evaluates an argument, and hands it on as it is', async () => {
    const world = await createWorld(command);
    const odd = [
      "it's",
      '$(touch evil)',
      '`touch evil`',
      '"; touch evil; "',
      '*',
      '',
      ' a  b ',
      '\\n',
      'ü',
      '-n',
      "'\\''",
    ];
    expect(await world.run({ args: odd })).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n', stderr: '' });
    expect(await world.run({ args: odd })).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n', stderr: '' });
    expect(world.starts()).toMatchObject([{ args: odd }]);
    expect(readdirSync(world.root)).not.toContain('evil');
  });

  test('asks Node once the time is up, and not before', async () => {
    const world = await createWorld(command);
    const file = world.store(text);
    setTime(file, 1500);
    expect(await world.run()).toMatchObject({ stdout: text });
    setTime(file, -10);
    expect(await world.run()).toMatchObject({ code: 0, stdout: '{"token":"brought"}\n', stderr: '' });
    expect(world.starts()).toHaveLength(1);
  });

  test('past the second mark it answers at once, and one refresh runs behind with nothing of ours in hand', async () => {
    const world = await createWorld(command);
    world.store(text);
    setTime(world.file('soon-'), -2000);
    const refresh = 4000;
    world.plan({ delay: refresh, text: '{"token":"renewed"}\n' });
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => world.run()));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ code: 0, stdout: text, stderr: '' });
    // Whoever reads our output must not have to wait for the refresh.
    expect(Math.max(...outcomes.map(({ took }) => took))).toBeLessThan(refresh);
    await until('the refresh', () => readFileSync(world.file(''), 'utf8').includes('renewed'));
    expect(world.starts()).toMatchObject([{ mode: 'background', args, onNull: true }]);
    expect(await world.run()).toMatchObject({ stdout: '{"token":"renewed"}\n' });
    await until('the end of the claim', () => readdirSync(world.cache).every((name) => !name.startsWith('claim-')));
    expect(world.starts()).toHaveLength(1);
  });

  test('a refresh behind that fails is left alone for a while, and troubles nobody', async () => {
    const world = await createWorld(command);
    world.store(text);
    setTime(world.file('soon-'), -2000);
    world.plan({ fail: 'background' });
    expect(await world.run()).toMatchObject({ code: 0, stdout: text, stderr: '' });
    await until('the start', () => world.starts().length === 1);
    await until('the end', () => readdirSync(world.cache).every((name) => !name.startsWith('claim-')));
    expect(await world.run()).toMatchObject({ code: 0, stdout: text, stderr: '' });
    expect(world.starts()).toHaveLength(1);
  });

  test('a parent that asks again for what is fresh gets a refresh, once a minute; another parent does not', async () => {
    const world = await createWorld(command);
    world.store(text);
    world.plan({ text: '{"token":"renewed"}\n' });
    expect(await world.run()).toMatchObject({ stdout: text });
    expect(await world.run()).toMatchObject({ stdout: text });
    expect(world.starts()).toEqual([]);
    const renewed = '{"token":"renewed"}\n';
    expect(await world.run({ times: 2 })).toMatchObject({ code: 0, stdout: `${text}${renewed}`, stderr: '' });
    expect(world.starts()).toMatchObject([{ mode: 'rejected', args }]);
    expect(await world.run({ times: 4 })).toMatchObject({ code: 0, stdout: renewed.repeat(4), stderr: '' });
    expect(world.starts()).toHaveLength(1);
    // The slots are bounded.
    expect(readdirSync(world.cache).filter((name) => name.startsWith('asked-')).length).toBeLessThanOrEqual(64);
  });

  test('a parent whose first answer came from Node is known to have asked', async () => {
    const world = await createWorld(command);
    const brought = '{"token":"brought"}\n';
    expect(await world.run({ times: 2 })).toMatchObject({ code: 0, stdout: brought.repeat(2) });
    expect(world.starts()).toMatchObject([{ mode: 'normal' }, { mode: 'rejected' }]);
  });
});

test('finds its sibling as npm lays it, as the package has it, and through a link of the person', async () => {
  const world = await createWorld();
  const brought = '{"token":"brought"}\n';
  const link = join(world.root, 'kleis-credential');
  symlinkSync('bin/kleis-credential', link);
  const run = (program: string) =>
    execFileSync(program, args, {
      env: { ...world.env, KLEIS_CACHE_DIR: join(world.root, 'none', 'x') },
      encoding: 'utf8',
    });
  expect(run(link)).toBe(brought);
  const sibling = join(world.bin, 'kleis-get-token');
  writeFileSync(`${sibling}.js`, readFileSync(sibling), { mode: 0o755 });
  chmodSync(sibling, 0o644);
  expect(run(world.launcher)).toBe(brought);
  rmSync(`${sibling}.js`);
  expect(await world.run({ args: ['else'] })).toMatchObject({ code: 6, stdout: '' });
});
