import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, assert as always, nat, property, string } from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type CredentialKey,
  credentialKey,
  formatAssignments,
  parseAssignments,
} from '../../../cli/credentials/key.ts';
import { freshUntil } from '../../../cli/credentials/lifetime.ts';
import { KleisError } from '../../../shared/errors.ts';
import { args, execInfo, setTime, store } from './launcher-world.ts';
import { inTurn } from './in-turn.ts';

let root: string;
let dir: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kleis-credentials-'));
  dir = join(root, 'cache');
});
afterEach(() => rmSync(root, { recursive: true }));

const env = { HOME: '/home/alice', KUBERNETES_EXEC_INFO: execInfo() };
const text = '{"token":"t"}\n';
const minute = 60_000;

function keyOf(given: readonly string[] = args, changes: Record<string, string | undefined> = {}): CredentialKey {
  const key = credentialKey(given, { ...env, ...changes });
  if (key === undefined) throw new Error('no key');
  return key;
}

const times = (lifetime = 60 * minute, minValidity = minute) => {
  const issuedAt = Date.now();
  return { issuedAt, expiresAt: issuedAt + lifetime, minValidity };
};

describe('the key of a credential', () => {
  test('differs for different arguments, however they are cut', () => {
    always(
      property(array(string()), array(string()), (one, other) => {
        const [first, second] = [credentialKey(one, env), credentialKey(other, env)];
        const same = one.length === other.length && one.every((arg, at) => arg === other[at]);
        return first === undefined || second === undefined || (first.name === second.name) === same;
      }),
    );
    expect(keyOf(['a', 'b']).name).not.toBe(keyOf(['a b']).name);
  });

  test('is none for what cannot be told apart: control characters, and bytes that are not UTF-8', () => {
    for (const bad of ['a\nb', 'a\u001fb', 'a\u007f', Buffer.from([0xff]).toString()]) {
      expect(credentialKey([bad], env)).toBeUndefined();
      expect(credentialKey(args, { ...env, HOME: bad })).toBeUndefined();
    }
    for (const bad of ['{"a":\u0001}', '{"a":\u007f}', Buffer.from([0xff]).toString()]) {
      expect(credentialKey(args, { ...env, KUBERNETES_EXEC_INFO: bad })).toBeUndefined();
    }
    // Blanks of JSON, which other clients write: each of them counts.
    const names = [' ', '\t', '\n', '\r\n'].map((blank) => keyOf(args, { KUBERNETES_EXEC_INFO: `{${blank}}` }).name);
    expect(new Set(names).size).toBe(names.length);
  });

  test('is the same with a terminal and without, and another for each cluster, job and home', () => {
    const here = keyOf().name;
    expect(keyOf(args, { KUBERNETES_EXEC_INFO: execInfo(undefined, true) }).name).toBe(here);
    const changes = {
      KUBERNETES_EXEC_INFO: execInfo('https://b'),
      CI_JOB_ID: '1',
      BUILDKITE_JOB_ID: '1',
      HOME: '/home/bob',
    };
    for (const [name, value] of Object.entries(changes)) expect(keyOf(args, { [name]: value }).name).not.toBe(here);
  });

  test('counts bytes', () => {
    expect(keyOf(['ü']).lengths.split('-')[0]).toBe(String(Buffer.byteLength('1\nü')));
  });
});

test('assignments are read as they were written, or not at all', () => {
  always(
    property(string({ unit: 'binary' }), nat(), (value, cut) => {
      const written = formatAssignments({ A: value, T: value });
      expect([...parseAssignments(written)]).toEqual([
        ['A', value],
        ['T', value],
      ]);
      const part = written.slice(0, cut % written.length);
      const read = parseAssignments(part).get('T');
      expect(read === undefined || read === value).toBe(true);
    }),
  );
});

