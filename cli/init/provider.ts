import { clean } from '../../shared/text.ts';
import { openProvider } from '../doctor/provider.ts';
import { discover, type ProviderMetadata } from '../provider/discovery.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { authorityOf, type PersonChoices, readFlags } from '../settings/gather.ts';
import { betweenBlanks } from '../settings/values.ts';
import { pemDataUrl } from '../../shared/net/url.ts';
import { ask, tell } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { askServer, type Connect, withScheme } from './reach.ts';

/** What API servers take names and groups from, most often. */
const usualScopes = ['email', 'groups'];

/**
 * How somebody signs in at a provider that answers, as flags.
 *
 * @param before what is there already: offered, not taken
 * @throws as `ask`
 */
export async function askProvider(before: SignInFlags, choices: PersonChoices, deps: Deps): Promise<SignInFlags> {
  const known = authorityOf(readFlags(before), 'certificateAuthority');
  const connect: Connect<ProviderMetadata> = async (issuer, authority) => {
    const own = issuer === before.issuerUrl ? known : undefined;
    const certificateAuthority = authority ? `${pemDataUrl}${Buffer.from(authority).toString('base64')}` : own;
    return discover(await openProvider({ certificateAuthority, proxy: choices.proxy }, deps), issuer);
  };
  const text = 'The issuer of your single sign-on (https://…)';
  const {
    address: issuerUrl,
    authority,
    found,
  } = await askServer<ProviderMetadata, never>(
    async (reach) => {
      const check = async (typed: string) => reach(readFlags({ issuerUrl: withScheme(typed) }).issuerUrl!);
      return ask({ text, usual: before.issuerUrl, check }, deps);
    },
    connect,
    deps,
  );
  const same = issuerUrl === before.issuerUrl ? withoutAuthority(before, authority !== undefined) : {};
  const clientId = await ask(
    {
      text: 'The client that is registered there',
      usual: same.clientId ?? 'kleis',
      check: (typed) => readFlags({ clientId: typed }).clientId!,
    },
    deps,
  );
  const scope = await askScopes(same.scope, found, deps);
  const data = authority && Buffer.from(authority).toString('base64');
  const flags = {
    ...same,
    issuerUrl,
    clientId,
    scope: [...scope],
    ...(data && { certificateAuthorityData: data }),
  };
  readFlags(flags);
  return flags;
}

function withoutAuthority(flags: SignInFlags, replaced: boolean): SignInFlags {
  const { certificateAuthority: _, certificateAuthorityData: __, ...rest } = flags;
  return replaced ? rest : flags;
}

async function askScopes(
  before: readonly string[] | undefined,
  { scopes_supported: listed }: ProviderMetadata,
  deps: Deps,
): Promise<readonly string[]> {
  const usual = before ?? usualScopes.filter((scope) => listed?.includes(scope) ?? scope === 'email');
  const scopes = await ask(
    {
      text: 'The scopes to ask for beside openid (- for none)',
      usual: usual.length === 0 ? '-' : usual.join(' '),
      check: (typed) => (typed === '-' ? [] : readFlags({ scope: [betweenBlanks(typed, listed)] }).scope!),
    },
    deps,
  );
  const unlisted = scopes.filter((scope) => listed?.includes(scope) === false);
  if (unlisted.length > 0)
    tell(`The provider does not list ${clean(unlisted.join(' '), 200)}; it may refuse it.`, deps);
  return scopes;
}
