import { KleisError } from '../../shared/errors.ts';
import { signatureAlgorithms } from '../../shared/jwt.ts';
import { clean } from '../../shared/text.ts';

/** What the configuration says of one issuer; durations in milliseconds. */
export interface TrustedIssuer {
  readonly name: string;
  /** Compared with `iss` as it is: nothing is normalised. Undefined only with `cluster`: it is what that one says. */
  readonly url: string | undefined;
  /** Name of the cluster whose API server it is: its keys come through the broker's own connection. */
  readonly cluster?: string | undefined;
  readonly audience: string;
  readonly singleUse: boolean;
  readonly tenantClaim?: string | undefined;
  /** Path of a PEM file; then no other authority may vouch for the issuer's server. */
  readonly certificateAuthority?: string | undefined;
  /** JWS names; all of `signatureAlgorithms` if not given. */
  readonly algorithms?: readonly string[] | undefined;
  /** Between `iat` and now. */
  readonly maxAge?: number | undefined;
  /** Between the issuer's clock and ours, in both directions; at most 60 000. */
  readonly leeway: number;
  /** Path of a file with a JWK set; then the issuer is never asked. */
  readonly jwks?: string | undefined;
}

const maxLeeway = 60_000;

/** Throws `config_invalid`. */
export function checkConfig({ name, url, cluster, algorithms = signatureAlgorithms, leeway }: TrustedIssuer): void {
  const unknown = algorithms.find((algorithm) => !(signatureAlgorithms as readonly string[]).includes(algorithm));
  if (unknown !== undefined || algorithms.length === 0) {
    const list = signatureAlgorithms.join(', ');
    throw unusable(name, `it allows the algorithm ${clean(unknown ?? '(none)')}, not one of ${list}`);
  }
  if (!(leeway >= 0 && leeway <= maxLeeway)) throw unusable(name, 'its leeway is more than a minute');
  if (url === undefined && cluster === undefined) throw unusable(name, 'it has neither url nor cluster');
}

export function unusable(name: string, why: string): KleisError {
  return new KleisError('config_invalid', `The issuer ${clean(name)} cannot be used: ${why}.`);
}
