import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Keyring, type KeyringOptions, openKeyring } from '../../../cli/session/keyring.ts';
import { chunkSize, planSet, readSet, removeSet, writeSet } from '../../../cli/session/keyring-items.ts';
import { bundle } from '../../support/bundle.ts';
import { failure } from '../../support/failure.ts';
import { needs } from '../../support/needs.ts';
import { type SecretService, startSecretService } from '../../support/secret-service.ts';

const run = promisify(execFile);

let folder: string;
let open: Keyring[] = [];
let said: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-test-'));
  said = [];
});

afterEach(async () => {
  for (const keyring of open) keyring.close();
  open = [];
  await rm(folder, { recursive: true });
});

function keyringWith(env: Readonly<Record<string, string>>, options: Partial<KeyringOptions> = {}): Keyring {
  const report = {
    level: 'info' as const,
    setLevel: () => undefined,
    info: (text: string) => void said.push(text),
    waiting: () => undefined,
    warn: () => undefined,
    debug: () => undefined,
    error: () => undefined,
  };
  const keyring = openKeyring({
    env,
    report,
    background: false,
    openMark: join(folder, 'run', 'keyring-open'),
    now: Date.now,
    ...options,
  });
  open.push(keyring);
  return keyring;
}

async function expectUnavailable(work: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await failure(work);
  expect(error.code).toBe('keyring_unavailable');
  expect(error.message).toMatch(message);
}

function nineHoursLater(): number {
  return Date.now() + 9 * 3_600_000;
}

