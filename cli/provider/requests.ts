import * as oauth from 'oauth4webapi';
import { KleisError } from '../../shared/errors.ts';
import type { Fetch } from '../../shared/net/http.ts';
import type { Secret } from '../../shared/secret.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type Answer, readAnswer } from './answer.ts';
import type { ClientMethod } from './client-auth.ts';
import { endpoint, type Endpoint, type ProviderMetadata } from './discovery.ts';
import type { DpopKey } from './dpop.ts';
import { refusesClient } from './refusals.ts';

// The seam between two libraries: openid-client makes the addresses that a browser is sent to (addresses.ts); its lower
// layer, oauth4webapi, sends the requests, since Kleis judges the answers itself.

type Parameters = Readonly<Record<string, string>>;

/** The POST requests of one client to one provider. Each may throw `provider_unavailable` and `interrupted`. */
export interface Requests {
  token(grant: string, parameters: Parameters, dpop: DpopKey | undefined): Promise<Answer>;
  /** RFC 9126. */
  push(parameters: Parameters): Promise<Answer>;
  /** RFC 8628 section 3.1. */
  startDevice(parameters: Parameters): Promise<Answer>;
  /** RFC 7009. */
  revoke(token: Secret, hint: string): Promise<Answer>;
}

interface RequestsOptions {
  readonly metadata: ProviderMetadata;
  readonly clientId: string;
  /** The ways in which this client can authenticate, the likeliest first. */
  readonly methods: readonly ClientMethod[];
  readonly fetch: Fetch;
  readonly deps: Pick<Deps, 'clock' | 'report'>;
}

type Send = (method: ClientMethod, options: oauth.TokenEndpointRequestOptions) => Promise<Response>;

export function createRequests({ metadata, clientId, methods, fetch, deps }: RequestsOptions): Requests {
  const server = metadata as oauth.AuthorizationServer;
  const client: oauth.Client = { client_id: clientId };
  let preferred = 0;
  let dpopNonce: string | undefined;

  /** One request, and what came back. */
  async function once(url: string, send: Send, dpop: DpopKey | undefined): Promise<Answer> {
    const method = methods[preferred] ?? oauth.None();
    let sent = new URLSearchParams();
    const noted: ClientMethod = async (as, who, body, headers) => {
      await method(as, who, body, headers);
      sent = body;
    };
    const proof = dpop && { dpop: await dpop.prove(url, dpopNonce, deps.clock.now()) };
    const response = await send(noted, {
      [oauth.customFetch]: fetch,
      // `endpoint` has made sure that this is loopback.
      // oxlint-disable-next-line typescript/no-deprecated -- deprecated to stand out, which is what is wanted
      [oauth.allowInsecureRequests]: metadata.issuer.startsWith('http:'),
      headers: { 'user-agent': 'kleis', ...proof },
    });
    const answer = await readAnswer(response, { host: new URL(url).host, sent, now: deps.clock.now() });
    dpopNonce = answer.dpopNonce ?? dpopNonce;
    return answer;
  }

  /** Once more with the nonce that the provider wants, and with the client's other way to authenticate. */
  async function ask(name: Endpoint, send: Send, dpop?: DpopKey): Promise<Answer> {
    const url = endpoint(metadata, name);
    if (url === undefined) throw new KleisError('provider_invalid', `The provider names no ${name}.`);
    let nonces = 1;
    let others = methods.length - 1;
    for (;;) {
      const answer = await once(url, send, dpop);
      if (dpop && answer.error === 'use_dpop_nonce' && answer.dpopNonce !== undefined && nonces > 0) {
        nonces -= 1;
      } else if (refusesClient(answer) && others > 0) {
        others -= 1;
        preferred = (preferred + 1) % methods.length;
        deps.report.debug('the provider refused this client; trying its other way to authenticate');
      } else return answer;
    }
  }

  return {
    token: (grant, parameters, dpop) =>
      ask(
        'token_endpoint',
        (method, options) =>
          oauth.genericTokenEndpointRequest(server, client, method, grant, { ...parameters }, options),
        dpop,
      ),
    push: (parameters) =>
      ask('pushed_authorization_request_endpoint', (method, options) =>
        oauth.pushedAuthorizationRequest(server, client, method, { ...parameters }, options),
      ),
    startDevice: (parameters) =>
      ask('device_authorization_endpoint', (method, options) =>
        oauth.deviceAuthorizationRequest(server, client, method, { ...parameters }, options),
      ),
    revoke: (token, hint) =>
      ask('revocation_endpoint', (method, options) =>
        oauth.revocationRequest(server, client, method, token.reveal(), {
          ...options,
          additionalParameters: { token_type_hint: hint },
        }),
      ),
  };
}
