import { clean } from '../../shared/text.ts';
import { describeSettings } from '../settings/origins.ts';
import { loadConfig } from '../settings/person.ts';
import { contextSettings } from '../settings/of-context.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { LoginFlags } from '../settings/flags.ts';
import { noteNode, openSignInFailures, removeCredentials, storeOf } from '../stores.ts';
import { scriptOf } from '../credentials/asker.ts';
import { whoIs } from '../provider/tokens.ts';
import { allowClientFiles } from '../session/client-files.ts';
import { openSession } from '../session/open.ts';
import { resolveSettings } from '../settings/sign-in.ts';

/** `kleis login`: a new sign-in, for a kubeconfig entry or for the provider that the flags name. */
export async function login(flags: LoginFlags, surroundings: Deps): Promise<void> {
  const entry = flags.issuerUrl === undefined ? await contextSettings(flags, surroundings) : undefined;
  const deps = entry?.deps ?? surroundings;
  const config = await loadConfig(deps);
  const person = config.choices;
  const choices =
    flags.browserCommand === undefined
      ? person
      : { ...person, browserCommand: flags.browserCommand.split(/\s+/).filter(Boolean) };
  const all = { ...entry?.flags, ...flags };
  deps.report.debug(describeSettings(all, entry?.extension, config));
  const settings = resolveSettings(all, entry?.extension, choices);
  const byPerson = (flags.clientSecretFile ?? flags.clientKeyFile) !== undefined;
  await allowClientFiles(settings, { byPerson, mayAsk: deps.stdin.isTTY }, deps);
  const store = storeOf(deps, settings.cache);
  try {
    const opened = await openSession({
      settings,
      deps,
      store,
      failures: openSignInFailures(deps, scriptOf(deps)),
      mode: 'sign-in',
      cluster: entry?.identity,
      interactive: deps.stdin.isTTY,
      allowPaste: true,
    });
    // Of another account, perhaps: what it left must not outlive the new sign-in.
    removeCredentials(opened.session.key, deps);
    noteNode(deps);
    opened.release();
    const { session } = opened;
    const who = whoIs(session.tokens.subject);
    const kept = {
      keyring: 'in the keyring',
      file: 'in a file that only you can read',
      memory: 'nowhere',
    };
    deps.report.info(
      `Signed in at ${clean(settings.issuerUrl)} as ${who}. The session is kept ${kept[session.storage]}.`,
    );
  } finally {
    await store.close();
  }
}
