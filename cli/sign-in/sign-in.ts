import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { defaultListenAddresses } from '../settings/listen-address.ts';
import type { Settings } from '../settings/sign-in.ts';
import {
  makeSecrets,
  scopesToAskFor,
  type AuthorizationRequest,
  type Secrets,
} from '../provider/authorization-request.ts';
import { openBrowser } from './open-browser.ts';
import { readCallback } from './callback.ts';
import { chooseWay, lookAround, type Way } from './choice.ts';
import { signInWithDevice, type DeviceCode, type PollResult } from './device.ts';
import type { ProviderMetadata } from '../provider/discovery.ts';
import type { DpopKey } from '../provider/dpop.ts';
import { addressesToTry, listenForCallback, type CallbackListener } from './listener.ts';
import { pasteCallback } from './paste.ts';
import type { TokenSet } from '../provider/tokens.ts';

export interface SignInOptions {
  /** The person may be asked to paste: `kleis login`, where the terminal is ours, and nowhere else. */
  readonly allowPaste: boolean;
  /** Whom the provider should expect (OpenID Connect Core 3.1.2.1, `login_hint`). */
  readonly loginHint?: string | undefined;
}

/** What a sign-in asks of the provider. */
export interface Exchange {
  /** Undefined unless DPoP is asked for. */
  dpopKey(): Promise<DpopKey | undefined>;
  authorizationUrl(request: AuthorizationRequest): Promise<URL>;
  redeem(code: string, redirectUri: string, secrets: Secrets, dpop: DpopKey | undefined): Promise<TokenSet>;
  startDevice(verifier: string, scope: string): Promise<DeviceCode>;
  pollDevice(deviceCode: string, verifier: string, dpop: DpopKey | undefined): Promise<PollResult>;
}

export interface SignInContext {
  readonly settings: Settings;
  readonly deps: Deps;
  readonly metadata: ProviderMetadata;
  readonly exchange: Exchange;
}

/** After this long without a callback the provider most likely shows an error page of its own. */
const patience = 20_000;

/**
 * Signs a person in. What they have to do and why stands on stderr within a second, whatever way it is. Throws
 * `sign_in_refused`, `sign_in_cancelled`, `sign_in_timeout`, `sign_in_invalid`, `browser_unavailable`, `port_in_use`,
 * and what the token request throws.
 */
export async function signIn(context: SignInContext, options: SignInOptions): Promise<TokenSet> {
  const { settings, deps, metadata } = context;
  const timeout = AbortSignal.timeout(settings.loginTimeout);
  const signal = AbortSignal.any([deps.signal, timeout]);
  const offersDevice = metadata.device_authorization_endpoint !== undefined;
  const choice =
    settings.login === 'auto'
      ? chooseWay({ ...lookAround(deps, settings), offersDevice, allowPaste: options.allowPaste })
      : { way: settings.login, reason: undefined };
  if (choice.reason !== undefined) deps.report.info(choice.reason);
  try {
    return await byWay(choice.way, context, options, signal);
  } catch (error) {
    if (deps.signal.aborted) throw new KleisError('sign_in_cancelled', 'The sign-in was cancelled.');
    if (timeout.aborted && !(error instanceof KleisError)) {
      const minutes = Math.round(settings.loginTimeout / 6000) / 10;
      throw new KleisError('sign_in_timeout', `Nobody signed in within ${minutes} minutes.`, { cause: error });
    }
    throw error;
  }
}

async function byWay(way: Way, context: SignInContext, options: SignInOptions, signal: AbortSignal): Promise<TokenSet> {
  const { settings, deps, metadata, exchange } = context;
  if (way === 'paste') return withPaste(context, options, signal);
  if (way === 'device') return withDevice(context, signal);
  let listener: CallbackListener;
  const secrets = makeSecrets(settings);
  try {
    listener = await listenForCallback(addressesToTry(settings), secrets.state, providerName(metadata));
  } catch (error) {
    const canFallBack = settings.login === 'auto' && metadata.device_authorization_endpoint !== undefined;
    if (!(error instanceof KleisError) || error.code !== 'port_in_use' || !canFallBack) throw error;
    deps.report.info(`${error.message} Signing in with a device code instead.`);
    return withDevice(context, signal);
  }
  try {
    const dpop = await exchange.dpopKey();
    const { redirectUri } = listener;
    const request = { redirectUri, secrets, loginHint: options.loginHint, dpopThumbprint: dpop?.thumbprint };
    const url = await exchange.authorizationUrl(request);
    await show(url, context);
    const arrived = await arrival(listener, url, context, options, secrets, signal);
    try {
      const tokens = await exchange.redeem(readCallback(arrived.parameters, metadata), redirectUri, secrets, dpop);
      await arrived.finish({ kind: 'signed-in', name: tokens.subject?.name });
      return tokens;
    } catch (error) {
      await arrived.finish({ kind: 'failed', ...describe(error) });
      throw error;
    }
  } finally {
    await listener.close();
  }
}

