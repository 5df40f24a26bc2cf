import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { thisProcess } from '../surroundings/process.ts';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { ToldFailure, toFailure } from '../surroundings/failure.ts';
import {
  type Claim,
  type ClaimOptions,
  isLauncherClaim,
  releaseLauncherClaim,
  takeClaim,
  tryClaim,
} from '../files/claim.ts';
import { type Asker, askerOf } from './asker.ts';
import { Failures } from './failures.ts';
import { type CredentialFolder, openFolder } from './folder.ts';
import { type CredentialKey, formatAssignments, jobOf, parseAssignments } from './key.ts';
import { type CredentialTimes, freshUntil, renewalDueAt } from './lifetime.ts';
import { holdForced, isForcedHeld, noteAnswer } from './repeated-asks.ts';

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

export interface TurnOptions {
  /** `normal`: someone waits. `background`: nobody does. `rejected`: someone does who has a credential already. */
  readonly mode: 'normal' | 'background' | 'rejected';
  /** Milliseconds that the work may take. */
  readonly deadline: number;
  readonly purpose: string;
}

/** The right to get a credential, which nobody else gets meanwhile, the launcher's processes included. */
export interface Turn {
  /** Moves the deadline to that many milliseconds from now. Throws `claim_held` if another process took over. */
  extend(milliseconds: number, purpose: string): Promise<void>;
  /** What the work failed with: to be said before `release`, for those who wait. */
  fail(error: unknown): void;
  release(): void;
}

export interface CredentialsOptions {
  /** `credentialDirs` of settings/paths.ts; the first that can be used is used. */
  readonly candidates: readonly string[];
  readonly deps: Deps;
  /** Where else it may be noted what was said once. */
  readonly elsewhere?: string | undefined;
  /** Without it kubectl or its like, which asks again by itself. */
  readonly asker?: Asker;
}

/** The cache of credentials. Where it cannot be used (no folder, no key, unsafe, full) it is empty, and the work goes on. */
export class Credentials {
  readonly asker: Asker;
  readonly #deps: Deps;
  readonly #folder: CredentialFolder;
  readonly #elsewhere: CredentialFolder;
  readonly #failures: Failures;
  /** The failure that those who wait know of. */
  #noted: KleisError | undefined;

