import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { systemCode } from '../../shared/read-file.ts';
import { storageError } from './storage-error.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { Draft, removeFile } from './draft.ts';
import { readFlags } from './private-files.ts';
import { makePrivateFolder, unsafe } from './private-folder.ts';
import { processStart, thisPlace } from './process-identity.ts';

// A claim is a file: the pid of its owner, then (unless the launcher made it, which can write no more) one line of JSON;
// its mtime is the deadline. It is free when the owner is dead or the deadline has passed. Whoever finds it so may
// replace it, but only while holding its succession, the file PATH.PID with the dead owner's pid, itself a claim taken by
// these same rules. Hence, of all who saw the same dead owner, one replaces the claim, and by a single rename.

/** A launcher's claim has no deadline yet: this long its owner may take to become Node. As in kleis-credential.sh. */
const startTime = 15_000;
// Sooner than a person wonders, later than nearly every refresh.
const tellAfter = 700;
const maxPause = 250;

/** Who has the claim. */
export interface Holder {
  readonly pid: number;
  /** For a message, after "Waiting for": `process 4711, which is signing in (since 12:01:05)`. */
  readonly text: string;
}

export interface Claim {
  /** The pids of those whom we waited for, the last one last. */
  readonly waitedFor: readonly number[];
  /**
   * Moves the deadline to that many milliseconds from now.
   *
   * @throws KleisError `claim_held` if another process has replaced us: it took us for dead
   */
  extend(milliseconds: number, purpose?: string): Promise<void>;
  /** Gives it back; does nothing the second time, or when another process has replaced us. */
  release(): void;
}

export interface ClaimOptions {
  readonly deps: Pick<Deps, 'clock' | 'pid' | 'signal'>;
  /** How long it may be held, in milliseconds from the moment it is taken. */
  readonly deadline: number;
  /** What it is held for, as in "process 4711, which is …". */
  readonly purpose: string;
  /** How long to wait, in milliseconds; without it as long as the holder's deadline says. */
  readonly patience?: number;
  /** A launcher's claim with one of these pids is ours: the launcher became this process. */
  readonly inherit?: readonly number[];
  /** Told once about each holder that is waited for longer than a moment. */
  readonly onWait?: (holder: Holder) => void;
}

/**
 * Waits until no other live process has the claim, and takes it. Release it in a `finally`.
 *
 * @throws KleisError `claim_held` after `patience`, `storage_unavailable` where no file can be made
 */
export async function takeClaim(path: string, options: ClaimOptions): Promise<Claim> {
  const { deps, patience, onWait } = options;
  const waitedFor: number[] = [];
  const announced = new Set<number>();
  const start = deps.clock.now();
  let lastSeen = start;
  makePrivateFolder(dirname(path));
  for (let pause = 10; ; pause = Math.min(pause * 2, maxPause)) {
    deps.signal.throwIfAborted();
    const claim = tryClaim(path, options, waitedFor);
    if (claim !== undefined) return claim;
    const holder = readHolder(path);
    const waited = deps.clock.now() - start;
    if (holder === undefined) {
      // There is no claim to be seen, and none can be made: nobody will ever give it back.
      if (deps.clock.now() - lastSeen > startTime) throw storageError(new Error('no claim can be made'), 'write', path);
    } else {
      lastSeen = deps.clock.now();
      if (waitedFor.at(-1) !== holder.pid) waitedFor.push(holder.pid);
      if (patience !== undefined && waited >= patience) throw new KleisError('claim_held', `${capital(holder.text)}.`);
      if (waited >= tellAfter && !announced.has(holder.pid)) {
        announced.add(holder.pid);
        onWait?.(holder);
      }
    }
    // Uneven, so that many who wait do not all look at the same moment.
    await deps.clock.sleep(Math.ceil(pause * (0.5 + Math.random())), deps.signal);
  }
}

/** Takes the claim if that is possible now; its folder must be there. */
export function tryClaim(path: string, options: ClaimOptions, waitedFor: readonly number[] = []): Claim | undefined {
  const { deps, inherit = [] } = options;
  const until = () => deps.clock.now() + options.deadline;
  let content = describe(deps, options.purpose);
  try {
    const found = look(path);
    const inherited = found !== undefined && found.record === undefined && inherit.includes(found.pid);
    const taken = inherited ? replace(path, found, content, until()) : take(path, content, until(), deps.clock.now());
    if (!taken) return undefined;
  } catch (error) {
    throw storageError(error, 'write', path);
  }
  return {
    waitedFor,
    async extend(milliseconds, purpose) {
      const found = look(path);
      const deadline = deps.clock.now() + milliseconds;
      const next = purpose === undefined ? content : describe(deps, purpose);
      if (found?.content !== content || !replace(path, found, next, deadline)) {
        throw new KleisError('claim_held', `${capital(readHolder(path)?.text ?? 'another process')} took over.`);
      }
      content = next;
    },
    release: () => remove(path, content, deps.pid, deps.clock.now()),
  };
}

/** True if the launcher holds the claim for one of these pids. */
export function isLauncherClaim(path: string, pids: readonly number[]): boolean {
  try {
    const found = look(path);
    return found !== undefined && found.record === undefined && pids.includes(found.pid);
  } catch {
    return false;
  }
}

/** Gives back what `isLauncherClaim`. */
export function releaseLauncherClaim(path: string, pids: readonly number[], now: number): void {
  if (!isLauncherClaim(path, pids)) return;
  const found = look(path);
  if (found !== undefined) remove(path, found.content, found.pid, now);
}

