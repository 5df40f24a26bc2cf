import { clean } from '../../shared/text.ts';
import { type BrokerSettings, resolveBroker } from './broker.ts';
import type { SignInFlags } from './flags.ts';
import { authorityOf, gather, longOf, type PersonChoices } from './gather.ts';
import { flagNames, settingOf, type Values } from './table.ts';
import { usage } from './values.ts';

/** What a command works with where nobody signs in: the job or the machine has an identity already. */
export interface AmbientSettings {
  /** A platform, `file:PATH` (absolute) or `env:NAME`. */
  readonly identity: string;
  readonly issuerUrl?: never;
  /** Whom the token is to be for, as the person or the kubeconfig says; if nobody does, the broker's URL. */
  readonly audience: string | undefined;
  readonly broker: BrokerSettings | undefined;
  /** A PEM file, or its text as a data URL; when given, nothing else is trusted for the platform that makes the token. */
  readonly certificateAuthority: string | undefined;
  readonly cache: Values['cache'];
  /** Milliseconds. */
  readonly minValidity: number;
  readonly force: boolean;
  readonly proxy: string | undefined;
}

/** For identities that bring their token along. Throws `usage`, `kubeconfig_invalid`. */
export function resolveAmbient(flags: SignInFlags, extension: unknown, person: PersonChoices): AmbientSettings {
  const given = gather(flags, extension, person);
  const { identity = 'auto' } = given;
  const certificateAuthority = authorityOf(given, 'certificateAuthority');
  for (const name of flagNames) {
    if (settingOf(name).signInOnly !== true || flags[name] === undefined) continue;
    throw usage(`${longOf(name)} is for a sign-in, but --identity ${clean(identity, 80)} brings its token along.`);
  }
  if (certificateAuthority !== undefined && identity !== 'github' && identity !== 'auto') {
    throw usage(`--certificate-authority is of no use here: --identity ${clean(identity, 80)} asks no server.`);
  }
  const broker = resolveBroker(given, flags.grant);
  const pinned = Object.entries(given.brokerAudiences ?? {}).find(([url]) => url === broker?.url);
  const audience = given.audience ?? pinned?.[1];
  if (broker === undefined && audience === undefined) {
    throw usage(
      `The token of --identity ${clean(identity, 80)} is to go to the cluster, and it is not said for whom it must be.`,
      'Give --audience (what the API server expects), or --broker.',
    );
  }
  return {
    identity,
    audience,
    broker,
    certificateAuthority,
    cache: given.cache ?? 'auto',
    minValidity: given.minValidity ?? 60_000,
    force: given.force ?? false,
    proxy: given.proxy,
  };
}
