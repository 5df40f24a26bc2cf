import { execFileSync } from 'node:child_process';
import {
  chown,
  link,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditEvent } from '../../../broker/audit/event.ts';
import { openFile } from '../../../broker/audit/file.ts';
import { type AuditLog, openAuditLog } from '../../../broker/audit/log.ts';
import { verifyAudit } from '../../../broker/audit/verify.ts';
import { needs } from '../../support/needs.ts';
import { until } from '../../support/wait.ts';

let folder: string;
let file: string;
let log: AuditLog;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-audit-'));
  await mkdir(join(folder, 'log'));
  file = join(folder, 'log', 'audit.jsonl');
});
afterEach(async () => {
  await log.close();
  await rm(folder, { recursive: true, force: true });
});

const open = async (path = file): Promise<AuditLog> =>
  openAuditLog({ file: path, stdout: process.stdout, now: Date.now, host: 'r', version: '0', policy: 'a' });
const event = (grant: string): AuditEvent => ({ event: 'exchange', outcome: 'allowed', grant });
const grantsIn = async (path = file): Promise<string[]> =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter((line) => line.includes('"exchange"'))
    .map((line) => (JSON.parse(line) as { grant: string }).grant);
const audit = async (...files: string[]) => verifyAudit(files, { anchors: undefined, partial: false, now: Date.now() });
/** What it says of itself, by a look that costs no line. */
const fault = async (pattern: RegExp) => until(`${pattern}`, () => pattern.test(log.health.lastError ?? ''));
const recovery = async () => until('it is well again', () => log.health.ok);

