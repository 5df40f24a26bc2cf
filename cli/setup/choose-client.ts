import { KleisError } from '../../shared/errors.ts';
import { widthOf } from '../../shared/table.ts';
import type { PersonChoices } from '../settings/gather.ts';
import { readFlags } from '../settings/gather.ts';
import { resolveSettings, type Settings } from '../settings/sign-in.ts';
import { betweenBlanks } from '../settings/values.ts';
import { tell } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { boldOn } from '../surroundings/report.ts';
import { type ProviderName, providerNames, type SetupFlags } from './flags.ts';
import { formatSections, type Section } from './guide.ts';
import { findProvider, type FoundProvider, lookAtToken, type SeenToken } from './look.ts';
import { answer, type Dialog, oneOf, yesOrNo } from './questions.ts';
import { guessProvider, scopesOf } from './registration.ts';
import { registrationSection, tokenSection } from './sections.ts';

/** The provider, and the client that people sign in with there. */
export interface ChosenClient {
  readonly provider: ProviderName;
  readonly found: FoundProvider;
  /** The flags of a sign-in, with the answers in place. */
  readonly flags: SetupFlags;
  /** Of who sits here, by their own configuration too. */
  readonly settings: Settings;
  /** Of everybody: what is registered, and what developers get. */
  readonly shared: Settings;
}

/** Which provider, which client, and what is asked for. */
export async function chooseClient(typed: SetupFlags, person: PersonChoices, dialog: Dialog): Promise<ChosenClient> {
  // What is wrong with a flag is no wrong answer.
  readFlags(typed);
  const resolve = (flags: SetupFlags) => resolveSettings(flags, undefined, person);
  const issuerUrl = { text: 'The URL of your provider, as it spells its issuer', flag: '--issuer-url' };
  const { found, issuer } = await answer(
    {
      ...issuerUrl,
      given: typed.issuerUrl,
      usual: undefined,
      check: async (text) => {
        const settings = resolve({ ...typed, issuerUrl: text });
        return { issuer: text, found: await findProvider(settings, dialog.deps) };
      },
    },
    dialog,
  );
  const provider = await answer(
    {
      text: `What it is (${providerNames.join(', ')})`,
      flag: '--provider',
      given: typed.provider,
      usual: guessProvider(issuer),
      check: oneOf(providerNames, '--provider'),
    },
    dialog,
  );
  const flags = { ...typed, issuerUrl: issuer };
  const clientId = await answer(
    {
      text: 'The client ID that Kleis is to have there',
      flag: '--client-id',
      given: typed.clientId,
      usual: 'kleis',
      check: (text) => resolve({ ...flags, clientId: text }).clientId,
    },
    dialog,
  );
  const scope = await answer(
    {
      text: 'Scopes to ask for, beside openid (- for none)',
      flag: '--scope',
      given: typed.scope?.join(' '),
      usual: scopesOf(provider, found.metadata.scopes_supported).join(' ') || '-',
      check: (text) =>
        text === '-'
          ? []
          : [...resolve({ ...flags, scope: [betweenBlanks(text, found.metadata.scopes_supported)] }).scopes].filter(
              (each) => each !== 'openid',
            ),
    },
    dialog,
  );
  const all = { ...flags, clientId, ...(scope.length > 0 && { scope }) };
  return { provider, found, flags: all, settings: resolve(all), shared: resolveSettings(all, undefined, {}) };
}

/** The token of who sits here; undefined where nobody signs in. */
export async function seeToken(
  { provider, settings, shared }: ChosenClient,
  flags: SetupFlags,
  dialog: Dialog,
): Promise<SeenToken | undefined> {
  if (!flags.signIn) return undefined;
  const { deps } = dialog;
  if (dialog.asks) {
    show(registrationSection(provider, shared), 1, deps);
    const signs = { text: 'Sign in there now, to see what comes (yes, no)', flag: '--no-sign-in', given: undefined };
    if (!(await answer({ ...signs, usual: 'yes', check: yesOrNo }, dialog))) return undefined;
  }
  try {
    const token = await lookAtToken(settings, deps);
    if (dialog.asks) show(tokenSection(token), 2, deps);
    return token;
  } catch (error) {
    const failure = toFailure(error, deps);
    if (!dialog.asks || failure.code === 'interrupted' || failure.code === 'unexpected') throw withWayOut(failure);
    tell(`${failure.message} ${failure.hint}`, deps);
    const goesOn = { text: 'Go on without a sign-in (yes, no)', flag: '--no-sign-in', given: undefined };
    if (await answer({ ...goesOn, usual: 'no', check: yesOrNo }, dialog)) return undefined;
    throw failure;
  }
}

/** Between the questions, what is to be known for the next. */
function show(section: Section, number: number, { stderr, env }: Deps): void {
  const text = formatSections([section], { columns: widthOf(stderr), first: number, bold: boldOn(stderr, env) });
  stderr.write(`\n${text}\n`);
}

function withWayOut(failure: KleisError): KleisError {
  if (!failure.code.startsWith('sign_in') && failure.code !== 'client_refused') return failure;
  const hint = `${failure.hint} Where the client is not registered yet: --no-sign-in says how, and gives advice from discovery alone.`;
  return new KleisError(failure.code, failure.message, { hint, cause: failure });
}
