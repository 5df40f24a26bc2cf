import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import {
  type Claim,
  type ClaimOptions,
  isLauncherClaim,
  releaseLauncherClaim,
  takeClaim,
  tryClaim,
} from '../files/claim.ts';
import { openFolder } from './folder.ts';
import { holdForced, isForcedHeld, noteAnswer } from './repeated-asks.ts';
import { type CredentialKey, formatAssignments, jobOf, parseAssignments } from './key.ts';
import { type CredentialTimes, freshUntil, renewalDueAt } from './lifetime.ts';
import { findFailure, forgetFailure, noteFailure } from './failures.ts';

// The other side of cli/credentials/kleis-credential.sh, which lists the files.

// A refresh in the background that failed or changed nothing is not tried again for each call of kubectl.
const backgroundPause = 10_000;
// So long the launcher may take to put Node's pid into the claim after it has started Node behind kubectl's back.
const handOver = 1000;

export interface CachedCredential {
  /** What to print, byte for byte. */
  readonly text: string;
  readonly generation: string;
}

export interface QueueOptions {
  /** `normal`: someone waits. `background`: nobody does. `rejected`: someone does who has a credential already. */
  readonly mode: 'normal' | 'background' | 'rejected';
  /** Milliseconds that the work may take. */
  readonly deadline: number;
  readonly purpose: string;
}

/** The cache of credentials. Where it cannot be used (no folder, no key, unsafe, full) it is empty, and the work goes on. */
export class Credentials {
  readonly #deps: Deps;
  readonly #folder: ReturnType<typeof openFolder>;
  readonly #parent: number;
  readonly #launched: boolean;
  // The launcher becomes Node under its own pid; a version manager's shim stays between them.
  readonly #pids: readonly number[];

  constructor(dir: string | undefined, deps: Deps) {
    this.#deps = deps;
    this.#folder = openFolder(dir, deps);
    this.#pids = [deps.pid, deps.ppid];
    const [, launcher, asker] = /^(\d+) (\d+)$/.exec(deps.env['KLEIS_LAUNCHER'] ?? '') ?? [];
    this.#launched = this.#pids.includes(Number(launcher));
    this.#parent = this.#launched ? Number(asker) : deps.ppid;
  }

