import { KleisError } from '../../shared/errors.ts';
import { makeSecrets, type Secrets } from '../provider/authorization-request.ts';
import { scopeHint } from '../provider/refusals.ts';
import type { TokenSet } from '../provider/tokens.ts';
import { browserCommands } from './browser-command.ts';
import { readCallback, readRefusal } from './callback.ts';
import { nobodyReads, nobodyThere } from './choice.ts';
import { nameOfProvider, purpose, requestFor, type SignInContext, WayFailed } from './context.ts';
import { addressesToTry, type CallbackListener, listenForCallback } from './listener.ts';
import { openBrowser } from './open-browser.ts';
import type { PageOutcome } from './page.ts';
import { pasteCallback } from './paste.ts';

/** After this long without a callback the provider most likely shows an error page of its own. */
const patience = 20_000;

/**
 * Signs in with a browser on this machine, which brings the answer back to an address on loopback (RFC 8252). Where it does
 * not open, `otherwise` says whether the person is to open the address, or another way is to be tried.
 */
export async function signInWithBrowser(
  context: SignInContext,
  otherwise: 'wait' | 'leave' = 'wait',
): Promise<TokenSet> {
  const { provider, settings } = context;
  const secrets = makeSecrets(settings);
  const listener = await listen(context, secrets);
  try {
    const dpop = await provider.dpopKey();
    const { redirectUri } = listener;
    const url = await provider.authorizationUrl(requestFor(context, { redirectUri, secrets, dpop }));
    const failed = await show(url, context, otherwise);
    const arrived = await arrival(listener, context, secrets, failed);
    try {
      const code = readCallback(arrived.parameters, provider);
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

async function listen({ provider, settings, deps }: SignInContext, { state }: Secrets): Promise<CallbackListener> {
  const unmarked = (parameters: URLSearchParams) => {
    const { message, hint } = readRefusal(parameters, provider) ?? {};
    deps.report.warn(
      `An error came without saying which sign-in it is about: ${message ?? ''} If the browser shows it too, press Ctrl-C. ${hint ?? ''}`,
    );
  };
  try {
    return await listenForCallback(addressesToTry(settings), state, nameOfProvider(provider), unmarked);
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
  { provider, deps, options, signal }: SignInContext,
  { state }: Secrets,
  failed: readonly Promise<never>[],
): Promise<Arrival> {
  const settled = new AbortController();
  const either = AbortSignal.any([signal, settled.signal]);
  const scopes = scopeHint(provider.asker);
  const hint = deps.clock.sleep(patience, either).then(
    () =>
      deps.report.info(
        'Nothing has come back yet. If the browser shows an error about the redirect URI, register\n' +
          `  ${listener.redirectUri}\nfor this client at the provider, or give a registered one with --redirect-uri.` +
          (scopes === undefined ? '' : ` If it is about the scope: ${scopes}`),
      ),
    () => undefined,
  );
  try {
    const ways: Promise<Arrival>[] = [listener.next(either), ...failed];
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

/**
 * Opens the browser; prints the address where a person can read it, and always when nothing opened. The promise in the result
 * rejects when another way must be tried, which may turn out later.
 */
async function show(url: URL, context: SignInContext, otherwise: 'wait' | 'leave'): Promise<readonly Promise<never>[]> {
  const { settings, deps } = context;
  const { report, stderr } = deps;
  let leave: ((error: KleisError) => void) | undefined;
  const failed = new Promise<never>((_, reject) => {
    leave = reject;
  });
  // Nobody may be waiting for it any more.
  failed.catch(() => undefined);
  const fail = (failure: string) => {
    if (otherwise === 'leave') leave?.(new WayFailed('browser_unavailable', failure));
    else if (nobodyReads(deps)) leave?.(nobodyThere(failure.replace(/\.$/, '')));
    else report.warn(`${failure} Open this address yourself:\n  ${url.href}`);
  };
  report.info(`Opening a browser to sign in ${purpose(context)} …`);
  const failure = await openBrowser(url, browserCommands(settings.browserCommand, deps), deps, fail);
  if (failure !== undefined) fail(failure);
  // Not where somebody else draws the screen (k9s): a long line would destroy it.
  else if (stderr.isTTY) report.info(`If nothing opens, open this address yourself:\n  ${url.href}`);
  return [failed];
}

function describe(error: unknown): { message: string; hint: string | undefined } {
  if (error instanceof KleisError) return { message: error.message, hint: error.hint };
  return { message: 'The sign-in did not work.', hint: 'The terminal says more.' };
}
