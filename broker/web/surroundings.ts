import type { BrokerConfig } from '../config/broker-config.ts';
import type { Call } from '../http/request.ts';
import type { FollowedFiles } from '../service/followed-files.ts';
import type { Services } from '../service/services.ts';
import { readCookies } from './session/cookies.ts';
import { createProvider, type Provider, type ProviderDeps } from './session/provider.ts';
import { createSeal, type Seal } from './session/seal.ts';
import { openSession, type Session } from './session/session.ts';

/** What one request is seen by: who sent it, by which keys, and the provider that vouched for them. */
export interface Surroundings {
  readonly cookies: ReadonlyMap<string, string>;
  readonly seal: Seal;
  readonly provider: Provider;
  readonly session: Session | undefined;
}

/** By the settings in force at each request; what is made of them stays as long as they do. Throws `config_invalid`. */
export function createSurroundings(deps: Omit<ProviderDeps, 'readSecret'>) {
  const sealOf = lastOf((keys: readonly Uint8Array[], config: BrokerConfig) => {
    const { web, issuer, url } = settingsOf(config);
    return createSeal(keys, [config.publicUrl, issuer.name, url, web.clientId]);
  });
  const providerOf = lastOf((config: BrokerConfig, { clientSecret }: FollowedFiles) =>
    createProvider(providerSettings(config), { ...deps, readSecret: clientSecret }),
  );
  return async (call: Call, services: Services): Promise<Surroundings> => {
    const { config } = services.loaded;
    const { web, issuer } = settingsOf(config);
    const seal = sealOf(await services.files.cookieKeys(web.cookieKeyFile), config);
    const cookies = readCookies(call.header('cookie'));
    const session = await openSession(cookies, seal, issuer, services);
    return { cookies, seal, provider: providerOf(config, services.files), session };
  };
}

/** Of a configuration with a page: its rules have seen to it that the issuer is there, and has a URL. */
function settingsOf({ web, issuers }: BrokerConfig) {
  const issuer = issuers[web!.issuer]!;
  return { web: web!, issuer, url: issuer.url! };
}

function providerSettings(config: BrokerConfig) {
  const { web, issuer, url } = settingsOf(config);
  const { publicUrl } = config;
  const signedOut = `${publicUrl}/ui/signed-out`;
  return { issuer: { ...issuer, url }, web, callback: `${publicUrl}/ui/callback`, signedOut };
}

/** What was made last, as long as it is made of the same. */
function lastOf<Parts extends readonly unknown[], T>(make: (...parts: Parts) => T): (...parts: Parts) => T {
  let last: { readonly parts: Parts; readonly value: T } | undefined;
  return (...parts) => {
    if (last === undefined || parts.some((part, index) => part !== last?.parts[index])) {
      last = { parts, value: make(...parts) };
    }
    return last.value;
  };
}
