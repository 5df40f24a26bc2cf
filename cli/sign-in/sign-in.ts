import { KleisError } from '../../shared/errors.ts';
import { whyNoRefreshToken } from '../provider/authorization-request.ts';
import type { Provider } from '../provider/provider.ts';
import type { TokenSet } from '../provider/tokens.ts';
import type { Deps } from '../surroundings/deps.ts';
import { signInWithBrowser } from './browser.ts';
import { chooseWay, lookAround, nobodyThere, type Way } from './choice.ts';
import { type SignInContext, type SignInOptions, type SignInSettings, WayFailed } from './context.ts';
import { signInWithDevice } from './device.ts';
import { signInByPasting } from './paste.ts';

interface SignIn {
  readonly provider: Provider;
  readonly settings: SignInSettings;
  readonly deps: Deps;
}

const ways: Readonly<Record<Way, (context: SignInContext) => Promise<TokenSet>>> = {
  browser: (context) => signInWithBrowser(context),
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
    const tokens = await (settings.login === 'auto' ? inTurn(context) : ways[settings.login](context));
    sayWhetherItRenews(tokens, { provider, settings, deps });
    return tokens;
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
  const { allowPaste } = options;
  const offersDevice = provider.deviceEndpoint !== undefined;
  const place = lookAround(deps, settings);
  const { way, reason } = chooseWay({ ...place, offersDevice, allowPaste });
  if (reason !== undefined) deps.report.info(reason);
  if (way === 'paste') return signInByPasting(context);
  const nobody = place.nobodyReads === true;
  const mayUseCode = offersDevice && !nobody;
  const otherwise = mayUseCode || nobody ? 'leave' : 'wait';
  const first = way === 'device' ? signInWithDevice(context) : signInWithBrowser(context, otherwise);
  const outcome = await first.catch(onlyWayFailed);
  if (!(outcome instanceof WayFailed)) return outcome;
  if (nobody && outcome.code === 'browser_unavailable') throw nobodyThere(outcome.message.replace(/\.$/, ''));

  let last = outcome;
  if (way === 'browser' && mayUseCode) {
    deps.report.info(`${outcome.message} Signing in with a device code instead.`);
    const second = await signInWithDevice(context).catch(onlyWayFailed);
    if (!(second instanceof WayFailed)) return second;
    last = second;
    // A person can still open the address, unless there is nowhere to wait for the answer.
    if (outcome.code === 'browser_unavailable') {
      deps.report.info(`${last.message} ${last.hint}`);
      return signInWithBrowser(context, 'wait');
    }
  }
  if (!allowPaste) throw last;
  deps.report.info(`${last.message} ${last.hint}\nSigning in by pasting instead.`);
  return signInByPasting(context);
}

function onlyWayFailed(error: unknown): WayFailed {
  if (error instanceof WayFailed) return error;
  throw error;
}

/** A person would rather know now than in an hour. */
function sayWhetherItRenews({ refreshToken }: TokenSet, { provider, settings, deps }: SignIn): void {
  if (refreshToken !== undefined || settings.cache === 'none' || settings.authParams['access_type'] === 'online')
    return;
  deps.report.info(
    `The provider gave no refresh token, so this sign-in is not renewed and ends with its token. ${whyNoRefreshToken(settings, provider.metadata)}`,
  );
}
