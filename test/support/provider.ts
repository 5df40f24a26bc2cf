import { createPrivateKey, generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { JWK } from 'jose';
import { createScriptedBrowser, type BrowserOptions, type ScriptedBrowser } from './scripted-browser.ts';

/** What a request may be answered with instead of the provider's own answer. */
export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON. */
  readonly body?: unknown;
}

/** Ways in which real providers differ from this one. */
export interface Quirks {
  /** Alters the discovery document. */
  discovery?: (document: Record<string, unknown>) => unknown;
  /** Alters what the token endpoint answers; `form` is what was asked. An `Answer` replaces it whole. */
  token?: (
    body: Record<string, unknown>,
    form: URLSearchParams,
    status: number,
  ) => { answer: Answer } | { json: unknown };
  /** Sees every request first; true means it has answered (or never will). */
  before?: (request: IncomingMessage, response: ServerResponse, path: string) => boolean | Promise<boolean>;
}

export interface TokenLifetimes {
  /** Seconds, each. */
  idToken?: number;
  accessToken?: number;
  refreshToken?: number;
  deviceCode?: number;
}

export interface ProviderOptions {
  /** https with this certificate; plain http otherwise. `ca` is what the scripted browser trusts. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** In the issuer's URL; 127.0.0.1 over http, localhost over https, if not given. */
  readonly host?: string;
  readonly port?: number;
  /** As in Keycloak's `/realms/x`; with a leading and no trailing slash. */
  readonly path?: string;
  readonly lifetimes?: TokenLifetimes;
  /** Every refresh gives a new refresh token and ends the old one; true if not given. */
  readonly rotate?: boolean;
  /** When refresh tokens are given: as OpenID Connect says, or whatever is asked; `offline_access` if not given. */
  readonly refreshTokens?: 'offline_access' | 'always';
  /** The form of access tokens for a `resource`; jwt if not given. */
  readonly accessTokens?: 'jwt' | 'opaque';
  readonly deviceFlow?: boolean;
  /** How often a client may ask whether a code was entered, in seconds: 1 if not given; 0: it does not say, which means 5. */
  readonly deviceInterval?: number;
  readonly par?: boolean | 'required';
  readonly dpop?: boolean;
  /** The provider asks for a nonce in every DPoP proof (RFC 9449 section 8). */
  readonly dpopNonce?: boolean;
  /** Beside `kleis`, `kleis-web`, `kleis-basic`, `kleis-post` and, with `clientJwk`, `kleis-jwt`. */
  readonly clients?: readonly object[];
  /** The public key of the client `kleis-jwt` (private_key_jwt). */
  readonly clientJwk?: object;
  /** By login name; a name that is not here has the groups `developers`. */
  readonly accounts?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly quirks?: Quirks;
}

