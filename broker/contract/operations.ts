import type { shapes } from '../../shared/answers.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import { idempotencyHeader, routes, subjectTokenTypes, tokenExchangeGrant } from '../../shared/protocol.ts';
import type { Parameters } from './parameter.ts';
import {
  kubeconfigQuery,
  leasePath,
  leasesQuery,
  questionForm,
  revokeForm,
  tokenForm,
  tokenHeaders,
} from './requests.ts';

// One operation for each method of each address, for docs/openapi.json. A test compares with the routes that there are, and
// calls each of them with its examples.

export interface Operation {
  /** `operationId`. */
  readonly id: string;
  readonly tag: Tag;
  readonly summary: string;
  /** Markdown. */
  readonly description?: string;
  /** Whose bearer token it takes: nobody's, one that tells more than others get, one that it needs. */
  readonly bearer?: 'optional' | 'required';
  readonly path?: Parameters;
  readonly query?: Parameters;
  readonly headers?: Parameters;
  readonly form?: Parameters;
  readonly answers: Readonly<Record<number, Content>>;
  /** What it refuses with. */
  readonly errors: readonly ErrorCode[];
}

export interface Content {
  readonly description: string;
  /** `application/json` if not given. */
  readonly type?: string;
  /** A shape of answers.ts, else a JSON Schema; nothing where there is no body. */
  readonly schema?: keyof typeof shapes | Readonly<Record<string, unknown>>;
  readonly example?: unknown;
  readonly headers?: readonly Header[];
}

type Header = 'ETag' | 'Cache-Control';

export const tags = {
  Tokens: 'For jobs, people, and whatever gets tokens for them.',
  Discovery: 'What a client needs to know beforehand.',
  Administration: 'For those whom `admins` of the configuration names.',
  Operation: 'For who runs the broker; also at the address `metrics.listen`.',
} as const;
type Tag = keyof typeof tags;

const everywhere = ['rate_limited', 'proxy_untrusted', 'unexpected'] as const;
const event = [...everywhere, 'audit_unavailable'] as const;
const form = ['request_malformed', 'request_too_large'] as const;
const bearer = ['bearer_missing', 'bearer_invalid', 'issuer_unavailable'] as const;
const admin = [...event, ...bearer, 'admin_only'] as const;
const cluster = ['cluster_unavailable', 'cluster_refused', 'broker_not_ready'] as const;
const question = [
  ...form,
  'request_unsupported',
  'scope_invalid',
  'target_invalid',
  'subject_malformed',
  'subject_issuer_unknown',
  'subject_algorithm',
  'subject_signature',
  'subject_audience',
  'subject_expired',
  'subject_not_yet_valid',
  'subject_too_old',
  'subject_replayed',
  'issuer_unavailable',
  'grant_denied',
  'broker_not_ready',
] as const;

const lease = leasePath.id.example;
const broker = 'https://kleis.example.com';
const grant = {
  name: 'deploy-web',
  cluster: 'prod',
  expires_in: 900,
  max_expires_in: 3600,
  revocable: true,
  access: ['deployer in web'],
  namespace: 'web',
};
const wellKnown = {
  broker,
  token_endpoint: `${broker}${routes.token}`,
  revocation_endpoint: `${broker}${routes.revoke}`,
  grant_types_supported: [tokenExchangeGrant],
  subject_token_types_supported: Object.values(subjectTokenTypes),
  issuers: [
    {
      name: 'github',
      issuer: 'https://token.actions.githubusercontent.com',
      audience: broker,
      platform: 'github',
    },
  ],
};

