import { clockAhead } from '../cluster/client.ts';
import { KleisError } from '../../shared/errors.ts';
import { parseObject } from '../../shared/json.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { createFetch, type Fetch } from '../../shared/net/http.ts';
import { clean } from '../../shared/text.ts';
import { scopesToAskFor, unlistedScopes } from '../provider/authorization-request.ts';
import { discover, type ProviderMetadata, usableEndpoint } from '../provider/discovery.ts';
import type { Settings } from '../settings/sign-in.ts';
import { chooseWay, lookAround, type Way } from '../sign-in/choice.ts';
import type { Deps } from '../surroundings/deps.ts';
import { netDeps } from '../surroundings/net-deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { describeClock } from './clock.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

/** A provider that has described itself. */
export interface SeenProvider {
  readonly fetch: Fetch;
  readonly metadata: ProviderMetadata;
  /** How a person would sign in here; undefined where nobody does. */
  readonly way: Way | undefined;
  readonly findings: readonly DoctorFinding[];
}

interface Seen {
  readonly fetch: Fetch;
  /** The discovery document, as the provider sends it. */
  document: Readonly<Record<string, unknown>>;
  /** Milliseconds that its clock is ahead of ours. */
  ahead: number | undefined;
}

/** The provider, before anybody signs in there: what it says of itself, and its clock. */
export async function describeProvider(
  settings: Settings,
  deps: Deps,
): Promise<SeenProvider | { readonly findings: readonly DoctorFinding[] }> {
  let seen: Seen;
  let metadata: ProviderMetadata;
  try {
    seen = await lookAt(settings, deps);
    metadata = await discover(seen.fetch, settings.issuerUrl);
  } catch (error) {
    return { findings: [failed('provider', toFailure(error, deps))] };
  }
  const { fetch, document } = seen;
  const findings = [
    ok('provider', `${clean(settings.issuerUrl)} answers, and calls itself so.`),
    describeClock('clock', `the provider ${clean(new URL(settings.issuerUrl).host)}`, seen.ahead),
  ];
  if (settings.identity !== 'sso') {
    return { fetch, metadata, way: undefined, findings: [...findings, ...clientGrant(document)] };
  }
  const way = wayOf(settings, metadata, deps);
  findings.push(pkce(document), ...scopes(settings, metadata), ...code(way, metadata, document));
  return { fetch, metadata, way, findings: [...findings, device(way, metadata, document)] };
}

/** How Kleis asks a provider. Throws `config_invalid` for an authority that cannot be used. */
export async function openProvider(
  { certificateAuthority, proxy }: Pick<Settings, 'certificateAuthority' | 'proxy'>,
  deps: Pick<Deps, 'env' | 'clock' | 'report' | 'signal'>,
): Promise<Fetch> {
  return createFetch({
    certificateAuthority: await readAuthority(certificateAuthority),
    proxy,
    ...netDeps(deps),
  });
}

async function lookAt(settings: Settings, deps: Deps): Promise<Seen> {
  const { clock } = deps;
  const fetch = await openProvider(settings, deps);
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

/** Grants that a provider which lists them does not list (RFC 8414 section 2). */
function listsGrant(document: Readonly<Record<string, unknown>>, grant: string): boolean {
  const grants: unknown = document['grant_types_supported'];
  return !Array.isArray(grants) || grants.includes(grant);
}

/** What the browser and the paste need. */
function code(way: Way, metadata: ProviderMetadata, document: Readonly<Record<string, unknown>>): DoctorFinding[] {
  const lacks =
    usableEndpoint(metadata, 'authorization_endpoint') === undefined
      ? 'names no authorization_endpoint that can be used'
      : listsGrant(document, 'authorization_code')
        ? undefined
        : 'lists no authorization code among its grants';
  if (way === 'device' || lacks === undefined) return [];
  const hint = 'Check --issuer-url; if it is right, sign in with --login device, or ask its administrator.';
  return [
    failed('sign-in', new KleisError('config_invalid', `The provider ${lacks}: no browser can sign in.`, { hint })),
  ];
}

function clientGrant(document: Readonly<Record<string, unknown>>): DoctorFinding[] {
  if (listsGrant(document, 'client_credentials')) return [];
  const what = 'The provider lists no client_credentials among its grants.';
  return [warning('sign-in', 'grant_unlisted', what, { next: 'If it refuses them, allow them to this client there.' })];
}

function device(way: Way, metadata: ProviderMetadata, document: Readonly<Record<string, unknown>>): DoctorFinding {
  const has = usableEndpoint(metadata, 'device_authorization_endpoint') !== undefined;
  if (has && listsGrant(document, 'urn:ietf:params:oauth:grant-type:device_code')) {
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
