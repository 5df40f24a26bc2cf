import { KleisError } from '../../shared/errors.ts';
import { makeSecrets, type Secrets } from '../provider/authorization-request.ts';
import type { TokenSet } from '../provider/tokens.ts';
import { readCallback } from './callback.ts';
import { nameOfProvider, type SignInContext, WayFailed } from './context.ts';
import { addressesToTry, type CallbackListener, listenForCallback } from './listener.ts';
import { openBrowser } from './open-browser.ts';
import type { PageOutcome } from './page.ts';
import { pasteCallback } from './paste.ts';

/** After this long without a callback the provider most likely shows an error page of its own. */
const patience = 20_000;

/** Signs in with a browser on this machine, which brings the answer back to an address on loopback (RFC 8252). */
export async function signInWithBrowser(context: SignInContext): Promise<TokenSet> {
  const { provider, settings, options } = context;
  const secrets = makeSecrets(settings);
  const listener = await listen(context, secrets);
  try {
    const dpop = await provider.dpopKey();
    const { redirectUri } = listener;
    const request = { redirectUri, secrets, loginHint: options.loginHint, dpopThumbprint: dpop?.thumbprint };
    await show(await provider.authorizationUrl(request), context);
    const arrived = await arrival(listener, context, secrets);
    try {
      const code = readCallback(arrived.parameters, provider.metadata);
      const tokens = await provider.redeem(code, redirectUri, secrets, dpop);
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

async function listen({ provider, settings }: SignInContext, { state }: Secrets): Promise<CallbackListener> {
  try {
    return await listenForCallback(addressesToTry(settings), state, nameOfProvider(provider));
  } catch (error) {
    if (!(error instanceof KleisError)) throw error;
    throw new WayFailed(error.code, error.message, { hint: error.hint, cause: error });
  }
}

interface Arrival {
  readonly parameters: URLSearchParams;
  finish(outcome: PageOutcome): Promise<void>;
}

/** The callback from the browser, or, in `kleis login`, from the person who pastes it: whichever comes first. */
async function arrival(
  listener: CallbackListener,
  { deps, options, signal }: SignInContext,
  { state }: Secrets,
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
      const pasted = pasteCallback({ deps, state, signal: either, beside: true });
      ways.push(pasted.then((parameters) => ({ parameters, finish: async () => undefined })));
    }
    return await Promise.race(ways);
  } finally {
    settled.abort();
    await hint;
  }
}

/** Opens the browser; prints the address where a person can read it, and always when nothing opened. */
async function show(url: URL, { provider, settings, deps }: SignInContext): Promise<void> {
  const { report, stderr } = deps;
  report.info(`Opening a browser to sign in at ${nameOfProvider(provider)} …`);
  const failure = await openBrowser(url, settings.browserCommand, deps, (late) => {
    report.warn(`${late} Open this address yourself:\n  ${url.href}`);
  });
  if (failure !== undefined) report.warn(`${failure} Open this address yourself:\n  ${url.href}`);
  // Not where somebody else draws the screen (k9s): a long line would destroy it.
  else if (stderr.isTTY) report.info(`If nothing opens, open this address yourself:\n  ${url.href}`);
}

function describe(error: unknown): { message: string; hint: string | undefined } {
  if (error instanceof KleisError) return { message: error.message, hint: error.hint };
  return { message: 'The sign-in did not work.', hint: 'The terminal says more.' };
}
