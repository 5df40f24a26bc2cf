import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { AuthorizationRequest, Secrets } from '../provider/authorization-request.ts';
import type { DpopKey } from '../provider/dpop.ts';
import type { Provider } from '../provider/provider.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';

export interface SignInOptions {
  /** The person may be asked to paste: `kleis login`, where the terminal is ours, and nowhere else. */
  readonly allowPaste: boolean;
  /** Whom the provider should expect (OpenID Connect Core 3.1.2.1, `login_hint`). */
  readonly loginHint?: string | undefined;
  /** What the tokens are for, such as "for the cluster https://…", for the person to read. */
  readonly destination?: string | undefined;
  /** The last sign-in of this session brought no refresh token. */
  readonly withoutRefreshToken?: boolean | undefined;
}

export type SignInSettings = Pick<
  Settings,
  | 'login'
  | 'scopes'
  | 'audience'
  | 'resource'
  | 'authParams'
  | 'cache'
  | 'listenAddress'
  | 'redirectUri'
  | 'loginTimeout'
  | 'browserCommand'
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

export function requestFor(
  { options }: Pick<SignInContext, 'options'>,
  made: { readonly redirectUri: string; readonly secrets: Secrets; readonly dpop: DpopKey | undefined },
): AuthorizationRequest {
  const { loginHint, withoutRefreshToken } = options;
  const { redirectUri, secrets, dpop } = made;
  return { redirectUri, secrets, loginHint, withoutRefreshToken, dpopThumbprint: dpop?.thumbprint };
}

/** What to call the provider. */
export function nameOfProvider({ metadata }: Provider): string {
  return clean(new URL(metadata.issuer).host, 100);
}

/** Where the person signs in, and for what: a kubeconfig from elsewhere may name a server that nobody knows. */
export function purpose({ provider, options }: Pick<SignInContext, 'provider' | 'options'>): string {
  return `at ${nameOfProvider(provider)} ${clean(options.destination ?? '', 400)}`.trimEnd();
}
