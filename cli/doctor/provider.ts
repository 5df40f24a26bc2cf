import { clockAhead } from '../cluster/client.ts';
import { KleisError } from '../../shared/errors.ts';
import { parseObject } from '../../shared/json.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { createFetch, type Fetch } from '../../shared/net/http.ts';
import { clean } from '../../shared/text.ts';
import { makeSecrets, scopesToAskFor, unlistedScopes } from '../provider/authorization-request.ts';
import { discover, type ProviderMetadata, usableEndpoint } from '../provider/discovery.ts';
import { connect } from '../provider/provider.ts';
import type { Settings } from '../settings/sign-in.ts';
import { chooseWay, lookAround, type Way } from '../sign-in/choice.ts';
import { addressesToTry, listenForCallback } from '../sign-in/listener.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { describeClock } from './clock.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

interface Seen {
  readonly fetch: Fetch;
  /** The discovery document, as the provider sends it. */
  document: Readonly<Record<string, unknown>>;
  /** Milliseconds that its clock is ahead of ours. */
  ahead: number | undefined;
}

/** The provider, before anybody signs in there: its description, its clock, and whether it knows this client. */
export async function checkProvider(settings: Settings, deps: Deps): Promise<DoctorFinding[]> {
  let seen: Seen;
  let metadata: ProviderMetadata;
  try {
    seen = await lookAt(settings, deps);
    metadata = await discover(seen.fetch, settings.issuerUrl);
  } catch (error) {
    return [failed('provider', toFailure(error, deps))];
  }
  const issuer = clean(settings.issuerUrl);
  const findings = [
    ok('provider', `${issuer} answers, and calls itself so.`),
    describeClock('clock', `the provider ${clean(new URL(settings.issuerUrl).host)}`, seen.ahead),
  ];
  if (settings.identity !== 'sso') return findings;
  const way = wayOf(settings, metadata, deps);
  findings.push(pkce(seen.document), ...scopes(settings, metadata), device(way, metadata, seen.document));
  const redirectUri = way === 'browser' ? await freeAddress(settings, metadata, deps) : undefined;
  if (typeof redirectUri === 'object') findings.push(redirectUri);
  else if (way === 'browser') findings.push(ok('redirect', `The browser is waited for at ${clean(redirectUri)}.`));
  const asked = typeof redirectUri === 'string' ? redirectUri : addressesToTry(settings)[0]?.redirectUri(8000);
  if (metadata.authorization_endpoint !== undefined && asked !== undefined && way !== 'device') {
    findings.push(await askForClient(settings, { seen, metadata, redirectUri: asked }, deps));
  }
  return findings;
}

async function lookAt(settings: Settings, { env, clock, report, signal }: Deps): Promise<Seen> {
  const fetch = createFetch({
    certificateAuthority: await readAuthority(settings.certificateAuthority),
    proxy: settings.proxy,
    env,
    now: () => clock.now(),
    debug: (text) => report.debug(text),
    signal,
  });
  const seen: Seen = {
    document: {},
    ahead: undefined,
    async fetch(url, init) {
      const sent = clock.now();
      const response = await fetch(url, init);
      seen.ahead = clockAhead(response, sent, clock.now()) ?? seen.ahead;
      if (response.ok) seen.document = parseObject(await response.clone().text()) ?? {};
      return response;
    },
  };
  return seen;
}

/** What the sign-in would do here; the paste is what is left where nothing else works. */
function wayOf(settings: Settings, metadata: ProviderMetadata, deps: Deps): Way {
  if (settings.login !== 'auto') return settings.login;
  const offersDevice = usableEndpoint(metadata, 'device_authorization_endpoint') !== undefined;
  return chooseWay({ ...lookAround(deps, settings), nobodyReads: false, offersDevice, allowPaste: true }).way;
}

function pkce(document: Readonly<Record<string, unknown>>): DoctorFinding {
  const methods: unknown = document['code_challenge_methods_supported'];
  if (!Array.isArray(methods)) return unknown('pkce', 'The provider does not list it; many have it and do not say so.');
  if (methods.includes('S256')) return ok('pkce', 'The provider has S256 (RFC 7636).');
  return warning('pkce', 'pkce_missing', 'The provider lists no S256 (RFC 7636), which each sign-in of Kleis uses.', {
    next: 'Ask its administrator to switch PKCE on; a code could be used by whoever sees it.',
  });
}

function scopes(settings: Settings, metadata: ProviderMetadata): DoctorFinding[] {
  const unlisted = unlistedScopes(settings, metadata);
  const asked = scopesToAskFor(settings, metadata);
  if (unlisted.length === 0) return [ok('scopes', `Asked for: ${clean(asked.join(' '), 300)}.`)];
  const names = clean(unlisted.join(' '), 200);
  return [
    warning('scopes', 'scope_unlisted', `The provider does not list ${names}, which is asked for.`, {
      next: 'If a sign-in fails with invalid_scope, leave it out of --scope, or add it to the client there.',
    }),
  ];
}

function device(way: Way, metadata: ProviderMetadata, document: Readonly<Record<string, unknown>>): DoctorFinding {
  const grants: unknown = document['grant_types_supported'];
  const grant = 'urn:ietf:params:oauth:grant-type:device_code';
  const has = usableEndpoint(metadata, 'device_authorization_endpoint') !== undefined;
  if (has && (!Array.isArray(grants) || grants.includes(grant))) {
    return ok('device', 'The provider has the device code, for places without a browser.');
  }
  const what = has ? 'lists no device code among its grants' : 'offers no device code (RFC 8628)';
  if (way !== 'device') return ok('device', `The provider ${what}: without a browser, kleis login --login paste.`);
  return failed(
    'device',
    new KleisError('config_invalid', `The provider ${what}, and this sign-in is to use one.`, {
      hint: 'Allow the device grant to this client there, or sign in with --login browser or --login paste.',
    }),
  );
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
  {
    seen,
    metadata,
    redirectUri,
  }: { readonly seen: Seen; readonly metadata: ProviderMetadata; readonly redirectUri: string },
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
    answer = await seen.fetch(url, { redirect: 'manual' });
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
