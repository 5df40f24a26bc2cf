import type { WellKnown, WellKnownGrant, WellKnownIssuer } from '../protocol.ts';

/** What a kubeconfig entry runs Kleis with, by the names of the settings. */
export interface EntryFlags {
  readonly issuerUrl?: string;
  readonly clientId?: string;
  /** PEM in base64. */
  readonly certificateAuthorityData?: string;
  readonly scope?: readonly string[];
  readonly audience?: string;
  readonly identity?: string;
  readonly broker?: string;
  readonly grant?: string;
}

/** Platforms whose tokens Kleis finds by itself; elsewhere the job puts its token into a variable. */
const identities = new Set(['github', 'gitlab', 'circleci', 'buildkite', 'kubernetes']);
const tokenVariable = 'KLEIS_ID_TOKEN';

/**
 * How to get a token of an issuer that a broker takes: a person signs in, a job has one already. The platforms are not
 * believed about people: where both have tokens of one issuer, `sign_in` says that it is for people.
 */
export function subjectFlags({ broker }: Pick<WellKnown, 'broker'>, issuer: WellKnownIssuer): EntryFlags {
  const { sign_in: signIn, platform = 'other', audience } = issuer;
  if (signIn === undefined && platform !== 'other' && platform !== 'entra') {
    return {
      ...(audience !== broker && { audience }),
      identity: identities.has(platform) ? platform : `env:${tokenVariable}`,
    };
  }
  const { client_id: clientId = audience, scopes = [], certificate_authority: pem } = signIn ?? {};
  return {
    issuerUrl: issuer.issuer,
    clientId,
    ...(pem !== undefined && { certificateAuthorityData: Buffer.from(pem).toString('base64') }),
    ...(scopes.length > 0 && { scope: scopes }),
  };
}

/** `--issuer-url`, of `issuerUrl` */
export function longFlag(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `--issuer-url=…`, in one order: one token, one credential in the cache. */
export function toArguments(flags: EntryFlags): string[] {
  return Object.entries(flags).flatMap(([name, value]: [string, string | readonly string[]]) => {
    return [value].flat().map((each) => `${longFlag(name)}=${each}`);
  });
}

/**
 * What the contexts are called, by the names of the grants: as the cluster, which people know, where that has one grant
 * alone. No two grants have one name.
 */
export function contextNames(grants: readonly Pick<WellKnownGrant, 'name' | 'cluster'>[]): ReadonlyMap<string, string> {
  const counts = new Map<string, number>();
  for (const { cluster } of grants) counts.set(cluster, (counts.get(cluster) ?? 0) + 1);
  const taken = new Set(grants.filter(({ cluster }) => counts.get(cluster) === 1).map(({ cluster }) => cluster));
  return new Map(
    grants.map(({ name, cluster }) => {
      if (counts.get(cluster) === 1) return [name, cluster];
      const usual = `${cluster}-${name}`;
      // No name of a cluster or grant has a slash.
      const context = taken.has(usual) ? `${cluster}/${name}` : usual;
      taken.add(context);
      return [name, context];
    }),
  );
}