/** A request as the provider understood it. */
export interface SeenRequest {
  /** The name that oidc-provider gives it: `token`, `authorization`, `discovery`, `jwks`, `revocation` … */
  readonly route: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export interface TestProvider {
  /** As discovery spells it. */
  readonly issuer: string;
  readonly url: URL;
  /** May be changed while it runs. */
  readonly quirks: Quirks;
  /** May be changed while it runs. */
  readonly lifetimes: TokenLifetimes;
  readonly seen: readonly SeenRequest[];
  count(route: string): number;
  /** A JWT signed with the provider's key, for quirks that alter an ID token. */
  signed(claims: object): string;
  browser(options?: BrowserOptions): ScriptedBrowser;
  /** Every refresh token given so far is refused from now on. */
  revokeAll(): void;
  stop(): Promise<void>;
}

/** The secret of `kleis-basic` and `kleis-post`. */
export const clientSecret = 'a-secret-of-a-confidential-client-0123456789';

/**
 * A certified OpenID provider in this process, with the clients that Kleis can be: public (`kleis`, native: any
 * loopback port; `kleis-web`: exactly the two default redirect URIs), with a secret, with a key.
 */
export async function startProvider(options: ProviderOptions = {}): Promise<TestProvider> {
  const { Provider } = await quietly(() => import('oidc-provider'));
  const listener: { handle: RequestListener } = { handle: (_request, response) => response.end() };
  const server = options.tls
    ? createTlsServer({ cert: options.tls.cert, key: options.tls.key }, (request, response) =>
        listener.handle(request, response),
      )
    : createServer((request, response) => listener.handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const host = options.host ?? (options.tls ? 'localhost' : '127.0.0.1');
  const path = options.path ?? '';
  const issuer = `${options.tls ? 'https' : 'http'}://${host}:${port}${path}`;

  const store = new Map<string, Record<string, unknown>>();
  const lifetimes: TokenLifetimes = { ...options.lifetimes };
  const quirks: Quirks = { ...options.quirks };
  const seen: SeenRequest[] = [];
  const provider = await quietly(async () => new Provider(issuer, configuration(options, lifetimes, store)));
  provider.use(async (context, next) => {
    await next();
    const { oidc } = context;
    if (oidc === undefined) return;
    seen.push({ route: oidc.route, params: { ...oidc.params, ...oidc.body }, headers: context.headers });
  });
  const callback = provider.callback();
  listener.handle = (request, response) => {
    void serve(request, response, { callback, path, quirks, interval: options.deviceInterval ?? 1 });
  };

  return {
    issuer,
    url: new URL(issuer),
    quirks,
    lifetimes,
    seen,
    signed,
    count: (route) => seen.filter((request) => request.route === route).length,
    browser: (browserOptions) => createScriptedBrowser(new URL(issuer).origin, options.tls?.ca, browserOptions),
    revokeAll() {
      for (const key of store.keys()) if (/^(RefreshToken|Grant|Session):/.test(key)) store.delete(key);
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { callback, path, quirks, interval }: { callback: RequestListener; path: string; quirks: Quirks; interval: number },
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://provider.invalid');
  if (path !== '' && !url.pathname.startsWith(`${path}/`)) {
    response.writeHead(404).end();
    return;
  }
  const inner = url.pathname.slice(path.length);
  if (await quirks.before?.(request, response, inner)) return;
  if (quirks.discovery && inner === '/.well-known/openid-configuration') {
    const alter = quirks.discovery;
    rewrite(response, (status, text) => ({ status, body: alter(JSON.parse(text) as Record<string, unknown>) }));
  }
  if (inner === '/device/auth' && interval > 0) {
    rewrite(response, (status, text) => ({ status, body: { ...(JSON.parse(text) as object), interval } }));
  }
  if (quirks.token && inner === '/token') {
    const alter = quirks.token;
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    // A listener for `data` alone would let the body flow away before the provider reads it.
    request.pause();
    rewrite(response, (status, text) => {
      const form = new URLSearchParams(Buffer.concat(chunks).toString());
      const altered = alter(JSON.parse(text) as Record<string, unknown>, form, status);
      return 'answer' in altered ? altered.answer : { status, body: altered.json };
    });
  }
  if (path !== '') {
    // How oidc-provider learns that it is mounted below a path.
    Object.assign(request, { originalUrl: request.url });
    request.url = `${inner}${url.search}`;
  }
  callback(request, response);
}

/** Lets the provider answer, and sends what `alter` makes of it. */
function rewrite(response: ServerResponse, alter: (status: number, text: string) => Answer): void {
  const end = response.end.bind(response);
  response.end = ((body?: unknown) => {
    const text = Buffer.isBuffer(body) ? body.toString() : typeof body === 'string' ? body : '';
    const answer = alter(response.statusCode, text);
    const sent = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? '');
    response.statusCode = answer.status ?? response.statusCode;
    for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value);
    response.setHeader('content-length', Buffer.byteLength(sent));
    return end(sent);
  }) as typeof response.end;
}

function configuration(
  options: ProviderOptions,
  lifetimes: TokenLifetimes,
  store: Map<string, Record<string, unknown>>,
): object {
  const redirectUris = ['http://localhost:8000', 'http://localhost:18000'];
  const device = options.deviceFlow === false ? [] : ['urn:ietf:params:oauth:grant-type:device_code'];
  const grants = ['authorization_code', 'refresh_token', ...device];
  const everyRedirect = [
    ...redirectUris,
    'http://localhost/callback',
    'http://127.0.0.1/',
    'http://127.0.0.1/callback',
    'http://[::1]/callback',
  ];
  const person = { application_type: 'native', grant_types: grants, response_types: ['code'] };
  const machine = {
    ...person,
    redirect_uris: everyRedirect,
    grant_types: [...grants, 'client_credentials'],
    client_secret: clientSecret,
  };
  const clients = [
    {
      ...person,
      client_id: 'kleis',
      redirect_uris: everyRedirect,
      token_endpoint_auth_method: 'none',
      post_logout_redirect_uris: redirectUris,
    },
    {
      ...person,
      client_id: 'kleis-web',
      application_type: 'web',
      redirect_uris: redirectUris,
      token_endpoint_auth_method: 'none',
    },
    { ...machine, client_id: 'kleis-basic', token_endpoint_auth_method: 'client_secret_basic' },
    { ...machine, client_id: 'kleis-post', token_endpoint_auth_method: 'client_secret_post' },
    ...(options.clientJwk
      ? [
          {
            ...machine,
            client_secret: undefined,
            client_id: 'kleis-jwt',
            token_endpoint_auth_method: 'private_key_jwt',
            jwks: { keys: [options.clientJwk] },
          },
        ]
      : []),
    ...(options.clients ?? []),
  ];
  return {
    adapter: (model: string) => adapter(store, model),
    clients,
    jwks: { keys: [signingKey()] },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups', 'api'],
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username'],
      groups: ['groups'],
    },
    // Claims go into the ID token: the API server reads no other.
    conformIdTokenClaims: false,
    cookies: { keys: [randomUUID()] },
    enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: options.deviceFlow ?? true },
      pushedAuthorizationRequests: {
        enabled: options.par !== undefined && options.par !== false,
        requirePushedAuthorizationRequests: options.par === 'required',
      },
      dPoP: {
        enabled: options.dpop ?? false,
        nonceSecret: Buffer.alloc(32, 7),
        requireNonce: () => options.dpopNonce ?? false,
      },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({
          scope: 'api openid email groups',
          audience: resource,
          accessTokenTTL: lifetimes.accessToken ?? 3600,
          accessTokenFormat: options.accessTokens ?? 'jwt',
        }),
        useGrantedResource: () => true,
      },
    },
    findAccount: (_context: unknown, id: string) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        email: `${id}@example.com`,
        email_verified: true,
        name: id,
        preferred_username: id,
        groups: ['developers'],
        ...options.accounts?.[id],
      }),
    }),
    issueRefreshToken: (_context: unknown, client: { grantTypeAllowed(name: string): boolean }, code: Issued) =>
      client.grantTypeAllowed('refresh_token') &&
      (options.refreshTokens === 'always' || code.scopes.has('offline_access')),
    rotateRefreshToken: options.rotate ?? true,
    renderError: (context: { body: unknown; type: string }, out: unknown) => {
      context.type = 'json';
      context.body = JSON.stringify(out);
    },
    ttl: {
      IdToken: () => lifetimes.idToken ?? 3600,
      AccessToken: () => lifetimes.accessToken ?? 3600,
      ClientCredentials: () => lifetimes.accessToken ?? 3600,
      RefreshToken: () => lifetimes.refreshToken ?? 86_400,
      DeviceCode: () => lifetimes.deviceCode ?? 600,
      Session: 86_400,
      Grant: 86_400,
      Interaction: 600,
    },
  };
}

