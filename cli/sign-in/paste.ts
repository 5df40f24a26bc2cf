import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { makeSecrets } from '../provider/authorization-request.ts';
import type { TokenSet } from '../provider/tokens.ts';
import { defaultListenAddresses } from '../settings/listen-address.ts';
import type { Deps } from '../surroundings/deps.ts';
import { readCallback } from './callback.ts';
import { purpose, requestFor, type SignInContext } from './context.ts';
import { readLine } from './line.ts';

interface Paste {
  readonly deps: Deps;
  /** Of this sign-in; an address with another one is refused, a code alone has none. */
  readonly state: string;
  readonly signal: AbortSignal;
  /** A browser may answer on its own: then nobody is urged. */
  readonly beside: boolean;
}

const attempts = 5;

/** Signs in with a browser anywhere: the person brings the answer back by hand. */
export async function signInByPasting(context: SignInContext): Promise<TokenSet> {
  const { provider, settings, deps, options, signal } = context;
  if (!options.allowPaste && !deps.stdin.isTTY) {
    throw new KleisError('sign_in_needed', 'Signing in needs a terminal to paste into, and there is none here.', {
      hint: 'Run `kleis login --login paste` in a terminal first.',
    });
  }
  const secrets = makeSecrets(settings);
  const dpop = await provider.dpopKey();
  const address = settings.listenAddress[0] ?? defaultListenAddresses[0];
  const redirectUri = settings.redirectUri ?? `http://${address.replace(/:0$/, ':8000')}`;
  const url = await provider.authorizationUrl(requestFor(context, { redirectUri, secrets, dpop }));
  deps.report.info(`Open this address in any browser and sign in ${purpose(context)}:\n  ${url.href}`);
  deps.report.info(
    `In the end the browser goes to an address that begins with ${clean(redirectUri)} and may say that it cannot be reached: that is right.`,
  );
  const parameters = await pasteCallback({ deps, state: secrets.state, signal, beside: false });
  // A code alone was pasted: which provider it is from is then checked by the ID token's issuer only.
  const alone = [...parameters.keys()].join() === 'code';
  const code = alone ? (parameters.get('code') ?? '') : readCallback(parameters, provider);
  return provider.redeem(code, redirectUri, secrets, dpop);
}

/**
 * Reads what the person pastes until it is the answer of this sign-in: the address that the browser was sent to, its
 * query, or the code alone. Throws `sign_in_cancelled` (Ctrl-C, Ctrl-D, end of input), `sign_in_invalid` (five times
 * something else), and the signal's reason.
 */
export async function pasteCallback({ deps, state, signal, beside }: Paste): Promise<URLSearchParams> {
  const { stdin, report } = deps;
  report.info(beside ? 'Or paste the address that the browser was sent to in the end:' : 'Paste that address here:');
  for (let attempt = 1; ; attempt += 1) {
    const text = await readLine(deps, signal);
    const problem = text.trim() === '' ? 'There was nothing in it' : undefined;
    const parameters = problem === undefined ? parsePasted(text) : undefined;
    const wrong =
      problem ??
      (parameters === undefined ? 'That is neither such an address nor a code' : wrongState(parameters, state));
    if (parameters !== undefined && wrong === undefined) return parameters;
    if (attempt >= attempts || !stdin.isTTY) throw new KleisError('sign_in_invalid', `${wrong ?? ''}.`);
    report.info(`${wrong ?? ''}. Paste again, or press Ctrl-C:`);
  }
}

function wrongState(parameters: URLSearchParams, state: string): string | undefined {
  const states = parameters.getAll('state');
  if (states.length === 1 && states[0] === state) return undefined;
  // Some name no sign-in when they refuse; the person knows that it is this one.
  if (states.length === 0 && parameters.has('error')) return undefined;
  if ([...parameters.keys()].join() === 'code') return undefined;
  return 'That address is from another sign-in';
}

/** What can be read out of pasted text, or nothing. Line breaks that a terminal put into a long address are taken out. */
export function parsePasted(text: string): URLSearchParams | undefined {
  const pasted = text.replace(/\s+/g, '');
  if (/^https?:\/\//i.test(pasted)) {
    if (!URL.canParse(pasted)) return undefined;
    const { searchParams } = new URL(pasted);
    return searchParams.has('code') || searchParams.has('error') ? searchParams : undefined;
  }
  if (/^[?&]?(code|state|error|iss|session_state|scope)=/.test(pasted)) {
    const parameters = new URLSearchParams(pasted);
    return parameters.has('code') || parameters.has('error') ? parameters : undefined;
  }
  // RFC 6749 appendix A.11: printable ASCII. Copied out of an address it is percent-encoded.
  if (!/^[\x21-\x7e]{4,}$/.test(pasted)) return undefined;
  return new URLSearchParams({ code: decode(pasted) });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
