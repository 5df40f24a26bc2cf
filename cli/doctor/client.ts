import { KleisError } from '../../shared/errors.ts';
import { parseObject } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import { makeSecrets } from '../provider/authorization-request.ts';
import type { ProviderMetadata } from '../provider/discovery.ts';
import { connect } from '../provider/provider.ts';
import type { Settings } from '../settings/sign-in.ts';
import { addressesToTry, listenForCallback } from '../sign-in/listener.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { type DoctorFinding, failed, ok, unknown } from './finding.ts';
import type { SeenProvider } from './provider.ts';

/** Whether the answer of a browser can be waited for here, and whether the provider knows this client. */
export async function checkClient(settings: Settings, provider: SeenProvider, deps: Deps): Promise<DoctorFinding[]> {
  if (provider.way !== 'browser') return knowsClient(settings, provider, usualRedirect(settings), deps);
  const redirectUri = await freeAddress(settings, provider.metadata, deps);
  if (typeof redirectUri === 'object') {
    return [redirectUri, ...(await knowsClient(settings, provider, usualRedirect(settings), deps))];
  }
  const waited = ok('redirect', `The browser is waited for at ${clean(redirectUri)}.`);
  return [waited, ...(await knowsClient(settings, provider, redirectUri, deps))];
}

/** Whether the provider knows the client, without waiting for a browser. */
export async function checkKnown(settings: Settings, provider: SeenProvider, deps: Deps): Promise<DoctorFinding[]> {
  return knowsClient(settings, provider, usualRedirect(settings), deps);
}

function usualRedirect(settings: Settings): string | undefined {
  return addressesToTry(settings)[0]?.redirectUri(8000);
}

async function knowsClient(
  settings: Settings,
  provider: SeenProvider,
  redirectUri: string | undefined,
  deps: Deps,
): Promise<DoctorFinding[]> {
  const { metadata, way } = provider;
  if (metadata.authorization_endpoint === undefined || redirectUri === undefined) return [];
  if (way === 'device' || way === undefined) return [];
  return [await askForClient(settings, provider, redirectUri, deps)];
}

/** The redirect URI of the first address that is free, or what is wrong with all of them. */
async function freeAddress(
  settings: Settings,
  metadata: ProviderMetadata,
  deps: Deps,
): Promise<string | DoctorFinding> {
  try {
    const listener = await listenForCallback(addressesToTry(settings), 'none', metadata.issuer, () => undefined);
    await listener.close();
    return listener.redirectUri;
  } catch (error) {
    return failed('redirect', toFailure(error, deps));
  }
}

/** What a provider says to `prompt=none` of somebody whom it would have to ask (OpenID Connect Core 3.1.2.6). */
const wouldAsk = ['login_required', 'interaction_required', 'consent_required', 'account_selection_required'];

/**
 * Asks for a sign-in that may show nothing, as nobody: a provider that knows the client sends us back to it, one that
 * does not must not. No person notices.
 */
async function askForClient(
  settings: Settings,
  { fetch, metadata }: SeenProvider,
  redirectUri: string,
  deps: Deps,
): Promise<DoctorFinding> {
  const client = `the client ${clean(settings.clientId, 100)}`;
  const silent = { ...settings, authParams: { ...settings.authParams, prompt: 'none' } };
  let answer: Response;
  try {
    const provider = await connect(silent, deps, metadata);
    const secrets = makeSecrets(silent);
    const url = await provider.authorizationUrl({
      redirectUri,
      secrets,
      loginHint: undefined,
      dpopThumbprint: undefined,
    });
    answer = await fetch(url, { redirect: 'manual' });
  } catch (error) {
    return failed('client', toFailure(error, deps));
  }
  const location = answer.headers.get('location') ?? '';
  const back = URL.canParse(location, metadata.issuer) ? new URL(location, metadata.issuer) : undefined;
  const returned = back !== undefined && `${back.origin}${back.pathname}` === originAndPath(redirectUri);
  const error = returned ? back.searchParams.get('error') : undefined;
  if (returned && (error === null || wouldAsk.includes(error ?? ''))) {
    return ok('client', `The provider knows ${client} and its redirect URI ${clean(redirectUri)}.`);
  }
  if (returned) {
    const said = clean(back.searchParams.get('error_description') ?? '', 200);
    return failed(
      'client',
      new KleisError(
        'client_refused',
        `The provider refuses what is asked for ${client}: ${clean(error, 80)}${said === '' ? '' : ` (${said})`}.`,
        { hint: 'Check --scope, --audience and --resource, and what the client may ask for there.' },
      ),
    );
  }
  if (answer.status >= 400 && answer.status < 500) {
    const said = parseObject(await answer.text());
    const why = [said?.['error'], said?.['error_description']].filter((each) => typeof each === 'string');
    return failed(
      'client',
      new KleisError(
        'client_refused',
        `The provider does not take ${client} with the redirect URI ${clean(redirectUri)} (HTTP ${answer.status}).`,
        { hint: 'Check --client-id, and that exactly this redirect URI is registered for it there.' },
      ),
      why.length === 0 ? {} : { why: `It says: ${clean(why.join(': '), 300)}` },
    );
  }
  return unknown('client', `Whether the provider knows ${client} shows only at a sign-in.`, {
    next: 'kleis login',
  });
}

function originAndPath(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}
