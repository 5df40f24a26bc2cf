import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type ClaimOptions,
  isLauncherClaim,
  releaseLauncherClaim,
  takeClaim,
  tryClaim,
} from '../../../cli/files/claim.ts';
import { bundle } from '../../support/bundle.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kleis-claim-'));
  path = join(folder, 'claim');
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true });
});

const controller = new AbortController();
const deps = {
  clock: { now: Date.now, sleep: (time: number) => sleep(time) },
  pid: process.pid,
  signal: controller.signal,
};
const options: ClaimOptions = { deps, deadline: 60_000, purpose: 'testing' };
const impatient: ClaimOptions = { ...options, patience: 50 };

/** A claim as another process would have written it. */
function forge(changes: { pid?: number; mtime?: number; owner?: Record<string, unknown> | null }): void {
  const claim = tryClaim(path, options);
  const [, line = ''] = readFileSync(path, 'utf8').split('\n');
  const mine: Record<string, unknown> = JSON.parse(line);
  claim?.release();
  const { pid = process.pid, mtime = Date.now() + 60_000, owner = {} } = changes;
  writeFileSync(path, `${pid}\n${owner === null ? '' : `${JSON.stringify({ ...mine, ...owner })}\n`}`);
  utimesSync(path, mtime / 1000, mtime / 1000);
}

/** The pid of a process that has ended. */
async function deadPid(): Promise<number> {
  const child = spawn('true');
  await new Promise((resolve) => child.once('exit', resolve));
  return child.pid ?? 0;
}