describe.skipIf(!needs('secret-service'))('the real Secret Service', () => {
  let service: SecretService;

  beforeAll(async () => {
    service = await startSecretService();
  });

  afterAll(async () => {
    await service.stop();
  });

  test('what is set is found again, by another process too, until it is removed', async () => {
    await keyringWith(service.env).set('a', 'sëcret "1"');
    const other = keyringWith(service.env);
    expect(await other.get('a')).toBe('sëcret "1"');
    expect(await other.remove('a')).toBe(true);
    expect(await other.remove('a')).toBe(false);
    expect(await other.get('a')).toBeUndefined();
  });

  test('a value larger than an item is split, read whole, and removed without a trace', async () => {
    const keyring = keyringWith(service.env);
    const value = 'x'.repeat(5000) + 'end';
    const set = planSet('1.abc', value, chunkSize('win32'));
    expect(set.chunks).toBe(5);
    await writeSet(keyring, 'k', set, value, chunkSize('win32'));
    expect(await readSet(keyring, 'k', set)).toBe(value);
    await removeSet(keyring, 'k', set.id, set.chunks);
    expect(service.labels()).toEqual([]);
  });

  test('a set of which one part is missing, or is of another write, is not read at all', async () => {
    const keyring = keyringWith(service.env);
    const value = 'abcdefghij';
    const set = planSet('1.def', value, 4);
    await writeSet(keyring, 'k', set, value, 4);
    await keyring.set('k.1.def#1', 'EFGH');
    expect(await readSet(keyring, 'k', set)).toBeUndefined();
    await keyring.remove('k.1.def#1');
    expect(await readSet(keyring, 'k', set)).toBeUndefined();
    await removeSet(keyring, 'k', set.id, set.chunks);
    expect(service.labels()).toEqual([]);
  });

  test('100,000 characters in one item survive', async () => {
    const keyring = keyringWith(service.env);
    const value = 'y'.repeat(100_000);
    await keyring.set('big', value);
    expect(await keyring.get('big')).toBe(value);
    await keyring.remove('big');
  });

  test('a locked keyring is told from a missing item, and loses nothing', async () => {
    await keyringWith(service.env).set('held', 'value');
    service.lock();
    try {
      const locked = { code: 'keyring_unavailable', message: 'The keyring is locked.' };
      await expect(keyringWith(service.env).get('held')).rejects.toMatchObject(locked);
      await expect(keyringWith(service.env).set('held', 'other')).rejects.toMatchObject(locked);
      await expect(keyringWith(service.env).remove('held')).rejects.toMatchObject(locked);
      await expect(keyringWith(service.env).check()).rejects.toMatchObject(locked);
    } finally {
      await service.unlock();
    }
    expect(await keyringWith(service.env).get('held')).toBe('value');
    await keyringWith(service.env).remove('held');
  });

  test('a keyring that hangs: the person reads why, then it counts as unavailable, at once from then on', async () => {
    const keyring = keyringWith(service.env, { limits: { notice: 100, giveUp: 600 } });
    await keyring.check();
    service.freeze(true);
    try {
      await expectUnavailable(keyring.get('a'), /did not answer/);
      expect(said).toEqual(['Waiting for the keyring. It may be asking for its password in another window.']);
      const before = performance.now();
      await expect(keyring.get('a')).rejects.toMatchObject({ code: 'keyring_unavailable' });
      expect(performance.now() - before).toBeLessThan(300);
    } finally {
      service.freeze(false);
    }
  });

  test('a program whose keyring hangs ends with its own exit code', async () => {
    const module = await bundle('cli/session/keyring.ts');
    const program = join(folder, 'program.mjs');
    await writeFile(
      program,
      `import { openKeyring } from ${JSON.stringify(module)};
       const keyring = openKeyring({ env: process.env, report: { info() {} }, background: false, now: Date.now, limits: { notice: 1e9, giveUp: 300 } });
       keyring.get('a').catch((error) => { console.log(error.code); process.exit(6); });`,
    );
    service.freeze(true);
    try {
      const ended = await run(process.execPath, [program], { env: service.env, timeout: 10_000 }).catch(
        (error: unknown) => error,
      );
      expect(ended).toMatchObject({ code: 6, stdout: 'keyring_unavailable\n' });
    } finally {
      service.freeze(false);
    }
  });

  test('a program that is done ends by itself although its keyring is open', async () => {
    const module = await bundle('cli/session/keyring.ts');
    const program = join(folder, 'program.mjs');
    await writeFile(
      program,
      `import { openKeyring } from ${JSON.stringify(module)};
       const keyring = openKeyring({ env: process.env, report: { info() {} }, background: false, now: Date.now });
       await keyring.check(); console.log('done');`,
    );
    expect((await run(process.execPath, [program], { env: service.env, timeout: 10_000 })).stdout).toBe('done\n');
  });

  test('a value that is being stored survives Ctrl-C in the terminal', async () => {
    const keyring = keyringWith(service.env);
    await keyring.check();
    // The terminal signals the whole group; here only the helpers, lest the test itself be ended.
    const helpers = (await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')).trim().split(' ').map(Number);
    for (const pid of helpers) {
      if ((await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes('keytar'))
        process.kill(pid, 'SIGINT');
    }
    await keyring.set('after', 'value');
    expect(await keyring.get('after')).toBe('value');
    await keyring.remove('after');
  });

  describe('in the background', () => {
    const background = { background: true };

    test('a keyring that nobody has used lately is left alone', async () => {
      await expect(keyringWith(service.env, background).get('a')).rejects.toThrow(/may not wake it/);
    });

    test('one that answered in the foreground is used, for eight hours', async () => {
      await keyringWith(service.env).check();
      expect(await keyringWith(service.env, background).get('a')).toBeUndefined();
      await expect(keyringWith(service.env, { ...background, now: nineHoursLater }).get('a')).rejects.toThrow(
        /may not wake it/,
      );
    });

    test('one that was found locked is not asked again', async () => {
      await keyringWith(service.env).check();
      service.lock();
      try {
        await expect(keyringWith(service.env).check()).rejects.toThrow('locked');
        await expect(keyringWith(service.env, background).check()).rejects.toThrow(/may not wake it/);
      } finally {
        await service.unlock();
      }
    });

    test('it waits two seconds and no longer', async () => {
      await keyringWith(service.env).check();
      service.freeze(true);
      try {
        const before = performance.now();
        await expect(keyringWith(service.env, background).get('a')).rejects.toThrow(/did not answer within 2 s/);
        expect(performance.now() - before).toBeLessThan(4000);
        expect(said).toEqual([]);
      } finally {
        service.freeze(false);
      }
    });
  });
});

describe('without a keyring', () => {
  const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: '/nonexistent' };

  test('no session bus: unavailable, within the time of a start', async () => {
    const before = performance.now();
    await expect(keyringWith(env).check()).rejects.toMatchObject({ code: 'keyring_unavailable', exitCode: 6 });
    expect(performance.now() - before).toBeLessThan(5000);
  });

  test('a session bus that does not exist', async () => {
    const gone = { ...env, DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nonexistent/bus' };
    await expect(keyringWith(gone).get('a')).rejects.toMatchObject({ code: 'keyring_unavailable' });
  });

  test('a library that does not load says what to install', async () => {
    const helper = `process.stdin.on('data', (line) => process.stdout.write(JSON.stringify({ id: JSON.parse(line).id,
      error: 'Failed to load keytar native addon, checked ["../build/Release"]' }) + '\\n'));`;
    expect((await failure(keyringWith(env, { helper }).check())).hint).toContain('libsecret');
  });

  test('a helper that crashes is an error, not a wait', async () => {
    const keyring = keyringWith(env, { helper: 'process.kill(process.pid, "SIGSEGV")' });
    await expectUnavailable(keyring.get('a'), /SIGSEGV/);
    await expect(keyring.get('a')).rejects.toMatchObject({ code: 'keyring_unavailable' });
  });

  test('other output of the helper answers nothing', async () => {
    const helper = `process.stdin.on('data', (line) => process.stdout.write('(process:1): DEBUG\\n{"id":"1"}\\nnull\\n' +
      JSON.stringify({ id: JSON.parse(line).id, value: 'v' }) + '\\n'));`;
    expect(await keyringWith(env, { helper }).get('a')).toBe('v');
  });

  test('keytar is not taken from the working directory', async () => {
    const trap = join(folder, 'node_modules', 'keytar');
    await mkdir(trap, { recursive: true });
    await writeFile(
      join(trap, 'index.js'),
      `require('node:fs').writeFileSync(${JSON.stringify(join(folder, 'trapped'))}, '')`,
    );
    const bundled = await bundle('cli/session/keyring.ts');
    const elsewhere = join(folder, 'elsewhere');
    await mkdir(elsewhere);
    await symlink(resolve('node_modules'), join(elsewhere, 'node_modules'));
    const program = join(elsewhere, 'program.mjs');
    await writeFile(
      program,
      `import { openKeyring } from ${JSON.stringify(bundled)};
       const keyring = openKeyring({ env: process.env, report: { info() {} }, background: false, now: Date.now });
       await keyring.check().catch((error) => console.log(error.code));`,
    );
    const child = spawn(process.execPath, [program], { cwd: folder, env, stdio: 'ignore' });
    await new Promise((done) => child.on('exit', done));
    await expect(readFile(join(folder, 'trapped'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
