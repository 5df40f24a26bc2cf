import type { BrokerConnection } from '../../shared/broker-client.ts';
import { isObject } from '../../shared/json.ts';
import { checkCertificates } from '../../shared/net/certificates.ts';
import { serverUrlFaults, withoutLastSlash } from '../../shared/net/url.ts';
import { routes, type WellKnownCluster, type WellKnownGrant, type WellKnownIssuer } from '../../shared/protocol.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { type BrokerAddress, connectTo } from './connection.ts';

/** What an address says of its clusters: `/.well-known/kleis` of a broker, or a file that an admin put there. */
export interface Directory {
  /** Of the broker, without a slash at its end; undefined where the clusters take the provider's token themselves. */
  readonly broker: string | undefined;
  readonly issuers: readonly WellKnownIssuer[];
  /** Of a broker: those of who asks; nobody's where nobody signed in. */
  readonly clusters: readonly WellKnownCluster[];
  readonly grants: readonly WellKnownGrant[];
  /** Of the broker's program; only for who signed in. */
  readonly version?: string;
}

/** Ten thousand grants and a thousand clusters with their authorities. */
const maxBody = 8 * 1024 * 1024;
const maxItems = 10_000;
/** Of one grant: as much as a configuration may have. */
const maxAccess = 1_000;

/**
 * Asks the address; with a token, as its subject. What it says is judged before anybody acts on it. Throws what the
 * broker says, `provider_unavailable`, and `broker_invalid` for what is no such document, or is one of another broker.
 */
export async function readDirectory(address: BrokerAddress, bearer?: Secret): Promise<Directory> {
  const connection = connectTo(address, maxBody);
  const { body } = await connection.request({ method: 'GET', path: routes.wellKnown, ...(bearer && { bearer }) });
  const judge = new Judge(connection);
  if (body['issuers'] === undefined) throw connection.notABroker('there is no document that names issuers');
  const broker = body['broker'] === undefined ? undefined : judge.url(body['broker'], 'its own address');
  if (broker !== undefined && broker !== withoutLastSlash(new URL(address.url).href)) {
    throw connection.notABroker(`it says that it is ${broker}: give that address`);
  }
  const { version } = body;
  return {
    broker,
    ...(version !== undefined && { version: judge.line(version, 'its version') }),
    issuers: judge.list(body['issuers'], 'issuers').map((item) => judge.issuer(item)),
    clusters: judge.list(body['clusters'] ?? [], 'clusters').map((item) => judge.cluster(item)),
    grants: judge.list(body['grants'] ?? [], 'grants').map((item) => judge.grant(item)),
  };
}

type Item = Readonly<Record<string, unknown>>;

/** Says of each part what it is, or that the document cannot be used. */
class Judge {
  readonly #connection: BrokerConnection;

  constructor(connection: BrokerConnection) {
    this.#connection = connection;
  }

  issuer(item: Item): WellKnownIssuer {
    const { sign_in: signIn, platform } = item;
    return {
      name: this.line(item['name'], 'the name of an issuer'),
      issuer: this.line(item['issuer'], 'an issuer'),
      audience: this.line(item['audience'], 'the audience of an issuer'),
      ...(platform !== undefined && { platform: this.line(platform, 'the platform of an issuer') }),
      ...(signIn !== undefined && { sign_in: this.#signIn(signIn) }),
    };
  }

  #signIn(value: unknown): NonNullable<WellKnownIssuer['sign_in']> {
    if (!isObject(value)) throw this.#fault('how to sign in');
    const { client_id: clientId, scopes = [], certificate_authority: pem } = value;
    if (!Array.isArray(scopes) || scopes.length > 64) throw this.#fault('the scopes of an issuer');
    return {
      client_id: this.line(clientId, 'the client of an issuer'),
      scopes: scopes.map((scope) => this.line(scope, 'a scope')),
      ...(pem !== undefined && { certificate_authority: this.#certificates(pem, 'an issuer') }),
    };
  }

  cluster(item: Item): WellKnownCluster {
    const { certificate_authority: pem, tls_server_name: tlsName, issuer } = item;
    const server = this.line(item['server'], 'the address of a cluster');
    if (serverUrlFaults(server).length > 0 || !/^https:/i.test(server)) throw this.#fault('the address of a cluster');
    return {
      name: this.line(item['name'], 'the name of a cluster'),
      server,
      ...(pem !== undefined && { certificate_authority: this.#certificates(pem, 'a cluster') }),
      ...(tlsName !== undefined && { tls_server_name: this.line(tlsName, 'the server name of a cluster') }),
      ...(issuer !== undefined && { issuer: this.line(issuer, 'the issuer of a cluster') }),
    };
  }

  grant(item: Item): WellKnownGrant {
    const seconds = (name: string): number => {
      const value = item[name];
      if (typeof value !== 'number' || !(value > 0) || value > 2 ** 32) throw this.#fault('how long a token lives');
      return value;
    };
    const { access, namespace } = item;
    if (access !== undefined && (!Array.isArray(access) || access.length > maxAccess))
      throw this.#fault('what a grant gives');
    return {
      name: this.line(item['name'], 'the name of a grant'),
      cluster: this.line(item['cluster'], 'the cluster of a grant'),
      expires_in: seconds('expires_in'),
      max_expires_in: seconds('max_expires_in'),
      revocable: item['revocable'] === true,
      ...(access !== undefined && { access: access.map((part) => this.line(part, 'what a grant gives')) }),
      ...(namespace !== undefined && { namespace: this.line(namespace, 'the namespace of a grant') }),
    };
  }

  url(value: unknown, what: string): string {
    const text = this.line(value, what);
    if (serverUrlFaults(text).length > 0) throw this.#fault(what);
    return withoutLastSlash(new URL(text).href);
  }

  list(value: unknown, what: string): Item[] {
    if (!Array.isArray(value) || value.length > maxItems || !value.every(isObject)) throw this.#fault(`its ${what}`);
    return value;
  }

  /** It becomes a name in a file, an argument, and text on a terminal. */
  line(value: unknown, what: string): string {
    const isLine = typeof value === 'string' && value !== '' && value.length <= 2048 && clean(value, 2048) === value;
    if (!isLine) throw this.#fault(what);
    return value;
  }

  #certificates(value: unknown, whose: string): string {
    try {
      return checkCertificates(typeof value === 'string' ? value : '');
    } catch {
      throw this.#fault(`the certificate authority of ${whose}`);
    }
  }

  #fault(what: string): Error {
    return this.#connection.notABroker(`its ${routes.wellKnown} does not say properly ${what}`);
  }
}
