import type { JWK } from 'jose';
import { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { ProviderMetadata } from '../provider/discovery.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { TokenSet } from '../provider/tokens.ts';
import type { ClientFiles, SessionSettings } from './key.ts';

/** What the file of a session says to everyone who may read the file, without the keyring. Times in milliseconds. */
export interface SessionInfo {
  readonly key: string;
  /** Grows by one with each save; 0 for one that was never saved. */
  readonly generation: number;
  readonly storage: 'keyring' | 'file' | 'memory';
  readonly what: SessionSettings & ClientFiles;
  readonly subject: TokenSet['subject'];
  readonly idTokenExpiresAt: number | undefined;
  readonly accessTokenExpiresAt: number | undefined;
  /** It has a refresh token, so that it outlives its other tokens. */
  readonly refreshable: boolean;
  /** Origins of the servers that credentials of this session were made for. */
  readonly clusters: readonly string[];
  readonly signedInAt: number;
  readonly refreshedAt: number;
}

export interface Session extends Pick<
  SessionInfo,
  'key' | 'generation' | 'storage' | 'what' | 'clusters' | 'signedInAt' | 'refreshedAt'
> {
  readonly tokens: TokenSet;
  /** When a refresh was last made because a server seemed to refuse the token. */
  readonly forcedRefreshAt: number | undefined;
  readonly provider: { readonly metadata: ProviderMetadata; readonly fetchedAt: number } | undefined;
}

/** Where in the keyring the secrets of one generation are. */
export interface KeyringSet {
  readonly id: string;
  readonly chunks: number;
  /** SHA-256 of the whole value: chunks of two writes never pass for one value. */
  readonly digest: string;
}

/** A session file as read: whole, or with its secrets still in the keyring. */
export interface StoredSession {
  readonly info: SessionInfo;
  readonly set: KeyringSet | undefined;
  /** @param secrets the value from the keyring; not needed where the file holds it */
  complete(secrets?: string): Session;
}

const version = 1;
const maxClusters = 64;
const maxToken = 256 * 1024;
// What Linux lets one argument of a program have: no flag is longer.
const maxText = 128 * 1024;

/** A session after a sign-in, not saved yet. It keeps what the earlier one knew of clusters. */
export function startSession(
  now: number,
  key: string,
  settings: Settings,
  tokens: TokenSet,
  metadata: ProviderMetadata,
  earlier?: Session,
): Session {
  const { issuerUrl, clientId, scopes, audience, resource, authParams, account, identity, dpop } = settings;
  const { certificateAuthority, clientSecretFile, clientKeyFile } = settings;
  const settingsOfKey = { issuerUrl, clientId, scopes, audience, resource, authParams, account, identity, dpop };
  const files = { certificateAuthority, clientSecretFile, clientKeyFile };
  return {
    key,
    generation: 0,
    storage: 'memory',
    what: { ...settingsOfKey, ...files },
    tokens,
    clusters: earlier?.clusters ?? [],
    signedInAt: now,
    refreshedAt: now,
    forcedRefreshAt: undefined,
    provider: { metadata, fetchedAt: now },
  };
}

/** What belongs into the keyring, as ASCII: chunks are counted in characters, keyrings count in bytes. */
export function encodeSecrets(tokens: TokenSet): string {
  const text = JSON.stringify({
    refreshToken: tokens.refreshToken?.reveal(),
    idToken: tokens.idToken?.reveal(),
    accessToken: tokens.accessToken?.reveal(),
    dpopKey: tokens.dpopKey,
  });
  return text.replace(/[^\u0020-\u007e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** @throws KleisError `token_unusable` if it is more than `maxBytes`, which could not be read again */
export function encodeSession(session: Session, secrets: string | KeyringSet, maxBytes: number): string {
  const { tokens } = session;
  const text = JSON.stringify({
    version,
    key: session.key,
    generation: session.generation,
    what: session.what,
    subject: tokens.subject,
    issuedAt: tokens.issuedAt,
    idTokenExpiresAt: tokens.idTokenExpiresAt,
    accessTokenExpiresAt: tokens.accessTokenExpiresAt,
    refreshable: tokens.refreshToken !== undefined,
    // The latest: a session that is used for more servers than this forgets the oldest and says so once more.
    clusters: session.clusters.slice(-maxClusters),
    signedInAt: session.signedInAt,
    refreshedAt: session.refreshedAt,
    forcedRefreshAt: session.forcedRefreshAt,
    provider: session.provider,
    ...(typeof secrets === 'string' ? { secrets: JSON.parse(secrets) as unknown } : { keyring: secrets }),
  });
  if (text.length > maxBytes) {
    throw new KleisError(
      'token_unusable',
      `The tokens of this provider are too large to be kept (${text.length} bytes).`,
      {
        hint: 'Ask the administrator of the provider for smaller tokens (fewer groups), or use --cache none.',
      },
    );
  }
  return `${text}\n`;
}

/**
 * Reads what `encodeSession` wrote and nothing else. By hand, since a schema library costs more time to load than
 * everything else that a refresh does before it is on the network.
 *
 * @throws KleisError `storage_corrupt` naming the file
 */
export function decodeSession(text: string, key: string, generation: number, path: string): StoredSession {
  const corrupt = (why: string) =>
    new KleisError('storage_corrupt', `The session file ${clean(path, 400)} cannot be used: ${why}.`, {
      hint: 'Sign in again with `kleis login`, which replaces the file.',
    });
  return guarded(corrupt, () => {
    const at = fields(parse(text));
    if (at('version') !== version) {
      throw new Mismatch('it was written by another version of Kleis');
    }
    if (at('key') !== key || at('generation') !== generation) throw new Mismatch('it was renamed or copied');
    const set = at('keyring') === undefined ? undefined : readSet(at('keyring'));
    const what = fields(at('what'));
    const subject = at('subject') === undefined ? undefined : fields(at('subject'));
    const info: SessionInfo = {
      key,
      generation,
      storage: set === undefined ? 'file' : 'keyring',
      what: {
        issuerUrl: string(what('issuerUrl')),
        clientId: string(what('clientId')),
        scopes: strings(what('scopes'), 4096),
        audience: optional(what('audience'), string),
        resource: optional(what('resource'), string),
        authParams: Object.fromEntries(
          Object.entries(object(what('authParams'))).map(([name, value]) => [name, string(value)]),
        ),
        account: optional(what('account'), string),
        identity: oneOf(what('identity'), ['sso', 'client-credentials']),
        dpop: boolean(what('dpop')),
        certificateAuthority: optional(what('certificateAuthority'), string),
        clientSecretFile: optional(what('clientSecretFile'), string),
        clientKeyFile: optional(what('clientKeyFile'), string),
      },
      subject: subject && { sub: string(subject('sub')), name: optional(subject('name'), string) },
      idTokenExpiresAt: optional(at('idTokenExpiresAt'), time),
      accessTokenExpiresAt: optional(at('accessTokenExpiresAt'), time),
      refreshable: boolean(at('refreshable')),
      clusters: strings(at('clusters'), maxClusters),
      signedInAt: time(at('signedInAt')),
      refreshedAt: time(at('refreshedAt')),
    };
    const issuedAt = time(at('issuedAt'));
    const forcedRefreshAt = optional(at('forcedRefreshAt'), time);
    const provider = optional(at('provider'), readProvider);
    const inFile = set === undefined ? readSecrets(at('secrets')) : undefined;
    const { subject: who, idTokenExpiresAt, accessTokenExpiresAt, refreshable: _, ...rest } = info;
    return {
      info,
      set,
      complete: (value) => ({
        ...rest,
        tokens: {
          ...(inFile ?? guarded(corrupt, () => readSecrets(parse(value ?? '')))),
          idTokenExpiresAt,
          accessTokenExpiresAt,
          issuedAt,
          subject: who,
        },
        forcedRefreshAt,
        provider,
      }),
    };
  });
}

function readSet(value: unknown): KeyringSet {
  const at = fields(value);
  const chunks = at('chunks');
  if (typeof chunks !== 'number' || !Number.isInteger(chunks) || chunks < 1 || chunks > 1000) {
    throw new Mismatch('a number is out of range');
  }
  return { id: string(at('id')), chunks, digest: string(at('digest')) };
}

type Secrets = Pick<TokenSet, 'refreshToken' | 'idToken' | 'accessToken' | 'dpopKey'>;

function readSecrets(value: unknown): Secrets {
  const at = fields(value);
  return {
    refreshToken: optional(at('refreshToken'), secret),
    idToken: optional(at('idToken'), secret),
    accessToken: optional(at('accessToken'), secret),
    dpopKey: optional(at('dpopKey'), (key) => object(key) as JWK),
  };
}

function secret(value: unknown): Secret {
  return new Secret(string(value, maxToken));
}

// A copy that is of no use is as good as none: the provider is asked anew.
function readProvider(value: unknown): Session['provider'] {
  const at = fields(value);
  const metadata = object(at('metadata'));
  return isMetadata(metadata) ? { metadata, fetchedAt: time(at('fetchedAt')) } : undefined;
}

function isMetadata(value: object): value is ProviderMetadata {
  return (
    'issuer' in value &&
    typeof value.issuer === 'string' &&
    'token_endpoint' in value &&
    typeof value.token_endpoint === 'string' &&
    Object.values(value).every((each) => isPlain(each) || (Array.isArray(each) && each.every(isPlain)))
  );
}

function isPlain(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'boolean';
}

/** What is wrong with a value; public words, since it becomes part of a message. */
class Mismatch extends Error {}

function guarded<T>(corrupt: (why: string) => KleisError, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Mismatch) throw corrupt(error.message);
    throw error;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which holds tokens.
    throw new Mismatch(text.trim() === '' ? 'it is empty' : 'it is not JSON');
  }
}

function object(value: unknown): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Mismatch('an object is missing');
  }
  return value;
}

/** Own fields alone: nothing is read from a prototype. */
function fields(value: unknown): (name: string) => unknown {
  const own = new Map<string, unknown>(Object.entries(object(value)));
  return (name) => own.get(name);
}

function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value);
}

function string(value: unknown, max = maxText): string {
  if (typeof value !== 'string' || value.length > max) throw new Mismatch('a text is missing or too long');
  return value;
}

function strings(value: unknown, max: number): string[] {
  if (!Array.isArray(value) || value.length > max) throw new Mismatch('a list is missing or too long');
  return value.map((each) => string(each));
}

function boolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Mismatch('a yes or no is missing');
  return value;
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found === undefined) throw new Mismatch('a word is not one that Kleis knows');
  return found;
}

// The range of Date (ECMA-262 21.4.1.1): more would make toISOString throw later.
function time(value: unknown): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= 8.64e15)) throw new Mismatch('a time is out of range');
  return value;
}