describe('a claim', () => {
  test('is held by one at a time, and leaves nothing behind', async () => {
    const order: string[] = [];
    const work = async (name: string) => {
      const claim = await takeClaim(path, options);
      order.push(`${name} in`);
      await sleep(20);
      order.push(`${name} out`);
      claim.release();
    };
    await Promise.all(['a', 'b', 'c'].map(work));
    expect(order.map((entry) => entry.slice(2))).toEqual(['in', 'out', 'in', 'out', 'in', 'out']);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('says who holds it, since when and what for', async () => {
    const claim = await takeClaim(path, options);
    await claim.extend(60_000, 'signing in');
    await expect(takeClaim(path, impatient)).rejects.toMatchObject({
      code: 'claim_held',
      message: expect.stringMatching(
        new RegExp(`^Process ${process.pid}, which is signing in \\(since \\d\\d:\\d\\d:\\d\\d\\)\\.$`),
      ),
    });
    const waits: string[] = [];
    const waiting = takeClaim(path, { ...options, onWait: ({ text }) => waits.push(text) });
    await vi.waitFor(() => expect(waits).not.toEqual([]), { timeout: 10_000 });
    claim.release();
    const second = await waiting;
    expect(waits).toEqual([expect.stringContaining('which is signing in')]);
    expect(second.waitedFor).toEqual([process.pid]);
    second.release();
  });

  test('of a dead process is free', async () => {
    forge({ pid: await deadPid() });
    expect(tryClaim(path, options)).toBeDefined();
  });

  test('of a process whose pid is another’s now is free', () => {
    forge({ owner: { started: '1' } });
    expect(tryClaim(path, options)).toBeDefined();
  });

  test('whose deadline has passed is free, however alive its owner', () => {
    forge({ mtime: Date.now() - 10 });
    expect(tryClaim(path, options)).toBeDefined();
  });

  test('of another host or container is free by its deadline alone, and names it', async () => {
    forge({ pid: await deadPid(), owner: { place: 'elsewhere', host: 'other\u001b[31m' } });
    expect(tryClaim(path, options)).toBeUndefined();
    await expect(takeClaim(path, impatient)).rejects.toThrow(/on other \[31m/);
    forge({ pid: await deadPid(), mtime: Date.now() - 10, owner: { place: 'elsewhere', host: hostname() } });
    expect(tryClaim(path, options)).toBeDefined();
  });

  test('that is not written yet is left alone for a while', () => {
    writeFileSync(path, '');
    expect(tryClaim(path, options)).toBeUndefined();
    const past = Date.now() / 1000 - 16;
    utimesSync(path, past, past);
    expect(tryClaim(path, options)).toBeDefined();
  });

  test('whose successor was killed on the way to it goes to the next', async () => {
    const [first, second] = [await deadPid(), await deadPid()];
    forge({ pid: first });
    writeFileSync(`${path}.${first}`, `${second}\n`);
    const claim = tryClaim(path, options);
    expect(claim).toBeDefined();
    claim?.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('that was lost cannot be extended, and giving it back takes nothing from the new owner', async () => {
    const claim = await takeClaim(path, options);
    const past = Date.now() / 1000 - 1;
    utimesSync(path, past, past);
    const other = tryClaim(path, options);
    expect(other).toBeDefined();
    await expect(claim.extend(1000)).rejects.toMatchObject({ code: 'claim_held' });
    claim.release();
    expect(existsSync(path)).toBe(true);
    other?.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('can be extended beyond its first deadline', async () => {
    const claim = await takeClaim(path, { ...options, deadline: 100 });
    await claim.extend(60_000);
    const later = { ...deps, clock: { ...deps.clock, now: () => Date.now() + 30_000 } };
    expect(tryClaim(path, { ...options, deps: later })).toBeUndefined();
    claim.release();
  });

  test('ends waiting when the run is interrupted', async () => {
    const claim = await takeClaim(path, options);
    const stop = new AbortController();
    const waiting = takeClaim(path, {
      ...options,
      deps: {
        ...deps,
        clock: { ...deps.clock, sleep: (time, signal) => sleep(time, undefined, { ...(signal && { signal }) }) },
        signal: stop.signal,
      },
    });
    stop.abort();
    await expect(waiting).rejects.toThrow(/aborted/);
    claim.release();
  });

  test('is refused where something else stands in its place, and nobody waits for that', async () => {
    const sound = { ...options, patience: 60_000 };
    symlinkSync(join(folder, 'nothing'), path);
    await expect(takeClaim(path, sound)).rejects.toThrow(/is a symbolic link/);
    rmSync(path);
    execFileSync('mkfifo', [path]);
    await expect(takeClaim(path, sound)).rejects.toThrow(/is not a regular file/);
    rmSync(path);
    mkdirSync(path);
    await expect(takeClaim(path, sound)).rejects.toMatchObject({ code: expect.stringMatching(/^storage_/) });
  });

  test('where no file can be made is an error that says why', () => {
    expect(() => tryClaim(join('/proc/version', 'claim'), options)).toThrow(
      expect.objectContaining({ code: 'storage_unavailable' }),
    );
  });

  test('of the launcher is inherited by the Node that it became, and by nobody else', async () => {
    const owner = await deadPid();
    writeFileSync(path, `${process.pid}\n`);
    expect(isLauncherClaim(path, [owner])).toBe(false);
    expect(tryClaim(path, options)).toBeUndefined();
    releaseLauncherClaim(path, [owner], Date.now());
    expect(isLauncherClaim(path, [process.pid])).toBe(true);
    const claim = tryClaim(path, { ...options, inherit: [process.pid] });
    expect(claim).toBeDefined();
    expect(tryClaim(path, { ...options, inherit: [process.pid] })).toBeUndefined();
    claim?.release();
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('between processes', () => {
  let contender: string;
  beforeAll(async () => {
    contender = await bundle('test/cli/files/claim-contender.ts');
  });

  const run = (log: string, rounds: number, killAt = 0) => {
    const child = spawn(process.execPath, [contender, path, log, String(rounds), String(killAt)], { stdio: 'inherit' });
    return new Promise<NodeJS.Signals | number | null>((resolve) =>
      child.once('exit', (code, signal) => resolve(signal ?? code)),
    );
  };

  test('fifty that contend, some of which are killed inside, never meet', { timeout: 60_000 }, async () => {
    const log = join(folder, 'log');
    const ends = await Promise.all(Array.from({ length: 50 }, (_, at) => run(log, 4, at % 5 === 0 ? 2 : 0)));
    expect(ends.filter((end) => end === 'SIGKILL')).toHaveLength(10);
    expect(ends.filter((end) => end === 0)).toHaveLength(40);
    const lines = readFileSync(log, 'utf8').trim().split('\n');
    expect(lines.filter((line) => line.startsWith('overlap'))).toEqual([]);
    expect(lines).toHaveLength(40 * 4 + 10 * 2);
  });
});