interface Issued {
  readonly scopes: ReadonlySet<string>;
}

/** oidc-provider's own store is a singleton that only it can reach; revocation by the administrator needs ours. */
function adapter(store: Map<string, Record<string, unknown>>, model: string): object {
  const key = (id: string) => `${model}:${id}`;
  const findBy = (name: string, value: string) => {
    for (const [stored, payload] of store)
      if (stored.startsWith(`${model}:`) && payload[name] === value) return payload;
    return undefined;
  };
  return {
    upsert: async (id: string, payload: Record<string, unknown>) => void store.set(key(id), payload),
    find: async (id: string) => store.get(key(id)),
    findByUid: async (uid: string) => findBy('uid', uid),
    findByUserCode: async (code: string) => findBy('userCode', code),
    destroy: async (id: string) => void store.delete(key(id)),
    consume: async (id: string) =>
      void Object.assign(store.get(key(id)) ?? {}, { consumed: Math.floor(Date.now() / 1000) }),
    revokeByGrantId: async (grantId: string) => {
      for (const [stored, payload] of store) if (payload['grantId'] === grantId) store.delete(stored);
    },
  };
}

let rsaKey: JWK | undefined;

/** One for the whole process: making an RSA key takes longer than starting the provider. */
function signingKey(): JWK {
  rsaKey ??= {
    ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
    kid: 'signing',
    alg: 'RS256',
    use: 'sig',
  };
  return rsaKey;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function signed(claims: object): string {
  const input = `${encode({ alg: 'RS256', kid: 'signing' })}.${encode(claims)}`;
  const key = createPrivateKey({ key: { ...signingKey() }, format: 'jwk' });
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`;
}

/** Keeps out of the terminal what oidc-provider says about Node 20 (it works) and about being a stand-in (it is). */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  /* oxlint-disable no-console -- the only way to reach its notices, some of which come later */
  for (const name of ['warn', 'info'] as const) {
    const original = console[name];
    if (Object.hasOwn(original, quiet)) continue;
    const filtered = (...values: unknown[]) => {
      if (typeof values[0] !== 'string' || !/oidc-provider (WARNING|NOTICE):/.test(values[0])) original(...values);
    };
    console[name] = Object.assign(filtered, { [quiet]: true });
  }
  /* oxlint-enable no-console */
  return work();
}

const quiet = Symbol('quiet');