interface Owner {
  /** Where the pid means something: boot and pid namespace, or the host where that is all that is known. */
  readonly place: string;
  readonly host: string;
  /** When the process started, in the kernel's ticks: a pid is used again. */
  readonly started: string | undefined;
  /** Milliseconds. */
  readonly since: number;
  readonly purpose: string;
}

interface Found {
  readonly content: string;
  /** 0 when nothing is written there yet. */
  readonly pid: number;
  readonly record: Owner | undefined;
  /** Milliseconds. */
  readonly deadline: number;
}

function look(path: string): Found | undefined {
  let content: string;
  let mtime: number;
  let file: number | undefined;
  try {
    // Both of one file: the path may be given to another meanwhile.
    file = openSync(path, readFlags);
    const stat = fstatSync(file);
    if (!stat.isFile()) throw unsafe(path, 'is not a regular file', 'Remove it.');
    mtime = stat.mtimeMs;
    content = readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    if (systemCode(error) === 'ELOOP') throw unsafe(path, 'is a symbolic link', 'Remove it.');
    throw error;
  } finally {
    if (file !== undefined) closeSync(file);
  }
  const [first = '', second = ''] = content.split('\n', 2);
  const record = parseOwner(second);
  const deadline = record === undefined ? mtime + startTime : mtime;
  return { content, pid: /^[1-9]\d{0,9}$/.test(first) ? Number(first) : 0, record, deadline };
}

function parseOwner(line: string): Owner | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isOwner(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isOwner(value: unknown): value is Owner {
  if (typeof value !== 'object' || value === null) return false;
  const { place: where, host, started, since, purpose } = value as { readonly [name in keyof Owner]?: unknown };
  const texts = [where, host, purpose, started ?? ''].every((text) => typeof text === 'string');
  return texts && typeof since === 'number';
}

function isDead(found: Found, now: number): boolean {
  if (found.deadline <= now) return true;
  // Of a pid of another machine or container only the deadline can be judged.
  if (found.pid === 0 || (found.record !== undefined && found.record.place !== thisPlace())) return false;
  const started = processStart(found.pid);
  return started === undefined || (found.record?.started !== undefined && found.record.started !== started);
}

/** Puts our claim there if there is none or a dead one. */
function take(path: string, content: string, deadline: number, now: number): boolean {
  const found = look(path);
  if (found === undefined) return place(path, content, deadline);
  if (!isDead(found, now)) return false;
  const succession = `${path}.${found.pid}`;
  if (!take(succession, content, deadline, now)) return false;
  const again = look(path);
  if (again?.content === found.content && isDead(again, now)) return succeed(path, succession, content);
  removeFile(succession);
  return false;
}

/** Puts other content in the place of a claim that is ours. */
function replace(path: string, found: Found, content: string, deadline: number): boolean {
  const succession = `${path}.${found.pid}`;
  if (!place(succession, content, deadline)) return false;
  if (look(path)?.content === found.content) return succeed(path, succession, content);
  removeFile(succession);
  return false;
}

function succeed(path: string, succession: string, content: string): boolean {
  try {
    renameSync(succession, path);
  } catch (error) {
    // On Windows a file that somebody is just reading cannot be replaced.
    if (!['ENOENT', 'EPERM', 'EACCES', 'EBUSY'].includes(systemCode(error) ?? '')) throw error;
    removeFile(succession);
  }
  return look(path)?.content === content;
}

function remove(path: string, content: string, pid: number, now: number): void {
  const succession = `${path}.${pid}`;
  try {
    // Whoever holds it is replacing us.
    if (!place(succession, content, now + startTime)) return;
    if (look(path)?.content === content) removeFile(path);
    removeFile(succession);
  } catch {
    // A disk that has become full or read-only: a dead owner frees its claim anyhow.
    removeFile(succession);
  }
}

/** Makes a file, whole from its first moment on, unless there is one. */
function place(path: string, content: string, deadline: number): boolean {
  const draft = new Draft(dirname(path));
  try {
    draft.write(content);
    draft.setTime(deadline);
    const outcome = draft.link(path);
    return outcome === 'unsupported' ? placeWithoutLink(path, content, new Date(deadline)) : outcome === 'linked';
  } finally {
    draft.discard();
  }
}

// File systems without hard links. Whoever reads in between finds a claim that is not written yet, and waits.
function placeWithoutLink(path: string, content: string, mtime: Date): boolean {
  try {
    writeFileSync(path, content, { flag: 'wx', mode: 0o600 });
    utimesSync(path, mtime, mtime);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function describe(deps: Pick<Deps, 'clock' | 'pid'>, purpose: string): string {
  const record: Owner & { readonly id: string } = {
    place: thisPlace(),
    host: hostname(),
    started: processStart(deps.pid) || undefined,
    since: deps.clock.now(),
    purpose,
    id: randomBytes(8).toString('hex'),
  };
  return `${deps.pid}\n${JSON.stringify(record)}\n`;
}

function readHolder(path: string): Holder | undefined {
  const found = look(path);
  if (found === undefined) return undefined;
  const { pid, record } = found;
  const process = pid === 0 ? 'another process' : `process ${pid}`;
  if (record === undefined) return { pid, text: `${process}, which is getting a credential` };
  const where = record.host === hostname() ? '' : ` on ${clean(record.host, 80)}`;
  const since = new Date(record.since).toLocaleTimeString('en-GB');
  return { pid, text: `${process}${where}, which is ${clean(record.purpose, 80)} (since ${since})` };
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
