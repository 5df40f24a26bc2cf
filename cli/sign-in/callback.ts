import { KleisError, type ErrorCode } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { ProviderMetadata } from '../provider/discovery.ts';

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
export function readCallback(parameters: URLSearchParams, metadata: ProviderMetadata): string {
  const issuer = single(parameters, 'iss');
  if (issuer === undefined && metadata.authorization_response_iss_parameter_supported === true) {
    throw new KleisError(
      'sign_in_invalid',
      'The answer does not say which provider it is from, though this one always does.',
    );
  }
  if (issuer !== undefined && issuer !== metadata.issuer) {
    throw new KleisError(
      'sign_in_invalid',
      `The answer is from ${clean(issuer)}, but ${clean(metadata.issuer)} was asked.`,
    );
  }
  const error = single(parameters, 'error');
  if (error !== undefined) throw refusal(error, single(parameters, 'error_description'));
  const code = single(parameters, 'code');
  if (code === undefined || code === '')
    throw new KleisError('sign_in_invalid', 'The answer of the provider has no code in it.');
  return code;
}

function refusal(error: string, description: string | undefined): KleisError {
  const why =
    description === undefined || description === ''
      ? clean(error, 60)
      : `${clean(description).replace(/\.$/, '')} (${clean(error, 60)})`;
  const code = errorCodes[error] ?? 'sign_in_refused';
  const hint =
    error === 'invalid_scope'
      ? 'Check --scope; `--auth-param access_type=online` leaves offline_access out.'
      : undefined;
  return new KleisError(code, `The provider did not sign you in: ${why}.`, hint === undefined ? {} : { hint });
}

/** RFC 6749 section 3.1: no parameter more than once. */
function single(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name);
  if (values.length > 1) throw new KleisError('sign_in_invalid', `The answer of the provider has ${name} in it twice.`);
  return values[0];
}
