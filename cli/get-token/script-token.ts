import { formatTime } from '../../shared/duration.ts';
import { Secret } from '../../shared/secret.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import { scriptOf } from '../credentials/asker.ts';
import { scriptKey } from '../credentials/key.ts';
import { keyOf } from '../session/open.ts';
import { openCredentials } from '../stores.ts';
import type { Deps } from '../surroundings/deps.ts';
import { getToken, type TokenCall } from './get-token.ts';
import type { Present } from './present.ts';
import type { ObtainedToken } from './sources.ts';

/** What `-o json` prints, and what is kept for the next call. */
export interface TokenText {
  readonly token: string;
  /** RFC 3339. */
  readonly expiresAt?: string | undefined;
  readonly grant?: string | undefined;
  readonly cluster?: string | undefined;
  readonly lease?: string | undefined;
  readonly revocable?: boolean | undefined;
}

/** Kept like kubectl's credentials: a script that asks ten times gets one token, and `kleis revoke` finds it. */
export async function scriptToken(
  settings: Settings | AmbientSettings,
  cluster: string | undefined,
  deps: Deps,
): Promise<TokenText> {
  const call: TokenCall = {
    settings,
    key: scriptKey(await describe(settings, cluster), deps.env),
    mode: 'normal',
    cluster,
    interactive: deps.stdin.isTTY,
    format: (fresh) => JSON.stringify(describeToken(fresh, settings)),
  };
  return JSON.parse(await getToken(call, openCredentials(deps, scriptOf(deps)), deps)) as TokenText;
}

/** What the cluster gets of somebody who is there: their own token, or what the broker gives for it. */
export async function clusterToken(
  settings: Settings | AmbientSettings,
  { token }: Present,
  cluster: string,
  deps: Deps,
): Promise<Secret> {
  return settings.broker === undefined ? token : new Secret((await scriptToken(settings, cluster, deps)).token);
}

/** All that may give another token. */
async function describe(settings: Settings | AmbientSettings, cluster: string | undefined): Promise<string[]> {
  const { broker } = settings;
  const who = isAmbient(settings)
    ? [settings.identity, settings.audience ?? '']
    : // A session remembers where its tokens went: a new cluster is for it to hear of.
      [await keyOf(settings), settings.token, cluster ?? ''];
  return [...who, broker?.url ?? '', broker?.grant ?? '', String(broker?.ttl ?? '')];
}

function describeToken(fresh: ObtainedToken, settings: Settings | AmbientSettings): TokenText {
  const { expiresAt, cluster, lease, revocable } = fresh;
  return {
    token: fresh.token.reveal(),
    ...(expiresAt !== undefined && {
      expiresAt: formatTime(expiresAt),
    }),
    ...(settings.broker && { grant: settings.broker.grant, cluster, lease, revocable }),
  };
}
