import { routes, type ServerMetadata, tokenExchangeGrant } from '../../shared/protocol.ts';
import { KleisError } from '../../shared/errors.ts';
import { type Answer, json } from '../http/answer.ts';
import type { Call } from '../http/request.ts';
import type { Services } from '../service/services.ts';

/**
 * `GET /.well-known/oauth-authorization-server`, RFC 8414, for clients of OAuth that know nothing of Kleis. Of a broker at
 * a URL with a path, that path may follow (section 3.1).
 */
export async function oauthMetadata({ path }: Call, { loaded }: Services): Promise<Answer> {
  const { publicUrl } = loaded.config;
  const rest = path['rest'];
  if (Array.isArray(rest) && `/${rest.join('/')}` !== new URL(publicUrl).pathname) {
    throw new KleisError('route_unknown', 'There is no authorization server at this path.');
  }
  const metadata: ServerMetadata = {
    issuer: publicUrl,
    token_endpoint: `${publicUrl}${routes.token}`,
    token_endpoint_auth_methods_supported: ['none'],
    revocation_endpoint: `${publicUrl}${routes.revoke}`,
    revocation_endpoint_auth_methods_supported: ['none'],
    grant_types_supported: [tokenExchangeGrant],
    // Required; there is no authorization endpoint.
    response_types_supported: [],
  };
  return json(metadata);
}
