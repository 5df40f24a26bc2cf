import { KleisError } from '../../shared/errors.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { clean } from '../../shared/text.ts';
import type { BrokerClient } from '../broker/client.ts';
import type { BrokerAddress } from '../broker/connection.ts';
import { openNotes } from '../credentials/notes.ts';
import type { BrokerSettings } from '../settings/broker.ts';
import { placesOf } from '../settings/paths.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { ObtainedToken, Source } from './sources.ts';

/** The client of a broker; its answers about itself are remembered for a while beside the credentials. */
export async function brokerOf(
  { url, certificateAuthority }: Pick<BrokerSettings, 'url' | 'certificateAuthority'>,
  proxy: string | undefined,
  deps: Deps,
): Promise<BrokerClient> {
  const address = await addressOf({ url, certificateAuthority }, proxy, deps);
  const memory = openNotes(placesOf(deps).credentials, deps).note('broker', [url, address.certificateAuthority ?? '']);
  const { openBroker } = await import('../broker/client.ts');
  return openBroker({ ...address, memory });
}

/** The broker of the settings, with the text of the authority that vouches for it. Throws `config_invalid`. */
export async function addressOf(
  { url, certificateAuthority }: Pick<BrokerSettings, 'url' | 'certificateAuthority'>,
  proxy: string | undefined,
  deps: Deps,
): Promise<BrokerAddress> {
  return { url, certificateAuthority: await readAuthority(certificateAuthority), proxy, deps };
}

/**
 * What the broker gives for the token of a source. Throws what the broker says; of a grant that is not the caller's, with
 * those that are.
 */
export async function exchange(
  settings: BrokerSettings,
  broker: BrokerClient,
  { token, type, platform }: Source,
  { proxy, deps }: { readonly proxy: string | undefined; readonly deps: Deps },
): Promise<ObtainedToken> {
  const { grant, ttl } = settings;
  try {
    return await broker.exchange({ subject: token.token, subjectType: type, grant, ttl });
  } catch (error) {
    if (error instanceof KleisError && error.code === 'grant_denied') {
      const { withOwnGrants } = await import('../broker/own-grants.ts');
      const address = await addressOf(settings, proxy, deps);
      throw await withOwnGrants(error, { broker: address, token: token.token, grant });
    }
    if (!(error instanceof KleisError) || error.code !== 'subject_audience' || platform === undefined) throw error;
    broker.forgetIssuers();
    const known = await broker.issuers().catch(() => []);
    const wanted = known.find(({ issuer }) => issuer === platform.issuer)?.audience;
    if (wanted === undefined) throw error;
    throw new KleisError(error.code, error.message, {
      hint: `The broker wants the audience ${clean(wanted)}. ${platform.identity.hint(wanted)}`,
      cause: error,
    });
  }
}
