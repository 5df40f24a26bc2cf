import * as z from 'zod';
import { errorCodes, oauthErrors, statusOf } from './errors.ts';

// What a broker answers with, as shapes: the types of protocol.ts and docs/openapi.json come from them. Neither program
// loads this file to get or give a token. Names are the wire's own: RFC 8693, 7009, 6749; ours beside them.

/** All others are for people at a terminal; in a broker they would be a fault of its own, and that is `unexpected`. */
export const answeredCodes = errorCodes.filter((code) => code === 'unexpected' || statusOf(code).status !== 500);

const seconds = z.int().min(0);
const url = z.string().meta({ format: 'uri' });
const time = z.string().meta({ format: 'date-time' });
const pem = z.string();

function maybe<T extends z.ZodType>(schema: T, description: string): z.ZodExactOptional<T> {
  return schema.exactOptional().describe(description);
}

const TokenResponse = z.object({
  access_token: z.string().describe('The token for the API server.'),
  issued_token_type: z.string().describe('What was asked for, or `urn:ietf:params:oauth:token-type:access_token`.'),
  token_type: z.literal('Bearer'),
  expires_in: seconds.describe('Seconds from now, by what the API server really gave.'),
  scope: z.string().describe('The grant.'),
  lease: maybe(z.string(), 'The handle to find the token by; absent where the grant keeps none.'),
  revocable: z.boolean().describe('Whether this one token can be ended before its time.'),
  cluster: z.string().describe('Its name at the broker.'),
  warnings: maybe(z.array(z.string()), 'Warning headers of the API server; for people.'),
});

const FailedCondition = z.object({
  claim: z.string(),
  seen: z.string().describe('What the token has.'),
  expected: maybe(z.string(), 'What the grant wants: where it says `explain: true`, and for admins.'),
});

const ErrorResponse = z
  .object({
    error: z.enum(oauthErrors).describe("OAuth's own."),
    error_description: z
      .string()
      .describe('What happened and what to do, in ASCII without `"` and `\\` (RFC 6749 section 5.2).'),
    code: z.enum(answeredCodes).describe('Stable; scripts may rely on it.'),
    message: z.string().describe('What happened; for people.'),
    hint: z.string().describe('What to do; for people.'),
    request_id: z.string().describe("Stands in the broker's log and audit too."),
    failed: maybe(
      z.array(FailedCondition),
      'For a caller whose token is of somebody that the grant is for: which of its own claims did not fit.',
    ),
  })
  .describe('Every answer that is not 2xx.');

const RevokeResponse = z.object({
  revoked: z.boolean(),
  dead_within: maybe(
    seconds,
    'Seconds after which no API server takes the token any more; 0 if it is dead already. Absent if nothing is known of it.',
  ),
  reason: maybe(z.enum(['unknown', 'expired']), 'Absent if it was revoked.'),
  lease: maybe(z.string(), 'The lease of the token.'),
});

const ExplainResponse = z.object({
  allowed: z.boolean(),
  grant: z.string(),
  reason: maybe(z.string(), 'Why it is denied; for admins.'),
  cluster: maybe(z.string(), 'Where the token would be for.'),
  expires_in: maybe(seconds, 'Seconds that the token would live.'),
  conditions: maybe(z.array(FailedCondition.extend({ ok: z.boolean() })), 'What the grant looks at.'),
});

const WellKnownSignIn = z.object({
  client_id: z.string(),
  scopes: maybe(z.array(z.string()), 'Beside `openid`.'),
  certificate_authority: maybe(pem, 'PEM; then nothing else vouches for the provider.'),
});

const WellKnownIssuer = z.object({
  name: z.string(),
  issuer: url,
  audience: z.string().describe('What its tokens must be for.'),
  platform: maybe(z.string(), 'Whose tokens they are, where that is known; one of `platforms` in the configuration.'),
  sign_in: maybe(WellKnownSignIn, 'How people sign in there; absent where only jobs have tokens.'),
});

