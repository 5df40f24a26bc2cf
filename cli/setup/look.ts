import { KleisError } from '../../shared/errors.ts';
import { parseObject } from '../../shared/json.ts';
import type { Claims } from '../../shared/jwt.ts';
import { claimOf } from '../../shared/jwt.ts';
import { clean, shown } from '../../shared/text.ts';
import { openProvider } from '../doctor/provider.ts';
import { openPresent, readToken } from '../get-token/present.ts';
import { discover, type ProviderMetadata } from '../provider/discovery.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { knownAlgorithms } from './authentication-config.ts';

/** A provider as it describes itself. */
export interface FoundProvider {
  readonly metadata: ProviderMetadata;
  /** `claims_supported` and `subject_types_supported`; undefined where it lists none. */
  readonly claims: readonly string[] | undefined;
  readonly subjectTypes: readonly string[] | undefined;
}

/** Throws what `discover` throws, and `issuer_invalid` for an issuer that no API server takes. */
export async function findProvider(settings: Settings, deps: Deps): Promise<FoundProvider> {
  const { issuerUrl } = settings;
  if (!issuerUrl.startsWith('https:')) {
    throw new KleisError(
      'issuer_invalid',
      `${clean(issuerUrl)} is not an https URL, and an API server takes no other.`,
      {
        hint: 'Give the https address of the provider.',
      },
    );
  }
  const fetch = await openProvider(settings, deps);
  let document: Readonly<Record<string, unknown>> = {};
  const metadata = await discover(async (url, init) => {
    const response = await fetch(url, init);
    document = (response.ok && parseObject(await response.clone().text())) || {};
    return response;
  }, issuerUrl);
  return {
    metadata,
    claims: namesIn(document['claims_supported']),
    subjectTypes: namesIn(document['subject_types_supported']),
  };
}

function namesIn(value: unknown): string[] | undefined {
  const names = Array.isArray(value) ? value.filter((each) => typeof each === 'string').slice(0, 500) : [];
  return names.length > 0 ? names : undefined;
}

/** What the API server would get of a person. */
export interface SeenToken {
  readonly name: string;
  readonly claims: Claims;
  /** Whom it is for. */
  readonly audience: string;
  readonly algorithm: string;
}

/**
 * The token of who sits here, renewed, so that what was changed at the provider shows; they sign in if they must. Throws
 * what a sign-in throws, and `token_unusable` for a token that no API server would take.
 */
export async function lookAtToken(settings: Settings, deps: Deps): Promise<SeenToken> {
  const present = await openPresent({ ...settings, force: true }, { cluster: undefined, signIn: true }, deps);
  const jwt = readToken(present.token);
  if (jwt === undefined) {
    throw new KleisError(
      'token_unusable',
      'The token is opaque, or larger than 16 kB: an API server reads JWTs alone, and proxies take no more.',
      {
        hint: 'Leave --token access away, or let the provider give access tokens that are JWTs (--audience, --resource).',
      },
    );
  }
  const { claims, header } = jwt;
  const issuer = claimOf(claims, 'iss');
  if (issuer !== settings.issuerUrl) {
    throw new KleisError(
      'token_unusable',
      `The token names the issuer ${clean(issuer)}, and an API server compares it as text with ${clean(settings.issuerUrl)}.`,
      {
        hint: 'Leave --token access away, or give the issuer as the token has it.',
      },
    );
  }
  const algorithm = clean(header['alg'], 40);
  if (!knownAlgorithms.includes(algorithm)) throw unknownAlgorithm(algorithm);
  return { name: present.name, claims, audience: audienceIn(claims, settings), algorithm };
}

const maxAudience = 400;

function audienceIn(claims: Claims, settings: Settings): string {
  const found = [claimOf(claims, 'aud') ?? []].flat().filter((each) => typeof each === 'string');
  const expected = expectedAudience(settings);
  const audience = found.includes(expected) ? expected : found[0];
  // It goes into files and flags of the API server.
  if (audience !== undefined && clean(audience, maxAudience) !== audience) {
    throw new KleisError(
      'token_unusable',
      `The audience of the token is too long, or holds what cannot be seen: ${shown(audience, 80)}.`,
      {
        hint: 'Ask for another with --audience or --resource.',
      },
    );
  }
  if (audience !== undefined) return audience;
  throw new KleisError('token_unusable', 'The token has no audience, and an API server wants one.', {
    hint: 'Ask for one with --audience or --resource.',
  });
}

/** Whom a token will be for: an ID token is for the client, whatever else is asked for (OpenID Connect Core 2). */
export function expectedAudience({ token, clientId, audience, resource }: Settings): string {
  return token === 'id' ? clientId : (audience ?? resource ?? clientId);
}

/** What the provider may sign with, where no token shows it. Throws `token_unusable` where no API server takes any. */
export function algorithmsOf({ id_token_signing_alg_values_supported: listed }: ProviderMetadata): string[] {
  const taken = listed?.filter((each) => knownAlgorithms.includes(each)) ?? ['RS256'];
  if (taken.length === 0) throw unknownAlgorithm(listed?.join(', ') ?? '');
  return taken;
}

function unknownAlgorithm(name: string): KleisError {
  return new KleisError(
    'token_unusable',
    `The provider signs with ${clean(name, 80)}, and an API server takes ${knownAlgorithms.join(', ')}.`,
    {
      hint: 'Let the provider sign ID tokens for this client with RS256 or ES256.',
    },
  );
}
