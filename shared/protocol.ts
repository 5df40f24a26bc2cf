import type { output } from 'zod';
import type { shapes } from './answers.ts';

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
  home: '/',
  /** All of the web page but where it begins. */
  web: '/ui',
  wellKnown: '/.well-known/kleis',
  oauthMetadata: '/.well-known/oauth-authorization-server',
  kubeconfig: '/kubeconfig',
  leases: '/leases',
  grants: '/grants',
  openApi: '/openapi.json',
  healthz: '/healthz',
  readyz: '/readyz',
  metrics: '/metrics',
} as const;

/** Request: the same key, subject token and grant within two minutes is one request that was sent again. */
export const idempotencyHeader = 'idempotency-key';
export const idempotencyPattern = /^[\x21-\x7e]{1,128}$/;
/** Response, always: stands in the broker's log and audit too. */
export const requestIdHeader = 'x-request-id';

/** A shape of answers.ts as what it is of. */
type Shape<Name extends keyof typeof shapes> = Frozen<output<(typeof shapes)[Name]>>;
type Frozen<T> = { readonly [Name in keyof T]: Frozen<T[Name]> };

export type TokenResponse = Shape<'TokenResponse'>;
/** Every answer that is not 2xx. */
export type ErrorResponse = Shape<'ErrorResponse'>;
export type FailedCondition = Shape<'FailedCondition'>;
/** Of `POST /revoke` (form: `token`). 200 in any case, as RFC 7009 section 2.2 wants it; what is true is in the body. */
export type RevokeResponse = Shape<'RevokeResponse'>;
/** Of `POST /explain`, whose form is that of `/token` without grant_type. */
export type ExplainResponse = Shape<'ExplainResponse'>;
/** What a client needs in order to get a token that the broker takes. Public but for what is of who signed in. */
export type WellKnown = Shape<'WellKnown'>;
export type WellKnownIssuer = Shape<'WellKnownIssuer'>;
export type WellKnownSignIn = Shape<'WellKnownSignIn'>;
export type WellKnownCluster = Shape<'WellKnownCluster'>;
export type WellKnownGrant = Shape<'WellKnownGrant'>;
export type LeaseView = Shape<'LeaseView'>;
export type LeasesResponse = Shape<'LeasesResponse'>;
/** Of `GET /grants`, for admins. */
export type GrantView = Shape<'GrantView'>;
export type GrantsResponse = Shape<'GrantsResponse'>;
/** Of `GET /.well-known/oauth-authorization-server`. */
export type ServerMetadata = Shape<'ServerMetadata'>;
/** Of `GET /readyz`. */
export type Readiness = Shape<'Readiness'>;