describe('the cache of credentials', () => {
  test('is ours alone, and gives back what was kept until the smaller of margin and a tenth before its end', () => {
    const credentials = store(dir);
    const hour = times();
    credentials.write(keyOf(), text, hour, 'session');
    const end = () => Math.round(statSync(join(dir, keyOf().name)).mtimeMs);
    expect(credentials.read(keyOf())).toMatchObject({ text });
    expect(end()).toBe(hour.expiresAt - minute);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600);
    const short = times(minute);
    expect(freshUntil(short)).toBe(short.expiresAt - minute / 10);
    credentials.write(keyOf(), text, short, 'session');
    expect(end()).toBe(short.expiresAt - minute / 10);
    const later = store(dir, { clock: { now: () => freshUntil(short) + 1, sleep: async () => undefined } });
    expect(later.read(keyOf())).toBeUndefined();
  });

  test('has a refresh due with a quarter of the time left, and never at once', () => {
    const credentials = store(dir);
    const mark = () => statSync(join(dir, `soon-${keyOf().name}`)).mtimeMs;
    const hour = times();
    credentials.write(keyOf(), text, hour, 'session');
    expect(mark() - hour.issuedAt).toBeCloseTo(59 * minute * 0.75, -2);
    const issuedAt = Date.now() - 55 * minute;
    credentials.write(keyOf(), text, { ...hour, issuedAt, expiresAt: issuedAt + 60 * minute }, 'session');
    expect(mark()).toBeGreaterThan(Date.now() + 9000);
  });

  test('gives nothing that others could have written', () => {
    const credentials = store(dir);
    credentials.write(keyOf(), text, times(), 'session');
    const file = join(dir, keyOf().name);
    chmodSync(file, 0o640);
    expect(credentials.read(keyOf())).toBeUndefined();
    credentials.write(keyOf(), text, times(), 'session');
    chmodSync(dir, 0o770);
    expect(store(dir).read(keyOf())).toBeUndefined();
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(existsSync(file)).toBe(false);
  });

  test('keeps nothing in a linked folder, in none, or without a key, and the work is done all the same', async () => {
    const other = join(root, 'other');
    mkdirSync(other, { mode: 0o700 });
    symlinkSync(other, dir);
    const credentials = store(dir);
    credentials.write(keyOf(), text, times(), 'session');
    expect(readdirSync(other)).toEqual([]);
    const options = { mode: 'normal', deadline: 1000, purpose: 'testing' } as const;
    await expect(inTurn(credentials, keyOf(), options, async () => 'done')).resolves.toBe('done');
    await expect(inTurn(store(join(root, 'new')), undefined, options, async () => 'done')).resolves.toBe('done');
  });

  test('forgets, at a logout, what belongs to the session and nothing else', () => {
    const credentials = store(dir);
    const [first, second, third] = [keyOf(['1']), keyOf(['2']), keyOf(['3'])];
    credentials.write(first, text, times(), 'alice');
    credentials.write(second, text, times(), 'bob');
    credentials.write(third, text, times(), 'alice');
    credentials.removeSession('alice');
    expect(credentials.read(first)).toBeUndefined();
    expect(credentials.read(third)).toBeUndefined();
    expect(credentials.read(second)).toMatchObject({ text });
    expect(readdirSync(dir).filter((name) => name.includes(first.name))).toEqual([]);
  });

  test('notices who asks again, and for what is new does not', () => {
    const credentials = store(dir);
    credentials.write(keyOf(), text, times(), 'session');
    const asked = () => {
      const cached = credentials.read(keyOf());
      return cached !== undefined && credentials.isAskedAgain(keyOf(), cached);
    };
    expect(asked()).toBe(false);
    expect(asked()).toBe(true);
    const other = store(dir, { ppid: process.ppid + 1 });
    const cached = other.read(keyOf());
    expect(cached !== undefined && other.isAskedAgain(keyOf(), cached)).toBe(false);
  });

  test('sweeps what is of no use any more, and nothing that is', () => {
    const credentials = store(dir);
    const old = keyOf(['old']);
    credentials.write(old, text, times(), 'session');
    const files = ['failed-1-1-a', 'claim-1-1', '.x.tmp'];
    for (const name of files) writeFileSync(join(dir, name), '', { mode: 0o600 });
    for (const name of readdirSync(dir)) if (!name.startsWith('asked')) utimesSync(join(dir, name), 1, 1);
    const late = Date.now() + 25 * 60 * minute;
    const later = store(dir, { clock: { now: () => late, sleep: async () => undefined } });
    later.write(
      keyOf(),
      text,
      { issuedAt: late, expiresAt: late + 2 * 24 * 60 * minute, minValidity: minute },
      'session',
    );
    const left = readdirSync(dir).filter((name) => !name.startsWith('asked-'));
    // Their ctime is of today, which is a day before `late`: only what was set since stays.
    expect(left.toSorted()).toEqual([keyOf().name, `soon-${keyOf().name}`].toSorted());
  });
});

describe('a failure', () => {
  const options = { mode: 'normal', deadline: minute, purpose: 'testing' } as const;
  const refusal = new KleisError('sign_in_refused', 'No.', { hint: 'Ask.' });

  test('is told to whoever waited and to the same parent, but not to another, nor after a while', async () => {
    const owner = store(dir, { pid: process.pid, ppid: 1001 });
    let waiting: Promise<unknown> = Promise.resolve();
    const failed = inTurn(owner, keyOf(), options, async () => {
      await new Promise<void>((hasLooked) => {
        const sleep = async (time: number) => {
          hasLooked();
          await new Promise((resolve) => setTimeout(resolve, time));
        };
        const other = store(dir, { ppid: 1002, clock: { now: Date.now, sleep } });
        waiting = inTurn(other, keyOf(), options, async () => 'not this');
        waiting.catch(() => undefined);
      });
      throw refusal;
    });
    const same = { code: 'sign_in_refused', message: 'No.', hint: 'Ask.' };
    await expect(failed).rejects.toMatchObject(same);
    await expect(waiting).rejects.toMatchObject(same);
    for (const ppid of [1001, 1002]) {
      await expect(inTurn(store(dir, { ppid }), keyOf(), options, async () => 'x')).rejects.toMatchObject(same);
    }
    await expect(inTurn(store(dir, { ppid: 1003 }), keyOf(), options, async () => 'anew')).resolves.toBe('anew');
    setTime(join(dir, `failed-${keyOf().name}`), -10);
    await expect(inTurn(store(dir, { ppid: 1001 }), keyOf(), options, async () => 'anew')).resolves.toBe('anew');
  });

  test('in the background is nobody’s, and a success ends it', async () => {
    const background = { ...options, mode: 'background' } as const;
    await expect(inTurn(store(dir, { ppid: 1001 }), keyOf(), background, () => Promise.reject(refusal))).rejects.toBe(
      refusal,
    );
    const own = store(dir, { ppid: 1001 });
    await expect(inTurn(own, keyOf(), options, () => Promise.reject(refusal))).rejects.toBe(refusal);
    own.write(keyOf(), text, times(), 'session');
    await expect(inTurn(own, keyOf(), options, async () => 'anew')).resolves.toBe('anew');
  });

  test('of somebody who holds the claim does not keep the background waiting', async () => {
    await inTurn(store(dir), keyOf(), options, async () => {
      const background = { ...options, mode: 'background' } as const;
      const attempt = inTurn(store(dir), keyOf(), background, async () => 'not this');
      await expect(attempt).rejects.toMatchObject({ code: 'claim_held' });
    });
  });
});