  constructor({ candidates, elsewhere, deps, asker = askerOf(deps) }: CredentialsOptions) {
    this.#deps = deps;
    this.#folder = openFolder({ candidates, openToOthers: 'empty' }, deps);
    this.asker = asker;
    const others = elsewhere === undefined ? [] : [elsewhere];
    this.#elsewhere = openFolder({ candidates: others, openToOthers: 'pass over' }, deps);
    this.#failures = new Failures(this.#folder, asker, deps);
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

  /** What is kept, and until when it is fresh: for `--verbose`. */
  describe(key: CredentialKey | undefined): string {
    if (key === undefined) return 'No credential is read: this call keeps none, or asks for a new one.';
    const folder = this.#folder.usable();
    const stored = this.#folder.read(key.name);
    if (folder === undefined || stored === undefined)
      return `No credential is kept for this call in ${folder ?? 'any folder'}.`;
    const path = clean(join(folder, key.name), 400);
    if (this.read(key) !== undefined) return `The credential ${path} is fresh until ${when(stored.mtime)}.`;
    const why = stored.mtime <= this.#deps.clock.now() ? `since ${when(stored.mtime)}` : 'being of another call';
    return `The credential ${path} is not fresh, ${why}.`;
  }

  /**
   * Notes that our parent asks and is answered with this. True if it was answered with the same before: then the server
   * very likely refused it (401). Never for a run that the launcher started: it has looked itself.
   */
  isAskedAgain(key: CredentialKey | undefined, { generation }: CachedCredential): boolean {
    if (key === undefined || (this.asker.launched && key.own !== true)) return false;
    return this.#noteAnswer(key, generation);
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
    this.#deps.report.debug(`The credential ${key.name} was stored; it is fresh until ${when(until)}.`);
    this.#failures.forget(key.name);
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

  /** What this job keeps of a session, or of one of `noSession`, fresh or not; and whether `ofOrigin` finds it too. */
  ofSession(session: string): { readonly name: string; readonly text: string; readonly hasOrigin: boolean }[] {
    const tag = sessionTag(session);
    const job = jobOf(this.#deps.env);
    return this.#names().flatMap((name) => {
      const values = parseAssignments(this.#folder.read(name)?.text ?? '');
      const its = values.get('J');
      const ours = job !== undefined && (its === job || its?.startsWith(`${job}\n`) === true);
      if (!ours || values.get('S') !== tag) return [];
      return [{ name, text: values.get('T') ?? '', hasOrigin: values.has('R') }];
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
   * Waits until nobody else gets this credential; what the launcher claimed for this process becomes ours. Whoever
   * waited for an attempt that failed fails with the same, and so does, for a while, every other child of a parent that
   * was told; a failed background run is nobody's failure. The work must look again first: another process may have
   * brought what is wanted.
   *
   * @throws KleisError `claim_held` in the background, when another process is at it; and what others failed with
   */
  async takeTurn(key: CredentialKey | undefined, options: TurnOptions): Promise<Turn> {
    const dir = this.#folder.usable();
    const someoneWaits = options.mode === 'normal';
    if (someoneWaits) this.#sayPassedOver();
    if (key === undefined || dir === undefined) return freeTurn;
    if (someoneWaits) this.#throwFailure(key, []);
    const claim = await this.#enter(dir, key, options);
    try {
      if (someoneWaits && claim !== undefined) this.#throwFailure(key, claim.waitedFor);
    } catch (error) {
      claim?.release();
      throw error;
    }
    let failed = false;
    return {
      extend: async (milliseconds, purpose) => claim?.extend(milliseconds, purpose),
      fail: (error) => {
        failed = true;
        this.#noted = toFailure(error, this.#deps);
        if (someoneWaits && !(error instanceof ToldFailure)) this.#failures.note(key.name, this.#noted);
        if (options.mode === 'background') this.#holdBackground(key, this.#deps.clock.now() + backgroundPause);
      },
      release: () => {
        const cached = failed || options.mode === 'background' ? undefined : this.read(key);
        if (cached !== undefined) this.#noteAnswer(key, cached.generation);
        claim?.release();
        this.#wake(key.name);
      },
    };
  }

  /** For the beginning of a run that someone waits for: throws what its parent was told a moment ago. */
  throwTold(key: CredentialKey | undefined): void {
    if (key !== undefined) this.#throwFailure(key, []);
  }

  /**
   * For the end of every run, however it ended: gives back what the launcher claimed for it. If it failed before its
   * turn came, those who wait are told.
   */
  settle(key: CredentialKey | undefined, mode: TurnOptions['mode'], error?: KleisError): void {
    const dir = key === undefined ? undefined : this.#folder.usable();
    if (key === undefined || dir === undefined) return;
    const { pids } = this.asker;
    const ours = claimPaths(dir, key).filter((path) => isLauncherClaim(path, pids));
    // Before the claims go: whoever finds one gone must find out why.
    if (ours.length > 0) this.#makeName(key);
    const isNew = error !== undefined && !(error instanceof ToldFailure) && error !== this.#noted;
    if (isNew && mode === 'normal') this.#failures.note(key.name, error);
    for (const path of ours) releaseLauncherClaim(path, pids, this.#deps.clock.now());
    if (ours.length > 0) for (const id of [key.name, key.lengths]) this.#wake(id);
  }

  async #enter(dir: string, key: CredentialKey, options: TurnOptions): Promise<Claim | undefined> {
    const [path, byLengths] = claimPaths(dir, key);
    const { pids } = this.asker;
    const claimOptions: ClaimOptions = {
      deps: this.#deps,
      deadline: options.deadline,
      purpose: options.purpose,
      inherit: pids,
      ...(options.mode === 'background'
        ? { patience: handOver }
        : { onWait: (holder) => this.#deps.report.info(`Waiting for ${holder.text}.`) }),
    };
    try {
      const claim = tryClaim(path, claimOptions);
      // Others with arguments of these lengths wait there, perhaps for a credential of quite another provider.
      this.#makeName(key);
      releaseLauncherClaim(byLengths, pids, this.#deps.clock.now());
      this.#wake(key.lengths);
      return claim ?? (await takeClaim(path, claimOptions));
    } catch (error) {
      if (!(error instanceof KleisError) || error.code !== 'storage_unavailable') throw error;
      this.#deps.report.debug(`Going on without a claim: ${error.message}`);
      return undefined;
    }
  }

  /** Those launchers who wait for the claim `claim-ID`, which was given back. */
  #wake(id: string): void {
    const list = this.#folder.read(`waiting-${id}`);
    // One that is too long to be read too: or nobody would be woken any more.
    this.#folder.remove(`waiting-${id}`);
    const pids = new Set(list?.text.split('\n'));
    for (const pid of pids) if (/^[1-9]\d{0,9}$/.test(pid)) thisProcess.wake(Number(pid));
  }

  /** Once a month: where credentials are kept instead, and why. */
  #sayPassedOver(): void {
    const reasons = this.#folder.passedOver();
    if (reasons.length === 0) return;
    const dir = this.#folder.usable();
    const where = dir === undefined ? 'No credential is kept, so each call is slow' : `Credentials are kept in ${dir}`;
    const text = `${clean(where, 400)}: ${reasons.join(' ')}`;
    const mark = `said-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
    const notebook = dir === undefined ? this.#elsewhere : this.#folder;
    if (notebook.read(mark) !== undefined) return;
    // Where it cannot be noted there is no session either, which says so itself.
    const isNoted = notebook.write(mark, '', this.#deps.clock.now() + 30 * 24 * 3_600_000);
    if (isNoted) this.#deps.report.info(text);
    else this.#deps.report.debug(text);
  }

  /** Lets launchers find the name before there is a credential. */
  #makeName(key: CredentialKey): void {
    if (this.#folder.read(key.name) === undefined) this.#folder.write(key.name, this.#format(key, { T: '' }), 1000);
  }

  #format(key: CredentialKey, values: Readonly<Record<string, string>>): string {
    return formatAssignments({ A: key.arguments, E: key.execInfo, J: key.job, ...values });
  }

  #throwFailure(key: CredentialKey, waitedFor: readonly number[]): void {
    const failure = this.#failures.find(key.name, waitedFor);
    if (failure !== undefined) throw failure;
  }

  #noteAnswer(key: CredentialKey, generation: string): boolean {
    const { parent } = this.asker;
    return parent !== undefined && noteAnswer(this.#folder, key, parent, generation);
  }

  #holdBackground(key: CredentialKey, until: number): void {
    this.#folder.write(`soon-${key.name}`, '', until);
  }
}

const freeTurn: Turn = { extend: async () => undefined, fail: () => undefined, release: () => undefined };

/** The claim that Node and launchers share, and the one that launchers make while they do not know the name. */
function claimPaths(dir: string, key: CredentialKey): readonly [string, string] {
  return [join(dir, `claim-${key.name}`), join(dir, `claim-${key.lengths}`)];
}

function when(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** Says which session a credential is of, without being the key of anything. */
function sessionTag(session: string): string {
  return createHash('sha256').update(session).digest('hex').slice(0, 16);
}
