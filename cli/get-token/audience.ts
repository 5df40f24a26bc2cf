import { KleisError } from '../../shared/errors.ts';
import { withoutLastSlash } from '../../shared/net/url.ts';
import { shellWord } from '../../shared/shell.ts';
import { clean } from '../../shared/text.ts';
import type { BrokerClient } from '../broker/client.ts';
import type { Identity } from '../identity/identity.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import type { Deps } from '../surroundings/deps.ts';

/**
 * Whom the token of a platform must be for, known before it is asked for or sent: what the person or the kubeconfig says,
 * else the broker's own URL. A broker that could name any audience could have tokens for whoever else trusts the
 * platform (decision 26).
 *
 * @param broker undefined where the token goes to the cluster as it is: then somebody has said an audience
 * @throws KleisError `subject_audience` where the broker names another than its URL, and what the broker says
 */
export async function audienceOf(
  { audience, broker: settings }: AmbientSettings,
  { issuer }: Identity,
  broker: BrokerClient | undefined,
  { platform }: Pick<Deps, 'platform'>,
): Promise<string> {
  if (audience !== undefined) return audience;
  if (broker === undefined || settings === undefined) throw new Error('No audience is given, and no broker.');
  const issuers = await broker.issuers();
  const fitting = issuers.filter((known) => known.issuer === issuer || known.issuer.startsWith(`${issuer}/`));
  const named = [...new Set((fitting.length > 0 ? fitting : issuers).map((known) => known.audience))];
  const own = named.find((each) => URL.canParse(each) && withoutLastSlash(new URL(each).href) === settings.url);
  if (own !== undefined) return own;
  const [first = 'AUDIENCE'] = named;
  const list =
    named.length === 0
      ? 'no audience'
      : `the audience ${named
          .slice(0, 8)
          .map((each) => clean(each))
          .join(' or ')}`;
  throw new KleisError(
    'subject_audience',
    `The broker at ${clean(settings.url)} names ${list}, not its own URL ${clean(settings.url)}: a token for that might be for somebody else.`,
    {
      hint:
        `If it is this broker's, say so: --audience ${shellWord(first, platform)}, or in config.yaml ` +
        `\`brokerAudiences: { ${JSON.stringify(settings.url)}: ${JSON.stringify(clean(first))} }\`.`,
    },
  );
}