describe('a line is recorded when the file at the path holds it', () => {
  it('after the file was moved and another made', async () => {
    log = await open();
    await log.record(event('a'));
    await rename(file, `${file}.1`);
    await writeFile(file, '', { mode: 0o600 });
    await log.record(event('b'));
    expect(await grantsIn()).toEqual(['b']);
    await log.close();
    expect(await audit(file, `${file}.1`)).toMatchObject({ ok: true });
  });

  it('after the file was moved and none made: it is made, for its owner alone', async () => {
    log = await open();
    await log.record(event('a'));
    await rename(file, `${file}.1`);
    await log.record(event('b'));
    expect(await grantsIn()).toEqual(['b']);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('not made, while whoever moves it may be about to make it', async () => {
    log = await open();
    await rename(file, `${file}.1`);
    const recorded = log.record(event('a'));
    await new Promise((resolve) => setTimeout(resolve, 100));
    // As logrotate does, which would move a file that is there out of its way.
    await writeFile(file, '', { mode: 0o600, flag: 'wx' });
    await recorded;
    expect(await grantsIn()).toEqual(['a']);
  });

  it('made at once after SIGHUP', async () => {
    log = await open();
    await rename(file, `${file}.1`);
    log.reopen();
    const from = performance.now();
    await log.record(event('a'));
    expect(performance.now() - from).toBeLessThan(900);
    expect(await grantsIn()).toEqual(['a']);
  });

  it('after the file was removed, with all that came since', async () => {
    log = await open();
    await rm(file);
    await Promise.all(Array.from({ length: 50 }, async (_, index) => log.record(event(`${index}`))));
    expect(await grantsIn()).toEqual(Array.from({ length: 50 }, (_, index) => `${index}`));
  });

  it('whenever the file goes: however often it is moved, what is recorded is in what was moved in time or in the new one', async () => {
    log = await open();
    const ending = new AbortController();
    const moves: string[] = [];
    // What it held is read at once, as by a compressor: what is written to it later is lost.
    const kept: string[] = [];
    const mover = (async () => {
      while (!ending.signal.aborted) {
        const away = `${file}.${moves.length}`;
        moves.push(away);
        await rename(file, away);
        await writeFile(file, '', { mode: 0o600, flag: 'wx' }).catch(() => undefined);
        kept.push(await readFile(away, 'utf8'));
        await rm(away);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const recorded: string[] = [];
    for (let round = 0; moves.length < 60; round += 1) {
      const names = Array.from({ length: 5 }, (_, index) => `${round}-${index}`);
      await Promise.all(names.map(async (name) => log.record(event(name))));
      recorded.push(...names);
    }
    ending.abort();
    await mover;
    await log.close();
    await writeFile(`${file}.all`, kept.join('') + (await readFile(file, 'utf8')));
    const grants = new Set(await grantsIn(`${file}.all`));
    expect(recorded.filter((name) => !grants.has(name))).toEqual([]);
    expect(await audit(`${file}.all`)).toMatchObject({ ok: true });
  });
});

describe('an audit that cannot be written says so, without a request, and is well again by itself', () => {
  it('when its folder goes and comes back', async () => {
    log = await open();
    await log.record(event('a'));
    await rename(join(folder, 'log'), join(folder, 'away'));
    await fault(/ENOENT/);
    expect(() => log.assertWritable()).toThrow(expect.objectContaining({ code: 'audit_unavailable' }));
    await expect(log.record(event('b'))).rejects.toMatchObject({ code: 'audit_unavailable' });
    await mkdir(join(folder, 'log'));
    await recovery();
    await log.record(event('c'));
    expect(await grantsIn()).toEqual(['b', 'c']);
    await log.close();
    expect(await audit(file, join(folder, 'away', 'audit.jsonl'))).toMatchObject({ ok: true });
  });

  it.each([
    ['a link to another file', 'link', async () => symlink(join(folder, 'theirs'), file)],
    ['a link to the same file', 'link', async () => symlink(`${file}.1`, file)],
    ['a link to nothing', 'link', async () => symlink('/dev/null', file)],
    ['a pipe', 'something else', async () => void execFileSync('mkfifo', [file])],
    ['a folder', 'EISDIR', async () => mkdir(file)],
  ])('when its file becomes %s: nothing is written there', async (_what, reason, replace) => {
    const theirs = join(folder, 'theirs');
    await writeFile(theirs, 'theirs\n');
    log = await open();
    await rename(file, `${file}.1`);
    await replace();
    log.reopen();
    await fault(new RegExp(reason));
    await expect(log.record(event('a'))).rejects.toMatchObject({ code: 'audit_unavailable' });
    expect(await readFile(theirs, 'utf8')).toBe('theirs\n');
    await rm(file, { recursive: true });
    log.reopen();
    await recovery();
    expect(await grantsIn()).toEqual(['a']);
  });

  it.skipIf(process.getuid?.() !== 0)("when its file becomes somebody else's", async () => {
    log = await open();
    await rename(file, `${file}.1`);
    await writeFile(file, 'theirs\n', { mode: 0o666 });
    await chown(file, 12_345, 12_345);
    log.reopen();
    await fault(/somebody else/);
    await expect(log.record(event('a'))).rejects.toMatchObject({ code: 'audit_unavailable' });
    expect(await readFile(file, 'utf8')).toBe('theirs\n');
    await rm(file);
    log.reopen();
    await recovery();
    expect(await grantsIn()).toEqual(['a']);
  });

  it('and begins as a link where it is meant to be one, and follows it', async () => {
    const first = join(folder, 'first');
    await writeFile(first, '');
    await symlink(first, file);
    log = await open();
    await log.record(event('a'));
    await symlink(join(folder, 'second'), `${file}.new`);
    await writeFile(join(folder, 'second'), '');
    await rename(`${file}.new`, file);
    await log.record(event('b'));
    expect(await grantsIn(first)).toContain('a');
    expect(await grantsIn(join(folder, 'second'))).toEqual(['b']);
  });
});

it('a file that is cut short under its writer (copytruncate) is noticed, and what is being written is in it', async () => {
  log = await open();
  await log.record(event('a'));
  await truncate(file);
  await log.record(event('b'));
  expect(log.health).toMatchObject({ ok: true, truncations: 1 });
  expect(await grantsIn()).toContain('b');
  await until('the line that says so', async () => (await readFile(file, 'utf8')).includes('"event":"truncated"'));
  // Also while nobody writes.
  await truncate(file);
  await until('the second', () => log.health.truncations === 2);
});

it('a file is moved away under a second name: the link does not make it ours again', async () => {
  log = await open();
  await link(file, `${file}.1`);
  await rm(file);
  await log.record(event('a'));
  expect(await grantsIn()).toEqual(['a']);
});

const mount = needs('mount');

it.skipIf(mount === undefined)('half a line that a full disk took is whole in the next file', async () => {
  const disk = join(folder, 'disk');
  await mkdir(disk);
  execFileSync(mount!, ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
  try {
    const path = join(disk, 'audit.jsonl');
    log = await open(path);
    let stored = 0;
    for (;;) {
      const done = await log.record(event('x'.repeat(3000))).then(
        () => true,
        () => false,
      );
      if (!done) break;
      stored += 1;
    }
    expect(log.health).toMatchObject({ ok: false, lastError: 'ENOSPC' });
    await rename(path, join(folder, 'moved')).catch(async () => {
      // To another file system: a copy, and the original goes.
      await writeFile(join(folder, 'moved'), await readFile(path));
      await rm(path);
    });
    await recovery();
    await log.record(event('last'));
    expect(stored).toBeGreaterThan(5);
    await log.close();
    expect(await audit(path, join(folder, 'moved'))).toMatchObject({ ok: true, faults: [] });
  } finally {
    await log.close();
    execFileSync('umount', [disk]);
  }
});

it('a sink takes up where it was cut, in the same file only', async () => {
  log = await open();
  const path = join(folder, 'plain');
  await writeFile(path, 'half');
  const sink = await openFile(path);
  await sink.write(Buffer.from('one\n'));
  await sink.write(Buffer.alloc(0));
  expect(await readFile(path, 'utf8')).toBe('half\none\n');
  await sink.close();
});
