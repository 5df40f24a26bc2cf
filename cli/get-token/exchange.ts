import { KleisError } from '../../shared/errors.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { clean } from '../../shared/text.ts';
import type { BrokerClient } from '../broker/client.ts';
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
  const pem = await readAuthority(certificateAuthority);
  const memory = openNotes(placesOf(deps).credentials, deps).note('broker', [url, pem ?? '']);
  const { openBroker } = await import('../broker/client.ts');
  return openBroker({ url, certificateAuthority: pem, proxy, memory, deps });
}

/** What the broker gives for the token of a source. Throws what the broker says. */
export async function exchange(
  { grant, ttl }: BrokerSettings,
  broker: BrokerClient,
  { token, type, platform }: Source,
): Promise<ObtainedToken> {
  try {
    return await broker.exchange({ subject: token.token, subjectType: type, grant, ttl });
  } catch (error) {
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
