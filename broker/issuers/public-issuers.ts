import { readCertificates } from '../../shared/net/certificates.ts';
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

/** Milliseconds; a provider's authority changes once in years. */
const maxAge = 60_000;

export function createPublicIssuers(now: () => number): PublicIssuers {
  const known = new WeakMap<SignIn, { readonly at: number; readonly told: WellKnownSignIn }>();

  /** Undefined where the file of its authority was never readable: without that nobody could sign in. */
  async function tell(signIn: SignIn): Promise<WellKnownSignIn | undefined> {
    const old = known.get(signIn);
    if (old !== undefined && Math.abs(now() - old.at) < maxAge) return old.told;
    const told = await describeSignIn(signIn).catch(() => old?.told);
    if (told !== undefined) known.set(signIn, { at: now(), told });
    return told;
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

/** Throws `config_invalid`. */
async function describeSignIn({ clientId, scopes, certificateAuthority: file }: SignIn): Promise<WellKnownSignIn> {
  return {
    client_id: clientId,
    ...(scopes && { scopes }),
    ...(file !== undefined && { certificate_authority: await readCertificates(file) }),
  };
}
