import type { ErrorCode, OAuthError } from './errors.ts';

// What goes between the broker and those who call it. Names are the wire's own: RFC 8693, 7009, 6749; ours beside them.

export const tokenExchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange';

const tokenType = (name: string): string => `urn:ietf:params:oauth:token-type:${name}`;

/** RFC 8693 section 3. All three say "a JWT of one of the issuers" here. */
export const subjectTokenTypes = {
  jwt: tokenType('jwt'),
  idToken: tokenType('id_token'),
  accessToken: tokenType('access_token'),
};
/** What may be asked for, and the first of them is what is issued: a token that an API server takes as a bearer. */
export const issuedTokenTypes: readonly string[] = [tokenType('access_token'), tokenType('jwt')];

export const routes = {
  token: '/token',
  revoke: '/revoke',
  explain: '/explain',
  wellKnown: '/.well-known/kleis',
  oauthMetadata: '/.well-known/oauth-authorization-server',
  kubeconfig: '/kubeconfig',
  leases: '/leases',
  grants: '/grants',
  healthz: '/healthz',
  readyz: '/readyz',
  metrics: '/metrics',
} as const;

/** Request: the same key, subject token and grant within two minutes is one request that was sent again. */
export const idempotencyHeader = 'idempotency-key';
export const idempotencyPattern = /^[\x21-\x7e]{1,128}$/;
/** Response, always: stands in the broker's log and audit too. */
export const requestIdHeader = 'x-request-id';

export interface TokenResponse {
  readonly access_token: string;
  readonly issued_token_type: string;
  readonly token_type: 'Bearer';
  /** Seconds from now, by what the API server really gave. */
  readonly expires_in: number;
  /** The grant. */
  readonly scope: string;
  /** The handle to find the token by; absent where the grant keeps none. */
  readonly lease?: string;
  readonly revocable: boolean;
  readonly cluster: string;
  /** Warning headers of the API server; for people. */
  readonly warnings?: readonly string[];
}

/** Every answer that is not 2xx. */
export interface ErrorResponse {
  readonly error: OAuthError;
  /** ASCII without `"` and `\` (RFC 6749 section 5.2); what happened and what to do. */
  readonly error_description: string;
  /** Stable; scripts may rely on it. */
  readonly code: ErrorCode;
  /** Any text; for people. */
  readonly message: string;
  readonly hint: string;
  readonly request_id: string;
  /** For a caller whose token is of somebody that the grant is for: which of its own claims did not fit. */
  readonly failed?: readonly FailedCondition[];
}

export interface FailedCondition {
  readonly claim: string;
  readonly seen: string;
  /** Only where the grant says `explain: true`, and for admins. */
  readonly expected?: string;
}

/** Of `POST /revoke` (form: `token`). 200 in any case, as RFC 7009 section 2.2 wants it; what is true is in the body. */
export interface RevokeResponse {
  readonly revoked: boolean;
  /** Seconds after which no API server takes the token any more; 0 if it is dead already. Absent if it was not revoked. */
  readonly dead_within?: number;
  /** Absent if it was revoked. */
  readonly reason?: 'unknown' | 'expired';
  readonly lease?: string;
}

/** Of `POST /explain`, whose form is that of `/token` without grant_type. */
export interface ExplainResponse {
  readonly allowed: boolean;
  readonly grant: string;
  /** For admins; see docs/broker.md. */
  readonly reason?: string;
  readonly cluster?: string;
  /** Seconds. */
  readonly expires_in?: number;
  readonly conditions?: readonly (FailedCondition & { readonly ok: boolean })[];
}

/** What a client needs in order to get a token that the broker takes. Public but for what is of who signed in. */
export interface WellKnown {
  /** The URL of the broker. */
  readonly broker: string;
  readonly token_endpoint: string;
  readonly revocation_endpoint: string;
  readonly grant_types_supported: readonly string[];
  readonly subject_token_types_supported: readonly string[];
  readonly issuers: readonly WellKnownIssuer[];
  /** Only with a bearer token: what its subject may use. */
  readonly clusters?: readonly WellKnownCluster[];
  readonly grants?: readonly WellKnownGrant[];
  /** Of the broker's program; only with a bearer token. */
  readonly version?: string;
}

export interface WellKnownIssuer {
  readonly name: string;
  readonly issuer: string;
  readonly audience: string;
  /** Whose tokens they are, where that is known; one of `platforms` in the configuration. */
  readonly platform?: string;
  /** How people sign in there; absent where only jobs have tokens. */
  readonly sign_in?: WellKnownSignIn;
}

export interface WellKnownSignIn {
  readonly client_id: string;
  /** Beside `openid`. */
  readonly scopes?: readonly string[];
  /** PEM; then nothing else vouches for the provider. */
  readonly certificate_authority?: string;
}

export interface WellKnownCluster {
  readonly name: string;
  readonly server: string;
  /** PEM. */
  readonly certificate_authority?: string;
  readonly tls_server_name?: string;
  /** Where there is no broker: the name of the issuer whose tokens the API server itself takes. */
  readonly issuer?: string;
}

export interface WellKnownGrant {
  readonly name: string;
  readonly cluster: string;
  /** Seconds. */
  readonly expires_in: number;
  readonly max_expires_in: number;
  readonly revocable: boolean;
  /** What it gives, in words, a part for each Role: `deployer in web`. Absent where the configuration does not say. */
  readonly access?: readonly string[];
  /** The one namespace that all of it is in; absent where there is none. */
  readonly namespace?: string;
}

export interface LeaseView {
  readonly id: string;
  readonly grant: string;
  readonly cluster: string;
  readonly state: string;
  readonly account: string;
  /** Issuer and subject. */
  readonly holder: string;
  /** RFC 3339. */
  readonly created: string;
  /** At the latest; the audit has the exact time. */
  readonly expires: string;
  readonly revocable: boolean;
  /** Why it was revoked or withdrawn. */
  readonly why?: string;
}

export interface LeasesResponse {
  readonly leases: readonly LeaseView[];
  /** For the next page; absent on the last. */
  readonly continue?: string;
}

/** Of `GET /grants`, for admins. */
export interface GrantView extends WellKnownGrant {
  /** By its name at the broker. */
  readonly issuer: string;
  /** namespace/name; of an ephemeral one the namespace. */
  readonly account: string;
  /** Legal and unwise. */
  readonly warnings?: readonly { readonly code: string; readonly message: string }[];
}

export interface GrantsResponse {
  readonly grants: readonly GrantView[];
}
