import { KleisError } from '../../shared/errors.ts';
import { clean, shown } from '../../shared/text.ts';
import { loadConfig, type PersonConfig } from '../settings/person.ts';
import { type ContextSettings, contextSettings } from '../settings/of-context.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import type { LogoutFlags } from '../settings/flags.ts';
import { removeCredentials, storeOf } from '../stores.ts';
import { noSession } from '../get-token/sources.ts';
import { keyOf } from '../session/open.ts';
import { resolveSettings, type Settings } from '../settings/sign-in.ts';
import { connect } from '../provider/provider.ts';
import { nameOf } from '../provider/tokens.ts';
import type { Session } from '../session/file-format.ts';
import type { SessionEntry, SessionStore } from '../session/contract.ts';
import { describeDifferences } from '../session/differences.ts';

// Longer than the revocation of two tokens may take.
const deadline = 60_000;

/** `kleis logout`: at the provider as far as it lets us, and on this machine in any case. */
export async function logout(flags: LogoutFlags, surroundings: Deps): Promise<void> {
  const isNamed = flags.context !== undefined || flags.kubeconfig !== undefined;
  const context = isNamed ? await contextSettings(flags, surroundings) : undefined;
  const deps = context?.deps ?? surroundings;
  const person = await loadConfig(deps);
  const store = storeOf(deps);
  try {
    const all = await store.list();
    const differences = describeDifferences(all);
    for (const entry of await choose(flags, context, all, person, deps)) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other, so that each line is about one session
      await endSession(entry, { difference: differences.get(entry.key), store, person, deps });
    }
    if (flags.all === true) for (const tag of Object.values(noSession)) removeCredentials(tag, deps);
  } finally {
    await store.close();
  }
}

async function choose(
  flags: LogoutFlags,
  context: ContextSettings | undefined,
  all: readonly SessionEntry[],
  person: PersonConfig,
  deps: Deps,
): Promise<readonly SessionEntry[]> {
  const { issuerUrl, account, session } = flags;
  const id = session === undefined ? '' : readId(session);
  let chosen = all.filter(({ key }) => key.startsWith(id));
  if (context !== undefined) {
    const key = await keyOf(resolveSettings(context.flags, context.extension, person.choices));
    chosen = chosen.filter((each) => each.key === key);
  }
  chosen = chosen.filter((each) => {
    const what = 'info' in each ? each.info.what : undefined;
    return (
      (issuerUrl === undefined || what?.issuerUrl === issuerUrl) && (account === undefined || what?.account === account)
    );
  });
  const narrowed = [context, issuerUrl, account, session].some((each) => each !== undefined);
  if (chosen.length > 1 && (!narrowed || session !== undefined) && flags.all !== true) {
    const differences = describeDifferences(chosen);
    const list = chosen
      .map((each) => `\n  ${shortOf(each.key)}  ${describe(each, differences.get(each.key))}`)
      .join('');
    throw new KleisError('usage', `There are ${chosen.length} sessions, and it is not said which to end:${list}`, {
      hint: 'Say which with --session and its id, --context, --issuer-url or --account, or --all.',
    });
  }
  if (chosen.length === 0)
    deps.report.info(`Nobody is signed in${narrowed ? ' there' : ''}, so there is nothing to end.`);
  return chosen;
}

/** As `kleis status -o wide` shows it. */
function shortOf(key: string): string {
  return key.slice(0, 12);
}

/** Throws `usage` for what can be no id. */
function readId(text: string): string {
  if (/^[0-9a-f]{1,64}$/.test(text)) return text;
  throw new KleisError('usage', `--session ${shown(text)} is no id of a session, nor the beginning of one.`, {
    hint: '`kleis status -o wide` shows the ids.',
  });
}

interface Ending {
  readonly difference: string | undefined;
  readonly store: SessionStore;
  readonly person: PersonConfig;
  readonly deps: Deps;
}

async function endSession(entry: SessionEntry, { difference, store, person, deps }: Ending): Promise<void> {
  const claim = await store.claim(entry.key, { deps, deadline, purpose: 'signing out' });
  let session: Session | undefined;
  try {
    session = 'info' in entry ? await store.load(entry.key) : undefined;
    // First here: a provider that does not answer must not keep anybody signed in on this machine.
    await store.remove(entry.key);
    removeCredentials(entry.key, deps);
  } finally {
    claim?.release();
  }
  deps.report.info(`Signed out: ${describe(entry, difference)}.`);
  if (session === undefined) return;
  try {
    await revoke(session, settingsOf(session, person), deps);
  } catch (error) {
    const { message } = toFailure(error, deps);
    deps.report.warn(`The provider could not be told: ${message} It may keep the session until that ends by itself.`);
  }
}

async function revoke({ tokens }: Session, settings: Settings, deps: Deps): Promise<void> {
  const provider = await connect(settings, deps);
  const { refreshToken, accessToken } = tokens;
  const results = [
    ...(refreshToken === undefined ? [] : [await provider.revoke(refreshToken, 'refresh_token')]),
    ...(accessToken === undefined ? [] : [await provider.revoke(accessToken, 'access_token')]),
  ];
  if (results.includes('unsupported')) {
    deps.report.info('This provider has no revocation (RFC 7009): what it issued ends by itself.');
  } else if (results.length > 0) {
    deps.report.info('The provider has revoked the tokens.');
  }
  const url = await provider.endSessionUrl();
  if (url !== undefined)
    deps.report.info(`To sign out of the provider in the browser as well, open ${clean(url.href, 2000)}`);
}

function settingsOf({ what }: Session, person: PersonConfig): Settings {
  return {
    ...resolveSettings({ issuerUrl: what.issuerUrl }, undefined, person.choices),
    ...what,
  };
}

function describe(entry: SessionEntry, difference?: string): string {
  if ('problem' in entry) return `${shortOf(entry.key)}, which cannot be read`;
  const { what, subject } = entry.info;
  const account = what.account === undefined ? '' : `, account ${what.account}`;
  const apart = difference === undefined ? '' : ` (${difference})`;
  return clean(`${nameOf(subject) ?? 'somebody'} at ${what.issuerUrl}${account}${apart}`, 300);
}
