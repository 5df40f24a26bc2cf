import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { Settings } from '../settings/sign-in.ts';

export type Way = 'browser' | 'device' | 'paste';

/** What can be seen of the place where a person sits. */
export interface Surroundings {
  readonly platform: NodeJS.Platform;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly inContainer: boolean;
  readonly inWsl: boolean;
  /** The person has configured a command that opens a browser. */
  readonly browserCommand: boolean;
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

const textBrowsers = new Set(['w3m', 'lynx', 'links', 'links2', 'elinks', 'browsh', 'www-browser']);

function whyNoBrowser({ platform, env, inContainer, inWsl, browserCommand }: Surroundings): string | undefined {
  if (browserCommand) return undefined;
  const has = (name: string) => (env[name] ?? '') !== '';
  // Set on purpose: by the person, or by an editor that opens the page on the machine in front of them.
  const [browser = ''] = (env['BROWSER'] ?? '').trim().split(/[\s:]+/);
  if (browser !== '' && !textBrowsers.has(basename(browser))) return undefined;
  if (has('SSH_CONNECTION') || has('SSH_CLIENT') || has('SSH_TTY')) return 'This is an SSH session without a browser';
  if (inContainer || has('KUBERNETES_SERVICE_HOST')) return 'This is a container without a browser';
  if (platform === 'darwin' || platform === 'win32' || inWsl) return undefined;
  if (!has('DISPLAY') && !has('WAYLAND_DISPLAY')) return 'There is no display here';
  return undefined;
}

export function lookAround(
  { env, platform }: Deps,
  { browserCommand }: Pick<Settings, 'browserCommand'>,
): Surroundings {
  return {
    platform,
    env,
    inContainer: platform === 'linux' && (existsSync('/.dockerenv') || existsSync('/run/.containerenv')),
    inWsl: platform === 'linux' && ((env['WSL_DISTRO_NAME'] ?? '') !== '' || kernelIsMicrosofts()),
    browserCommand: browserCommand !== undefined && browserCommand.length > 0,
  };
}

function kernelIsMicrosofts(): boolean {
  try {
    return /microsoft/i.test(readFileSync('/proc/version', 'utf8'));
  } catch {
    return false;
  }
}