const WellKnownCluster = z.object({
  name: z.string(),
  server: url.describe('The API server.'),
  certificate_authority: maybe(pem, 'PEM; what vouches for the API server.'),
  tls_server_name: maybe(z.string(), 'The name in its certificate, if that is not the one of `server`.'),
  issuer: maybe(
    z.string(),
    'Where there is no broker: the name of the issuer whose tokens the API server itself takes.',
  ),
});

const WellKnownGrant = z.object({
  name: z.string(),
  cluster: z.string(),
  expires_in: seconds.describe('Seconds that a token lives for who does not ask.'),
  max_expires_in: seconds.describe('Seconds that a token lives at most.'),
  revocable: z.boolean(),
  access: maybe(
    z.array(z.string()),
    'What it gives, in words, a part for each Role: `deployer in web`. Absent where the configuration does not say.',
  ),
  namespace: maybe(z.string(), 'The one namespace that all of it is in; absent where there is none.'),
});

const WellKnown = z
  .object({
    broker: url.describe('The URL of the broker.'),
    token_endpoint: url,
    revocation_endpoint: url,
    grant_types_supported: z.array(z.string()),
    subject_token_types_supported: z.array(z.string()),
    issuers: z.array(WellKnownIssuer),
    clusters: maybe(z.array(WellKnownCluster), 'Only with a bearer token: where its subject may go.'),
    grants: maybe(z.array(WellKnownGrant), 'Only with a bearer token: what its subject may use.'),
    version: maybe(z.string(), "Of the broker's program; only with a bearer token."),
  })
  .describe('What a client needs in order to get a token that the broker takes.');

const LeaseView = z.object({
  id: z.string(),
  grant: z.string(),
  cluster: z.string(),
  state: z.string(),
  account: z.string().describe('namespace/name'),
  holder: z.string().describe('Issuer and subject; 120 characters at most.'),
  created: time,
  expires: time.describe('At the latest; the audit has the exact time.'),
  revocable: z.boolean(),
  why: maybe(z.string(), 'Why it was revoked or withdrawn.'),
});

const LeasesResponse = z.object({
  leases: z.array(LeaseView),
  continue: maybe(z.string(), 'For the next page; absent on the last.'),
});

const GrantView = WellKnownGrant.extend({
  issuer: z.string().describe('By its name at the broker.'),
  account: z.string().describe('namespace/name; of an ephemeral one the namespace.'),
  warnings: maybe(z.array(z.object({ code: z.string(), message: z.string() })), 'Legal and unwise.'),
});

const GrantsResponse = z.object({ grants: z.array(GrantView) });

const ServerMetadata = z
  .object({
    issuer: url,
    token_endpoint: url,
    token_endpoint_auth_methods_supported: z.array(z.string()),
    revocation_endpoint: url,
    revocation_endpoint_auth_methods_supported: z.array(z.string()),
    grant_types_supported: z.array(z.string()),
    response_types_supported: z.array(z.string()).describe('Required; there is no authorization endpoint.'),
  })
  .describe('RFC 8414.');

const Liveness = z.object({ alive: z.literal(true) });

const Readiness = z.object({
  ready: z.boolean(),
  checks: maybe(
    z.array(
      z.object({
        name: z.string().describe('Like `cluster prod`.'),
        ok: z.boolean(),
        pending: maybe(z.literal(true), 'Nobody has looked yet; it counts as not well.'),
        critical: z.boolean().describe('Whether a replica with this fault must not get requests.'),
        message: maybe(z.string(), 'What is wrong, for operators.'),
      }),
    ),
    'Only for admins, and at `metrics.listen`.',
  ),
});

/** All of them, by the names that they have in docs/openapi.json. */
export const shapes = {
  TokenResponse,
  FailedCondition,
  ErrorResponse,
  RevokeResponse,
  ExplainResponse,
  WellKnownSignIn,
  WellKnownIssuer,
  WellKnownCluster,
  WellKnownGrant,
  WellKnown,
  LeaseView,
  LeasesResponse,
  GrantView,
  GrantsResponse,
  ServerMetadata,
  Liveness,
  Readiness,
};