interface Arrival {
  readonly parameters: URLSearchParams;
  finish(outcome: Parameters<Awaited<ReturnType<CallbackListener['next']>>['finish']>[0]): Promise<void>;
}

/** The callback from the browser, or, in `kleis login`, from the person who pastes it: whichever comes first. */
async function arrival(
  listener: CallbackListener,
  url: URL,
  { deps }: SignInContext,
  options: SignInOptions,
  secrets: Secrets,
  signal: AbortSignal,
): Promise<Arrival> {
  const settled = new AbortController();
  const either = AbortSignal.any([signal, settled.signal]);
  const hint = deps.clock.sleep(patience, either).then(
    () =>
      deps.report.info(
        'Nothing has come back yet. If the browser shows an error about the redirect URI, register\n' +
          `  ${listener.redirectUri}\nfor this client at the provider, or give a registered one with --redirect-uri.`,
      ),
    () => undefined,
  );
  try {
    const ways: Promise<Arrival>[] = [listener.next(either)];
    if (options.allowPaste && deps.stdin.isTTY) {
      const pasted = pasteCallback({ deps, state: secrets.state, signal: either, beside: true });
      ways.push(pasted.then((parameters) => ({ parameters, finish: async () => undefined })));
    }
    return await Promise.race(ways);
  } finally {
    settled.abort();
    await hint;
  }
}

/** Opens the browser; prints the address where a person can read it, and always when nothing opened. */
async function show(url: URL, { settings, deps, metadata }: SignInContext): Promise<void> {
  const { report, stderr } = deps;
  report.info(`Opening a browser to sign in at ${providerName(metadata)} …`);
  const failure = await openBrowser(url, settings.browserCommand, deps, (late) => {
    report.warn(`${late} Open this address yourself:\n  ${url.href}`);
  });
  if (failure !== undefined) report.warn(`${failure} Open this address yourself:\n  ${url.href}`);
  // Not where somebody else draws the screen (k9s): a long line would destroy it.
  else if (stderr.isTTY) report.info(`If nothing opens, open this address yourself:\n  ${url.href}`);
}

async function withDevice(
  { settings, deps, metadata, exchange }: SignInContext,
  signal: AbortSignal,
): Promise<TokenSet> {
  if (metadata.device_authorization_endpoint === undefined) {
    throw new KleisError('sign_in_refused', 'The provider offers no sign-in with a device code.', {
      hint: 'Use --login browser or --login paste.',
    });
  }
  const { verifier } = makeSecrets(settings);
  const dpop = await exchange.dpopKey();
  const scope = scopesToAskFor(settings, metadata);
  return signInWithDevice({
    deps,
    signal,
    timeout: settings.loginTimeout,
    start: () => exchange.startDevice(verifier, scope),
    poll: (code) => exchange.pollDevice(code, verifier, dpop),
  });
}

async function withPaste(
  { settings, deps, metadata, exchange }: SignInContext,
  options: SignInOptions,
  signal: AbortSignal,
): Promise<TokenSet> {
  if (!options.allowPaste && !deps.stdin.isTTY) {
    throw new KleisError('sign_in_needed', 'Signing in needs a terminal to paste into, and there is none here.', {
      hint: 'Run `kleis login --login paste` in a terminal first.',
    });
  }
  const secrets = makeSecrets(settings);
  const dpop = await exchange.dpopKey();
  const address = settings.listenAddress[0] ?? defaultListenAddresses[0];
  const redirectUri = settings.redirectUri ?? `http://${address.replace(/:0$/, ':8000')}`;
  const request = { redirectUri, secrets, loginHint: options.loginHint, dpopThumbprint: dpop?.thumbprint };
  const url = await exchange.authorizationUrl(request);
  deps.report.info(`Open this address in any browser and sign in at ${providerName(metadata)}:\n  ${url.href}`);
  deps.report.info(
    `In the end the browser goes to an address that begins with ${clean(redirectUri)} and may say that it cannot be reached: that is right.`,
  );
  const parameters = await pasteCallback({ deps, state: secrets.state, signal, beside: false });
  // A code alone was pasted: which provider it is from is then checked by the ID token's issuer only.
  const alone = [...parameters.keys()].join() === 'code';
  const code = alone ? (parameters.get('code') ?? '') : readCallback(parameters, metadata);
  return exchange.redeem(code, redirectUri, secrets, dpop);
}

function providerName(metadata: ProviderMetadata): string {
  return clean(new URL(metadata.issuer).host, 100);
}

function describe(error: unknown): { message: string; hint: string | undefined } {
  if (error instanceof KleisError) return { message: error.message, hint: error.hint };
  return { message: 'The sign-in did not work.', hint: 'The terminal says more.' };
}
