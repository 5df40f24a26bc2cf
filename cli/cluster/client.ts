import { KleisError } from '../../shared/errors.ts';
import { parseObject } from '../../shared/json.ts';
import { checkCertificates } from '../../shared/net/certificates.ts';
import { type ClientCertificate, createFetch } from '../../shared/net/http.ts';
import { withoutLastSlash } from '../../shared/net/url.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { checkServer } from '../kubeconfig/cluster-fields.ts';
import type { ExecCluster } from '../kubeconfig/cluster-identity.ts';
import type { Deps } from '../surroundings/deps.ts';
import { netDeps } from '../surroundings/net-deps.ts';

export interface ClusterCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With its query. */
  readonly path: string;
  /** Sent as JSON. What is posted must be harmless to send twice. */
  readonly body?: unknown;
  /** In place of the client's own. */
  readonly token?: Secret | undefined;
  /** `application/json` if not given. */
  readonly accept?: string | undefined;
  /** Also when the person has stopped the command: it takes back what the command did. */
  readonly anyway?: boolean;
}

export interface ClusterAnswer {
  readonly status: number;
  /** Undefined for what is no JSON object. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
  /** As it was sent. */
  readonly text: string;
  /** Milliseconds that the clock of the server is ahead of ours, to a second; undefined if it does not say. */
  readonly ahead: number | undefined;
}

/** An API server, for the few questions that are not left to kubectl. */
export interface ClusterClient {
  /** For people. */
  readonly host: string;
  /** Whatever the server answers, 401 too. Throws `cluster_unavailable`, and `interrupted`. */
  ask(call: ClusterCall): Promise<ClusterAnswer>;
}

/** How somebody signs in there; a client without any is anonymous. */
export interface ClusterCredential {
  readonly token?: Secret | undefined;
  readonly certificate?: ClientCertificate | undefined;
}

export interface ClusterOptions {
  readonly credential?: ClusterCredential;
  /** Bytes of an answer; 4 MiB if not given. */
  readonly maxBody?: number;
}

const usualBody = 4 * 1024 * 1024;

/**
 * Talks to the server of a cluster entry as kubectl does: with its authority, server name and proxy. Throws
 * `kubeconfig_invalid` for an entry by which anybody could answer, and get the token.
 */
export function openCluster(
  cluster: ExecCluster,
  deps: Pick<Deps, 'env' | 'clock' | 'report' | 'signal'>,
  { credential = {}, maxBody = usualBody }: ClusterOptions = {},
): ClusterClient {
  const server = withoutLastSlash(checkServer('The server of the cluster', cluster.server));
  const { host } = new URL(server);
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw new KleisError(
      'kubeconfig_invalid',
      `The cluster entry of ${clean(host)} says insecure-skip-tls-verify: whoever answers there gets your token. Kleis asks nothing there.`,
      { hint: 'Put the certificate authority of the API server in its place.' },
    );
  }
  const data = cluster['certificate-authority-data'];
  const { signal, ...surroundings } = netDeps(deps);
  const options = {
    certificateAuthority:
      data &&
      checkCertificates(Buffer.from(data, 'base64').toString(), 'The certificate authority of the cluster entry'),
    clientCertificate: credential.certificate,
    serverName: cluster['tls-server-name'],
    proxy: cluster['proxy-url'],
    ...surroundings,
    attempts: 2,
    timeout: 15_000,
    maxBody,
  };
  const usual = createFetch({ ...options, signal });

  return {
    host: clean(host),
    async ask({ method, path, body, token = credential.token, accept = 'application/json', anyway = false }) {
      const sent = deps.clock.now();
      const fetch = anyway ? createFetch(options) : usual;
      const response = await fetch(`${server}${path}`, {
        method,
        redirect: 'manual',
        headers: {
          accept,
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(token && { authorization: `Bearer ${token.reveal()}` }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }).catch((error: unknown) => {
        throw unavailable(error, signal);
      });
      const ahead = clockAhead(response, sent, deps.clock.now());
      const text = await response.text();
      return { status: response.status, body: parseObject(text), text, ahead };
    },
  };
}

/** Milliseconds that the clock of a server is ahead of ours, to a second; undefined if it does not say. */
export function clockAhead({ headers }: Response, sent: number, received: number): number | undefined {
  const date = Date.parse(headers.get('date') ?? '');
  // `Date` has no fractions: half a second is the best guess.
  return Number.isNaN(date) ? undefined : Math.round(date + 500 - (sent + received) / 2);
}

function unavailable(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return new KleisError('interrupted', 'Interrupted.');
  if (!(error instanceof KleisError)) return error;
  const { message, hint, detail, code } = error;
  if (code !== 'provider_unavailable' && code !== 'provider_invalid') return error;
  const own = hint.includes('--certificate-authority')
    ? 'Put the authority of the API server into the cluster entry: kleis kubeconfig add NAME --cluster-certificate-authority FILE.'
    : hint;
  return new KleisError('cluster_unavailable', message, {
    hint: own,
    cause: error,
    ...(detail !== undefined && { detail }),
  });
}

/** Whether an answer was longer than `maxBody`. */
export function isTooLarge({ cause }: KleisError): boolean {
  return cause instanceof KleisError && cause.code === 'provider_invalid';
}