/** Methods by address, as the routes have them. */
export const operations: Readonly<Record<string, Partial<Record<'GET' | 'POST' | 'DELETE', Operation>>>> = {
  [routes.token]: {
    POST: {
      id: 'exchangeToken',
      tag: 'Tokens',
      summary: 'A subject token and the name of a grant against a token for the API server',
      description: 'RFC 8693. Unknown parameters are ignored; none may come twice.',
      headers: tokenHeaders,
      form: tokenForm,
      answers: {
        200: {
          description: 'The token.',
          schema: 'TokenResponse',
          example: {
            access_token: revokeForm.token.example,
            issued_token_type: tokenForm.requested_token_type.schema['default'],
            token_type: 'Bearer',
            expires_in: 900,
            scope: 'deploy-web',
            lease,
            revocable: true,
            cluster: 'prod',
          },
        },
      },
      errors: [...event, ...question, 'grant_type_unsupported', ...cluster],
    },
  },
  [routes.revoke]: {
    POST: {
      id: 'revokeToken',
      tag: 'Tokens',
      summary: 'End a token before its time',
      description: 'RFC 7009: who holds a token may end it. 200 too where there was nothing to end; the body says so.',
      form: revokeForm,
      answers: {
        200: {
          description: 'What is true of the token now.',
          schema: 'RevokeResponse',
          example: { revoked: true, dead_within: 10, lease },
        },
      },
      errors: [...event, ...form, 'token_type_unsupported', ...cluster],
    },
  },
  [routes.explain]: {
    POST: {
      id: 'explainDecision',
      tag: 'Tokens',
      summary: 'The decision that an exchange would come to',
      description:
        'Mints nothing. With the bearer token of an admin it shows every condition, whomever the subject token is of; all others get what `POST /token` would tell them.',
      bearer: 'optional',
      form: questionForm,
      answers: {
        200: {
          description: 'The decision.',
          schema: 'ExplainResponse',
          example: {
            allowed: true,
            grant: 'deploy-web',
            cluster: 'prod',
            expires_in: 900,
            conditions: [{ claim: 'repository_id', seen: '"1"', ok: true }],
          },
        },
      },
      errors: [...event, ...question, ...bearer],
    },
  },
  [routes.kubeconfig]: {
    GET: {
      id: 'getKubeconfig',
      tag: 'Tokens',
      summary: 'A kubeconfig with a context for each grant that the caller may use',
      description: 'It holds no token: its entries run Kleis, which gets one.',
      bearer: 'required',
      query: kubeconfigQuery,
      answers: {
        200: {
          description: 'A kubeconfig.',
          type: 'application/yaml',
          schema: { type: 'string', description: 'JSON, which is YAML too.' },
        },
      },
      errors: [...event, ...bearer, 'request_malformed'],
    },
  },
  [routes.wellKnown]: {
    GET: {
      id: 'getBroker',
      tag: 'Discovery',
      summary: 'How to get a token here',
      description: 'With a bearer token also what its subject may use.',
      bearer: 'optional',
      answers: { 200: { description: 'The broker.', schema: 'WellKnown', example: wellKnown } },
      errors: [...event, ...bearer],
    },
  },
  [`${routes.oauthMetadata}{/*rest}`]: {
    GET: {
      id: 'getServerMetadata',
      tag: 'Discovery',
      summary: 'The broker for clients of OAuth that know nothing of Kleis',
      description: 'RFC 8414. Of a broker at a URL with a path, that path may follow (section 3.1).',
      answers: {
        200: {
          description: 'The metadata.',
          schema: 'ServerMetadata',
          example: {
            issuer: broker,
            token_endpoint: wellKnown.token_endpoint,
            token_endpoint_auth_methods_supported: ['none'],
            revocation_endpoint: wellKnown.revocation_endpoint,
            revocation_endpoint_auth_methods_supported: ['none'],
            grant_types_supported: [tokenExchangeGrant],
            response_types_supported: [],
          },
        },
      },
      errors: [...everywhere, 'route_unknown'],
    },
  },
  [routes.openApi]: {
    GET: {
      id: 'getOpenApi',
      tag: 'Discovery',
      summary: 'This document',
      answers: {
        200: {
          description: 'OpenAPI 3.1, with this broker as its server.',
          schema: {
            type: 'object',
            properties: { openapi: { type: 'string', pattern: String.raw`^3\.1\.` } },
            required: ['openapi'],
            additionalProperties: true,
          },
          headers: ['ETag', 'Cache-Control'],
        },
        304: { description: 'It is what `If-None-Match` names.', headers: ['ETag', 'Cache-Control'] },
      },
      errors: [...everywhere],
    },
  },
  [routes.leases]: {
    GET: {
      id: 'listLeases',
      tag: 'Administration',
      summary: 'What was minted and has a lease',
      bearer: 'required',
      query: leasesQuery,
      answers: {
        200: {
          description: 'A page of them.',
          schema: 'LeasesResponse',
          example: {
            leases: [
              {
                id: lease,
                grant: 'deploy-web',
                cluster: 'prod',
                state: 'active',
                account: 'kleis-identities/deploy-web',
                holder: 'github repo:acme/web:ref:refs/heads/main',
                created: '2026-11-26T09:30:00.000Z',
                expires: '2026-11-26T09:46:00.000Z',
                revocable: true,
              },
            ],
          },
        },
      },
      errors: [...admin, 'request_malformed', ...cluster],
    },
  },
  [`${routes.leases}/:id`]: {
    DELETE: {
      id: 'revokeLease',
      tag: 'Administration',
      summary: 'End the token of a lease before its time',
      bearer: 'required',
      path: leasePath,
      answers: {
        200: {
          description: 'What is true of the token now.',
          schema: 'RevokeResponse',
          example: { revoked: true, dead_within: 10, lease },
        },
      },
      errors: [...admin, 'request_malformed', 'lease_unknown', 'token_type_unsupported', ...cluster],
    },
  },
  [routes.grants]: {
    GET: {
      id: 'listGrants',
      tag: 'Administration',
      summary: 'All grants, whoever they are for, with what is unwise about each',
      bearer: 'required',
      answers: {
        200: {
          description: 'The grants.',
          schema: 'GrantsResponse',
          example: {
            grants: [
              {
                ...grant,
                issuer: 'github',
                account: 'kleis-identities/deploy-web',
                warnings: [{ code: 'no-protection', message: 'whoever can push a branch can meet it' }],
              },
            ],
          },
        },
      },
      errors: [...admin],
    },
  },
  [routes.healthz]: {
    GET: {
      id: 'getLiveness',
      tag: 'Operation',
      summary: 'Whether the process answers',
      answers: { 200: { description: 'It does.', schema: 'Liveness', example: { alive: true } } },
      errors: ['unexpected'],
    },
  },
  [routes.readyz]: {
    GET: {
      id: 'getReadiness',
      tag: 'Operation',
      summary: 'Whether tokens can be minted, recorded, and judged by a configuration that holds',
      bearer: 'optional',
      answers: {
        200: { description: 'They can.', schema: 'Readiness', example: { ready: true } },
        503: { description: 'They cannot.', schema: 'Readiness', example: { ready: false } },
      },
      errors: ['rate_limited', ...bearer, 'admin_only', 'unexpected'],
    },
  },
  [routes.metrics]: {
    GET: {
      id: 'getMetrics',
      tag: 'Operation',
      summary: 'Metrics for Prometheus',
      description: 'For everybody but admins it does not exist, unless it is asked for at `metrics.listen`.',
      bearer: 'optional',
      answers: {
        200: {
          description:
            'The text format of Prometheus; OpenMetrics, with exemplars, for who accepts `application/openmetrics-text`.',
          type: 'text/plain',
          schema: { type: 'string' },
        },
      },
      errors: ['rate_limited', ...bearer, 'admin_only', 'route_unknown', 'unexpected'],
    },
  },
};

/** As the documents of HTTP spell it. */
export const headerNames: Readonly<Record<string, string>> = { [idempotencyHeader]: 'Idempotency-Key' };