  /** The credential, if it is fresh. */
  read(key: CredentialKey | undefined): CachedCredential | undefined {
    if (key === undefined) return undefined;
    const stored = this.#folder.read(key.name);
    if (stored === undefined || stored.mtime <= this.#deps.clock.now()) return undefined;
    const values = parseAssignments(stored.text);
    const text = values.get('T') ?? '';
    const same = values.get('A') === key.arguments && values.get('E') === key.execInfo && values.get('J') === key.job;
    // As the launcher: what a failing disk left must not reach kubectl.
    if (!same || !text.startsWith('{') || !text.endsWith('}')) return undefined;
    return { text: `${text}\n`, generation: values.get('G') ?? '' };
  }

  /**
   * Notes that our parent asks and is answered with this. True if it was answered with the same before: then the server
   * very likely refused it (401). Never for a run that the launcher started: it has looked itself.
   */
  isAskedAgain(key: CredentialKey | undefined, { generation }: CachedCredential): boolean {
    if (key === undefined || (this.#launched && key.own !== true)) return false;
    return noteAnswer(this.#folder, key, this.#parent, generation);
  }

  /** True while no refresh is to be forced: `holdForced` said so. */
  isForcedHeld(key: CredentialKey | undefined): boolean {
    return key !== undefined && isForcedHeld(this.#folder, key, this.#deps.clock.now());
  }

  /** No refresh is to be forced before then (milliseconds). */
  holdForced(key: CredentialKey | undefined, until: number): void {
    if (key !== undefined) holdForced(this.#folder, key, until);
  }

  /**
   * Keeps a credential and forgets failures. To be called while the claim of its session is held: that is what keeps it
   * from bringing back what a logout removes. `session` is the session's key, `origin` what `ofOrigin` finds it by.
   */
  write(key: CredentialKey | undefined, text: string, times: CredentialTimes, session: string, origin?: string): void {
    if (key === undefined) return;
    const now = this.#deps.clock.now();
    const until = freshUntil(times);
    const generation = `${now.toString(36)}${randomBytes(4).toString('hex')}`;
    // The mark first: whoever reads in between must not find the new credential due already.
    this.#holdBackground(key, Math.max(renewalDueAt(times), now + backgroundPause));
    const content = this.#format(key, {
      G: generation,
      S: sessionTag(session),
      ...(origin !== undefined && { R: sessionTag(origin) }),
      T: text.replace(/\n$/, ''),
    });
    if (!this.#folder.write(key.name, content, until, { report: true })) return;
    forgetFailure(this.#folder, key);
    this.#folder.sweep();
  }

  /** Removes the credentials of a session; to be called while the session's claim is held. */
  removeSession(session: string): void {
    const tag = sessionTag(session);
    const its = this.#names().filter((name) => parseAssignments(this.#folder.read(name)?.text ?? '').get('S') === tag);
    for (const name of its) this.remove(name);
  }

  /** What this job keeps of that origin, fresh or not. */
  ofOrigin(origin: string): { readonly name: string; readonly text: string }[] {
    const tag = sessionTag(origin);
    const job = jobOf(this.#deps.env);
    return this.#names().flatMap((name) => {
      const values = parseAssignments(this.#folder.read(name)?.text ?? '');
      const its = values.get('J');
      const ours = job !== undefined && (its === job || its?.startsWith(`${job}\n`) === true);
      return ours && values.get('R') === tag ? [{ name, text: values.get('T') ?? '' }] : [];
    });
  }

  /** By its name in `ofOrigin`. */
  remove(name: string): void {
    for (const kind of ['', 'soon-', 'forced-']) this.#folder.remove(`${kind}${name}`);
  }

  #names(): string[] {
    return this.#folder.list().filter((name) => /^(?:\d+-\d+|own)-[0-9a-f]+$/.test(name));
  }

  /**
   * Does the work while nobody else does it for this key, the launcher's processes included; what the launcher claimed
   * for this process becomes ours. Whoever waited for an attempt that failed fails with the same, and so does, for a
   * while, every other child of a parent that was told; a failed background run is nobody's failure. The work must look
   * again first: another process may have brought what is wanted. Its claim is undefined where none can be made.
   *
   * @throws KleisError `claim_held` in the background, when another process is at it; and what `work` throws
   */
  async queue<T>(
    key: CredentialKey | undefined,
    options: QueueOptions,
    work: (claim: Claim | undefined) => Promise<T>,
  ): Promise<T> {
    const dir = this.#folder.usable();
    if (key === undefined || dir === undefined) return work(undefined);
    const someoneWaits = options.mode === 'normal';
    if (someoneWaits) this.#throwFailure(key, []);
    const claim = await this.#enter(dir, key, options);
    try {
      if (someoneWaits && claim !== undefined) this.#throwFailure(key, claim.waitedFor);
      try {
        const result = await work(claim);
        const cached = options.mode === 'background' ? undefined : this.read(key);
        if (cached !== undefined) noteAnswer(this.#folder, key, this.#parent, cached.generation);
        return result;
      } catch (error) {
        if (someoneWaits) this.#noteFailure(key, toFailure(error, this.#deps));
        if (options.mode === 'background') this.#holdBackground(key, this.#deps.clock.now() + backgroundPause);
        throw error;
      }
    } finally {
      claim?.release();
    }
  }

  /**
   * For the end of every run, however it ended: gives back what the launcher claimed for it. If it failed before it came
   * to `queue`, those who wait are told.
   */
  settle(key: CredentialKey | undefined, mode: QueueOptions['mode'], error?: KleisError): void {
    const dir = key === undefined ? undefined : this.#folder.usable();
    if (key === undefined || dir === undefined) return;
    const ours = claimPaths(dir, key).filter((path) => isLauncherClaim(path, this.#pids));
    if (ours.length === 0) return;
    // Before the claims go: whoever finds one gone must find out why.
    this.#makeName(key);
    if (error !== undefined && mode === 'normal') this.#noteFailure(key, error);
    for (const path of ours) releaseLauncherClaim(path, this.#pids);
  }

  async #enter(dir: string, key: CredentialKey, options: QueueOptions): Promise<Claim | undefined> {
    const [path, byLengths] = claimPaths(dir, key);
    const claimOptions: ClaimOptions = {
      deps: this.#deps,
      deadline: options.deadline,
      purpose: options.purpose,
      inherit: this.#pids,
      ...(options.mode === 'background'
        ? { patience: handOver }
        : { onWait: (holder) => this.#deps.report.info(`Waiting for ${holder.text}.`) }),
    };
    try {
      const claim = tryClaim(path, claimOptions);
      // Others with arguments of these lengths wait there, perhaps for a credential of quite another provider.
      this.#makeName(key);
      releaseLauncherClaim(byLengths, this.#pids);
      return claim ?? (await takeClaim(path, claimOptions));
    } catch (error) {
      if (!(error instanceof KleisError) || error.code !== 'storage_unavailable') throw error;
      this.#deps.report.debug(`Going on without a claim: ${error.message}`);
      return undefined;
    }
  }

  /** Lets launchers find the name before there is a credential. */
  #makeName(key: CredentialKey): void {
    if (this.#folder.read(key.name) === undefined) this.#folder.write(key.name, this.#format(key, { T: '' }), 1000);
  }

  #format(key: CredentialKey, values: Readonly<Record<string, string>>): string {
    return formatAssignments({ A: key.arguments, E: key.execInfo, J: key.job, ...values });
  }

  #throwFailure(key: CredentialKey, waitedFor: readonly number[]): void {
    const who = { waitedFor, parent: this.#parent };
    const failure = findFailure(this.#folder, key, who, this.#deps.clock.now());
    if (failure !== undefined) throw failure;
  }

  #noteFailure(key: CredentialKey, error: KleisError): void {
    // That one kubectl was stopped is nobody else's failure: whoever waited takes over.
    if (error.code === 'interrupted') return;
    noteFailure(this.#folder, key, { owner: this.#deps.pid, parent: this.#parent }, error, this.#deps.clock.now());
  }

  #holdBackground(key: CredentialKey, until: number): void {
    this.#folder.write(`soon-${key.name}`, '', until);
  }
}

/** `dir` is that of `credentialDir`; undefined keeps nothing. */
export function openCredentials(options: { readonly dir: string | undefined; readonly deps: Deps }): Credentials {
  return new Credentials(options.dir, options.deps);
}

/** The claim that Node and launchers share, and the one that launchers make while they do not know the name. */
function claimPaths(dir: string, key: CredentialKey): readonly [string, string] {
  return [join(dir, `claim-${key.name}`), join(dir, `claim-${key.lengths}`)];
}

/** Says which session a credential is of, without being the key of anything. */
function sessionTag(session: string): string {
  return createHash('sha256').update(session).digest('hex').slice(0, 16);
}
