import { existsSync, fstatSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { Settings } from '../settings/sign-in.ts';
import { browserCommands } from './browser-command.ts';

export type Way = 'browser' | 'device' | 'paste';

/** What can be seen of the place where a person sits. */
export interface Surroundings {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly inContainer: boolean;
  readonly inWsl: boolean;
  /** The person has configured a command that opens a browser. */
  readonly browserCommand: boolean;
  /** What is written for the person reaches nobody. */
  readonly nobodyReads?: boolean;
}

export interface ChoiceInput extends Surroundings {
  /** The provider has a device authorization endpoint. */
  readonly offersDevice: boolean;
  readonly allowPaste: boolean;
}

export interface Choice {
  readonly way: Way;
  /** Why it is not simply a browser, for the person to read. */
  readonly reason: string | undefined;
}

/**
 * How `--login auto` signs in: with a browser where one can open on a screen in front of the person, else with the
 * device code, else by pasting. Pure. Throws `browser_unavailable` where none of them can work.
 */
export function chooseWay(input: ChoiceInput): Choice {
  const obstacle = whyNoBrowser(input);
  if (obstacle === undefined) return { way: 'browser', reason: undefined };
  if (input.nobodyReads === true) throw nobodyThere(`${obstacle}, and nobody reads what Kleis writes`);
  if (input.offersDevice) return { way: 'device', reason: `${obstacle}, so sign in with a code on any other device.` };
  if (input.allowPaste) {
    return {
      way: 'paste',
      reason: `${obstacle}, and the provider offers no device code, so sign in with any browser and paste.`,
    };
  }
  throw new KleisError('browser_unavailable', `${obstacle}, and the provider offers no device code.`, {
    hint: 'Run `kleis login --login paste` in a terminal, or set browserCommand in the configuration.',
  });
}

/** Exit 3 at once, instead of minutes in which nobody could do anything. */
export function nobodyThere(why: string): KleisError {
  return new KleisError('browser_unavailable', `${why}, so nobody can sign in.`, {
    hint: 'Run `kleis login` in a terminal first; where no person is there, use another --identity.',
  });
}

/** They open where they run, which over SSH and in a container is not in front of the person. */
const ordinaryBrowsers =
  /^(firefox|chrome|chromium|google-chrome|brave|opera|vivaldi|epiphany|konqueror|falkon|microsoft-edge|safari|open|(xdg|gnome|kde|gvfs)-open|sensible|x-www)(-(browser|stable|beta|dev|esr|nightly))*(\.exe)?$/i;

function whyNoBrowser(input: Surroundings): string | undefined {
  const { platform, env, inWsl, browserCommand } = input;
  if (browserCommand) return undefined;
  const elsewhere = whyElsewhere(input);
  // $BROWSER is set on purpose: by the person, or by an editor whose program opens the page in front of them.
  const said = browserCommands(undefined, { env, platform });
  if (said.some(([program = '']) => elsewhere === undefined || !ordinaryBrowsers.test(basename(program))))
    return undefined;
  if (elsewhere !== undefined) return elsewhere;
  if (platform === 'darwin' || platform === 'win32' || inWsl) return undefined;
  const hasDisplay = (env['DISPLAY'] ?? '') !== '' || (env['WAYLAND_DISPLAY'] ?? '') !== '';
  return hasDisplay ? undefined : 'There is no display here';
}

function whyElsewhere({ env, inContainer }: Surroundings): string | undefined {
  const has = (name: string) => (env[name] ?? '') !== '';
  if (has('SSH_CONNECTION') || has('SSH_CLIENT') || has('SSH_TTY')) return 'This is an SSH session without a browser';
  if (inContainer || has('KUBERNETES_SERVICE_HOST')) return 'This is a container without a browser';
  return undefined;
}

export function lookAround(deps: Deps, { browserCommand }: Pick<Settings, 'browserCommand'>): Surroundings {
  const { env, platform } = deps;
  return {
    platform,
    env,
    inContainer: platform === 'linux' && (existsSync('/.dockerenv') || existsSync('/run/.containerenv')),
    inWsl: platform === 'linux' && ((env['WSL_DISTRO_NAME'] ?? '') !== '' || kernelIsMicrosofts()),
    browserCommand: browserCommand !== undefined && browserCommand.length > 0,
    nobodyReads: nobodyIsThere(deps),
  };
}

/** What is written for a person has no reader in time: a CI job's log has some, but later. */
function nobodyIsThere(deps: Pick<Deps, 'stderr' | 'report' | 'env'>): boolean {
  return nobodyReads(deps) || (!deps.stderr.isTTY && isJob(deps.env));
}

/** `CI` is what nearly all set, to one word or another; these have a variable of their own in its place. */
const ofJobs = ['TF_BUILD', 'JENKINS_HOME', 'TEAMCITY_VERSION', 'CODEBUILD_BUILD_ID'];

function isJob(env: Deps['env']): boolean {
  return !/^(0|false|no)?$/i.test(env['CI'] ?? '') || ofJobs.some((name) => (env[name] ?? '') !== '');
}

/**
 * stderr is the null device or the journal, or the log level keeps back what a person must read. A pipe or a file may have a
 * reader.
 */
export function nobodyReads({ stderr, report, env }: Pick<Deps, 'stderr' | 'report' | 'env'>): boolean {
  if (report.level === 'silent' || report.level === 'error') return true;
  const { fd } = stderr as { readonly fd?: number };
  if (stderr.isTTY || fd === undefined) return false;
  try {
    const status = fstatSync(fd);
    // systemd.exec(5), JOURNAL_STREAM
    return status.isCharacterDevice() || env['JOURNAL_STREAM'] === `${status.dev}:${status.ino}`;
  } catch {
    return true;
  }
}

function kernelIsMicrosofts(): boolean {
  try {
    return /microsoft/i.test(readFileSync('/proc/version', 'utf8'));
  } catch {
    return false;
  }
}
