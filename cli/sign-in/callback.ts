import { KleisError, type ErrorCode } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Provider } from '../provider/provider.ts';
import { scopeHint } from '../provider/refusals.ts';

/** What happens when the provider refuses by sending the browser back with `error` (RFC 6749 4.1.2.1, OIDC Core 3.1.2.6). */
const errorCodes: Readonly<Record<string, ErrorCode>> = {
  unauthorized_client: 'client_refused',
  temporarily_unavailable: 'provider_unavailable',
  server_error: 'provider_unavailable',
  invalid_scope: 'token_unusable',
  invalid_target: 'token_unusable',
};

/**
 * The code out of a callback whose `state` was found right. Throws `sign_in_invalid` (RFC 9207: another issuer sent it,
 * or none is named where the provider promises to), `sign_in_refused` and its kin (the provider says no).
 */
export function readCallback(parameters: URLSearchParams, provider: Pick<Provider, 'metadata' | 'asker'>): string {
  const { metadata } = provider;
  const issuer = single(parameters, 'iss');
  if (issuer !== undefined && issuer !== metadata.issuer) {
    throw new KleisError(
      'sign_in_invalid',
      `The answer is from ${clean(issuer)}, but ${clean(metadata.issuer)} was asked.`,
    );
  }
  const refused = readRefusal(parameters, provider);
  if (refused !== undefined) throw refused;
  if (issuer === undefined && metadata.authorization_response_iss_parameter_supported === true) {
    throw new KleisError(
      'sign_in_invalid',
      'The answer does not say which provider it is from, though this one always does.',
    );
  }
  const code = single(parameters, 'code');
  if (code === undefined || code === '')
    throw new KleisError('sign_in_invalid', 'The answer of the provider has no code in it.');
  return code;
}

/** What a callback with `error` says; undefined where it has none. */
export function readRefusal(parameters: URLSearchParams, { asker }: Pick<Provider, 'asker'>): KleisError | undefined {
  const error = single(parameters, 'error');
  if (error === undefined) return undefined;
  const description = single(parameters, 'error_description') ?? '';
  const why = description === '' ? clean(error, 60) : `${clean(description).replace(/\.$/, '')} (${clean(error, 60)})`;
  const hint =
    error === 'invalid_scope'
      ? (scopeHint(asker) ?? 'Check --scope; `--auth-param access_type=online` leaves offline_access out.')
      : undefined;
  const message = `The provider did not sign you in: ${why}.`;
  return new KleisError(errorCodes[error] ?? 'sign_in_refused', message, hint === undefined ? {} : { hint });
}

/** RFC 6749 section 3.1: no parameter more than once. */
function single(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name);
  if (values.length > 1) throw new KleisError('sign_in_invalid', `The answer of the provider has ${name} in it twice.`);
  return values[0];
}
