import type { WellKnownIssuer, WellKnownSignIn } from '../../shared/protocol.ts';
import type { IssuerConfig } from '../config/broker-config.ts';

/** What callers are told of the issuers: whose tokens the broker takes, and how people get one. */
export interface PublicIssuers {
  /** `urls`: what stands in `iss`, by name; one that is not known yet is left out. */
  describe(
    issuers: Readonly<Record<string, IssuerConfig>>,
    urls: Readonly<Record<string, string>>,
  ): Promise<readonly WellKnownIssuer[]>;
}

type SignIn = NonNullable<IssuerConfig['signIn']>;

/** `readAuthority` gives the certificates of a file, and throws `config_invalid`. */
export function createPublicIssuers(readAuthority: (file: string) => Promise<string>): PublicIssuers {
  /** Undefined where the file of its authority was never readable: without that nobody could sign in. */
  async function tell({ clientId, scopes, certificateAuthority: file }: SignIn): Promise<WellKnownSignIn | undefined> {
    const authority = file === undefined ? undefined : await readAuthority(file).catch(() => undefined);
    if (file !== undefined && authority === undefined) return undefined;
    return {
      client_id: clientId,
      ...(scopes && { scopes }),
      ...(authority !== undefined && { certificate_authority: authority }),
    };
  }

  return {
    async describe(issuers, urls) {
      const all = Object.values(issuers).map(async ({ name, audience, platform, signIn }) => {
        const issuer = urls[name];
        if (issuer === undefined) return [];
        const told = signIn && (await tell(signIn));
        return [{ name, issuer, audience, ...(platform && { platform }), ...(told && { sign_in: told }) }];
      });
      return (await Promise.all(all)).flat();
    },
  };
}
