import { clean } from '../../shared/text.ts';
import { type Directory, readDirectory } from '../broker/directory.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { type PersonChoices, readFlags } from '../settings/gather.ts';
import { ask, choose, tell } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type Offer, readOffers } from './offers.ts';
import { askServer, type Connect, withScheme } from './reach.ts';

/** An address that says all the rest. */
export interface Address {
  readonly url: string;
  readonly flags: SignInFlags;
}

/** More are chosen one by one. */
const mostAtOnce = 100;

/** The address of a broker, or of a server with its document; undefined if the company has none. Throws as `ask`. */
export async function askAddress(choices: PersonChoices, deps: Deps): Promise<Address | undefined> {
  const connect: Connect<Directory> = async (url, certificateAuthority) =>
    readDirectory({ url, certificateAuthority, proxy: choices.proxy, deps });
  tell('\nIf your company runs a Kleis broker, or publishes /.well-known/kleis, its address says all the rest.', deps);
  const answer = await askServer<Directory, undefined>(
    async (reach) =>
      ask(
        {
          text: 'That address (Enter: there is none)',
          usual: '',
          check: async (typed) => (typed === '' ? undefined : reach(readFlags({ broker: withScheme(typed) }).broker!)),
        },
        deps,
      ),
    connect,
    deps,
  );
  if (answer === undefined) return undefined;
  const { address: url, authority, found } = answer;
  return { url, flags: { ...authorityFlag(authority), ...(await askIssuer(found, deps)) } };
}

function authorityFlag(authority: string | undefined): SignInFlags {
  return authority === undefined ? {} : { brokerCertificateAuthorityData: Buffer.from(authority).toString('base64') };
}

/** Where people sign in at a broker; of several the person says which. */
async function askIssuer({ broker, issuers }: Directory, deps: Deps): Promise<SignInFlags> {
  const people = issuers.filter((issuer) => issuer.sign_in !== undefined);
  if (broker === undefined || people.length < 2) return {};
  const choices = people.map(({ name, issuer }) => ({ name, more: issuer, value: issuer }));
  return { issuerUrl: await choose({ text: 'Where do you sign in', choices }, deps) };
}

/** What is the person's there, as far as they want it. Signs in at a broker. Throws as `readOffers` and `ask`. */
export async function askOffers(
  { url, flags }: Address,
  choices: PersonChoices,
  deps: Deps,
): Promise<readonly Offer[]> {
  const offers = await readOffers(url, flags, { yes: false, choices }, deps);
  const [first] = offers;
  if (offers.length === 1 && first !== undefined) {
    tell(`There is one for you: ${clean(first.context, 80)}, at ${clean(first.cluster.server)}.`, deps);
    return offers;
  }
  const all = { name: 'all', more: `the ${offers.length} below`, value: offers };
  const each = offers.map((offer) => ({ name: offer.context, more: offer.cluster.server, value: [offer] }));
  const some = offers.length <= mostAtOnce;
  return choose({ text: 'Which one', choices: some ? [all, ...each] : each, ...(some && { usual: 'all' }) }, deps);
}
