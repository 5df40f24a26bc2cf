import { authorityOf, type Given } from './gather.ts';
import { usage } from './values.ts';

/** Where a subject token is exchanged, and for what. */
export interface BrokerSettings {
  /** https, or http on loopback; no slash at its end. */
  readonly url: string;
  readonly grant: string;
  /** Milliseconds; undefined takes what the grant gives. */
  readonly ttl: number | undefined;
  /** A PEM file, or its text as a data URL; when given, nothing else is trusted for the broker. */
  readonly certificateAuthority: string | undefined;
}

/**
 * Undefined where no broker is named: then the cluster gets the token of the provider or platform itself. A grant may
 * come from the extension of a cluster that others reach without a broker. Throws `usage`.
 */
export function resolveBroker(given: Given, typedGrant: string | undefined): BrokerSettings | undefined {
  const { broker: url, grant, ttl } = given;
  const certificateAuthority = authorityOf(given, 'brokerCertificateAuthority');
  if (url === undefined) {
    const alone =
      typedGrant !== undefined
        ? '--grant'
        : ttl !== undefined
          ? '--ttl'
          : certificateAuthority !== undefined
            ? '--broker-certificate-authority'
            : undefined;
    if (alone !== undefined) throw usage(`${alone} is for a broker: give --broker too.`);
    return undefined;
  }
  if (grant === undefined) {
    throw usage('--broker is given, but not what to ask it for.', 'Name a grant of the broker with --grant.');
  }
  return { url, grant, ttl, certificateAuthority };
}
