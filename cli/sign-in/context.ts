import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Provider } from '../provider/provider.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';

export interface SignInOptions {
  /** The person may be asked to paste: `kleis login`, where the terminal is ours, and nowhere else. */
  readonly allowPaste: boolean;
  /** Whom the provider should expect (OpenID Connect Core 3.1.2.1, `login_hint`). */
  readonly loginHint?: string | undefined;
}

export type SignInSettings = Pick<
  Settings,
  'login' | 'scopes' | 'listenAddress' | 'redirectUri' | 'loginTimeout' | 'browserCommand'
>;

/** What every way of signing in works with. */
export interface SignInContext {
  readonly provider: Provider;
  readonly settings: SignInSettings;
  readonly deps: Deps;
  readonly options: SignInOptions;
  /** Aborted when the time is up, or by the person. */
  readonly signal: AbortSignal;
}

/** This way of signing in cannot work here, and the person has done nothing yet: another one may be tried. */
export class WayFailed extends KleisError {}

/** What to call the provider. */
export function nameOfProvider({ metadata }: Provider): string {
  return clean(new URL(metadata.issuer).host, 100);
}
