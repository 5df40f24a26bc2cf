import type { Claims } from '../../shared/jwt.ts';
import type { BrokerConfig } from './broker-config.ts';

/**
 * Name of the issuer that claims say they are of, where nobody verifies that; undefined for one that the configuration does
 * not have. A cluster alone says its URL, and nobody is asked here: it is the one that the grant is for.
 */
export function claimedIssuer(
  claims: Claims,
  grant: string,
  { issuers, grants }: Pick<BrokerConfig, 'issuers' | 'grants'>,
): string | undefined {
  const meant = Object.hasOwn(grants, grant) ? issuers[grants[grant]!.issuer] : undefined;
  const unsaid = meant?.url === undefined ? meant : undefined;
  const { iss } = claims;
  const named = typeof iss === 'string' ? Object.values(issuers).find(({ url }) => url === iss) : undefined;
  return (named ?? unsaid)?.name;
}
