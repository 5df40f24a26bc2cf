import { isObject, parseObject } from '../../shared/json.ts';

/** What the token endpoint (or one of its sisters) answered. Nothing in it is cleaned or believed yet. */
export interface Answer {
  /** The host that answered. */
  readonly host: string;
  readonly status: number;
  /** Any 2xx: some providers answer 201. */
  readonly ok: boolean;
  /** The body, where it is a JSON object. */
  readonly json: Readonly<Record<string, unknown>> | undefined;
  /** The body is a web page: something else than a token endpoint has answered. */
  readonly isPage: boolean;
  /** `error` of an OAuth error body (RFC 6749 section 5.2). */
  readonly error: string | undefined;
  readonly description: string | undefined;
  /** How far this machine's clock is ahead of the provider's, in milliseconds, from the Date header. */
  readonly clockAhead: number | undefined;
  /** RFC 9449 section 8. */
  readonly dpopNonce: string | undefined;
}

/** Reads an answer at the moment `now` (milliseconds since the epoch); `sent` is hidden where the provider repeats it. */
export async function readAnswer(
  response: Response,
  { host, sent, now }: { readonly host: string; readonly sent: URLSearchParams; readonly now: number },
): Promise<Answer> {
  const { status, headers } = response;
  const text = await response.text();
  const json = parseObject(text);
  const date = Date.parse(headers.get('date') ?? '');
  const { error, description } = readError(json ?? Object.fromEntries(formOf(text)));
  return {
    host,
    status,
    ok: status >= 200 && status < 300,
    json,
    isPage: /^\s*</.test(text),
    error: withoutSecrets(error, sent),
    description: withoutSecrets(description, sent),
    clockAhead: Number.isNaN(date) ? undefined : now - date,
    dpopNonce: headers.get('dpop-nonce') ?? undefined,
  };
}

/** RFC 6749 section 5.2, RFC 8628 section 3.5, RFC 8707, RFC 9126, RFC 9449, OpenID Connect Core 3.1.2.6. */
const knownErrors = new Set(
  `invalid_request invalid_client invalid_grant unauthorized_client unsupported_grant_type invalid_scope invalid_target
  authorization_pending slow_down access_denied expired_token use_dpop_nonce invalid_dpop_proof invalid_request_uri
  server_error temporarily_unavailable interaction_required login_required consent_required account_selection_required
  unsupported_token_type`.split(/\s+/),
);

/**
 * The error of an OAuth error body, also where it lies in one of the envelopes that gateways and APIs have for all their
 * errors. A code out of those counts only where it is one of OAuth's: others say nothing of the token that was sent.
 */
function readError(body: Readonly<Record<string, unknown>>): Pick<Answer, 'error' | 'description'> {
  const list = Array.isArray(body['errors']) ? (body['errors'] as unknown[]) : [];
  const envelopes = [body['error'], list[0], body['fault'], body].filter(isObject);
  const named = ['error', 'code', 'error_code', 'errorCode', 'type'].flatMap((name) => envelopes.map((at) => at[name]));
  const known = [body['error'], ...named].map((value) => textOf(value)?.toLowerCase()).find(isKnown);
  const descriptions = envelopes.flatMap((at) =>
    ['error_description', 'errorSummary', 'description', 'message', 'detail', 'msg', 'title', 'faultstring'].map(
      (name) => at[name],
    ),
  );
  return {
    error: known ?? textOf(body['error']),
    description: textOf(body['error_description']) ?? descriptions.map(textOf).find((text) => text !== undefined),
  };
}

function isKnown(error: string | undefined): error is string {
  return error !== undefined && knownErrors.has(error);
}

/** Old servers answer an error as a form. */
function formOf(text: string): URLSearchParams {
  return new URLSearchParams(/^error=\w+(&|$)/.test(text.trim()) ? text.trim() : '');
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const secretFields = [
  'refresh_token',
  'code',
  'code_verifier',
  'device_code',
  'client_secret',
  'client_assertion',
  'token',
];

/** A provider that repeats in its refusal what we sent must not get it onto a terminal or into a log. */
function withoutSecrets(text: string | undefined, sent: URLSearchParams): string | undefined {
  const secrets = secretFields.flatMap((name) => sent.get(name) ?? []).filter((secret) => secret.length >= 8);
  return secrets.reduce((rest, secret) => rest?.replaceAll(secret, '[redacted]'), text);
}
