import { KleisError } from '../../shared/errors.ts';
import type { Provider } from '../provider/provider.ts';
import type { TokenSet } from '../provider/tokens.ts';
import type { Deps } from '../surroundings/deps.ts';
import { signInWithBrowser } from './browser.ts';
import { chooseWay, lookAround, type Way } from './choice.ts';
import { type SignInContext, type SignInOptions, type SignInSettings, WayFailed } from './context.ts';
import { signInWithDevice } from './device.ts';
import { signInByPasting } from './paste.ts';

interface SignIn {
  readonly provider: Provider;
  readonly settings: SignInSettings;
  readonly deps: Deps;
}

const ways: Readonly<Record<Way, (context: SignInContext) => Promise<TokenSet>>> = {
  browser: signInWithBrowser,
  device: signInWithDevice,
  paste: signInByPasting,
};

/**
 * Signs a person in. What they have to do and why stands on stderr within a second, whatever way it is. Throws
 * `sign_in_refused`, `sign_in_cancelled`, `sign_in_timeout`, `sign_in_invalid`, `browser_unavailable`, `port_in_use`,
 * and what the token request throws.
 */
export async function signIn({ provider, settings, deps }: SignIn, options: SignInOptions): Promise<TokenSet> {
  const timeout = AbortSignal.timeout(settings.loginTimeout);
  const signal = AbortSignal.any([deps.signal, timeout]);
  const context = { provider, settings, deps, options, signal };
  try {
    return await (settings.login === 'auto' ? inTurn(context) : ways[settings.login](context));
  } catch (error) {
    if (deps.signal.aborted) throw new KleisError('sign_in_cancelled', 'The sign-in was cancelled.');
    if (timeout.aborted && !(error instanceof KleisError)) {
      const minutes = Math.round(settings.loginTimeout / 6000) / 10;
      throw new KleisError('sign_in_timeout', `Nobody signed in within ${minutes} minutes.`, { cause: error });
    }
    throw error;
  }
}

/** The way that fits this place, and the next one where that fails before the person has done anything. */
async function inTurn(context: SignInContext): Promise<TokenSet> {
  const { provider, settings, deps, options } = context;
  const offersDevice = provider.deviceEndpoint !== undefined;
  const choice = chooseWay({ ...lookAround(deps, settings), offersDevice, allowPaste: options.allowPaste });
  if (choice.reason !== undefined) deps.report.info(choice.reason);
  try {
    return await ways[choice.way](context);
  } catch (error) {
    if (!(error instanceof WayFailed) || choice.way !== 'browser' || !offersDevice) throw error;
    deps.report.info(`${error.message} Signing in with a device code instead.`);
    return signInWithDevice(context);
  }
}
