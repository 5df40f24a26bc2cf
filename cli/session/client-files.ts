import { createHash } from 'node:crypto';
import { dirname, join, relative } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { readAuthority } from '../../shared/net/certificates.ts';
import { clean } from '../../shared/text.ts';
import { readPrivate, writePrivate } from '../files/private-files.ts';
import { configFile, placesOf } from '../settings/paths.ts';
import { isAmbient, type Settings } from '../settings/sign-in.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import type { Deps } from '../surroundings/deps.ts';

/** Who names the file. */
interface Named {
  /** The person, on the command line: that is consent, and it is remembered. Else a kubeconfig does. */
  readonly byPerson: boolean;
  /** The terminal is ours to ask on. */
  readonly mayAsk: boolean;
}

/**
 * A kubeconfig can name any file as the secret of its client, and so have it sent to its issuer: secrets of other tools
 * are one line too. So a file that is not where Kleis' own lie, nor allowed in config.yaml, is asked about once for each
 * issuer, as a new cluster is (decision 27).
 *
 * @throws KleisError `config_invalid` where nobody can be asked, `sign_in_refused` for a no
 */
export async function allowClientFiles(
  settings: Settings | AmbientSettings,
  { byPerson, mayAsk }: Named,
  deps: Deps,
): Promise<void> {
  if (isAmbient(settings)) return;
  const { clientSecretFile, clientKeyFile, clientFiles, issuerUrl } = settings;
  const file = clientSecretFile ?? clientKeyFile;
  const config = configFile(deps.env, deps.platform);
  if (file === undefined || (config !== undefined && isBelow(file, dirname(config)))) return;
  if (clientFiles.some((allowed) => (allowed.endsWith('/') ? isBelow(file, allowed) : allowed === file))) return;
  const mark = await markOf(file, settings, deps);
  if (mark !== undefined && (await readPrivate(mark)) !== undefined) return;
  if (!byPerson) await ask(file, settings, mayAsk, config ?? 'config.yaml', deps);
  if (mark !== undefined) await writePrivate(mark, `${file}\n${issuerUrl}\n`);
}

async function ask(file: string, settings: Settings, mayAsk: boolean, config: string, deps: Deps): Promise<void> {
  const [name, issuer] = [clean(file, 400), clean(settings.issuerUrl)];
  const what = settings.clientKeyFile === undefined ? 'the secret' : 'the private key';
  if (!mayAsk) {
    const message = `The kubeconfig would use ${what} in ${name} at ${issuer}, which nobody has allowed. Nobody can be asked here.`;
    throw new KleisError('config_invalid', message, {
      hint: `If that is meant, write \`clientFiles: [${JSON.stringify(name)}]\` into ${clean(config, 400)}, or answer \`kleis login --context NAME\` in a terminal.`,
    });
  }
  const { askYesNo } = await import('../surroundings/ask.ts');
  if (await askYesNo(`The kubeconfig wants to use ${what} in ${name} at ${issuer}. Allow it?`, deps)) return;
  throw new KleisError('sign_in_refused', `The file ${name} was not allowed, so it is not used.`, {
    hint: 'Answer y if the file is for that provider.',
  });
}

/** Whose existence is the permission: for this file, issuer and authority. Undefined where nothing is kept. */
async function markOf(file: string, settings: Settings, deps: Deps): Promise<string | undefined> {
  const { state } = placesOf(deps);
  if (state === undefined || settings.cache === 'none') return undefined;
  const about = [file, settings.issuerUrl, (await readAuthority(settings.certificateAuthority)) ?? null];
  return join(state, `client-file-${createHash('sha256').update(JSON.stringify(about)).digest('hex').slice(0, 32)}`);
}

function isBelow(file: string, folder: string): boolean {
  const way = relative(folder, file);
  return way !== '' && !/^\.\.(?:[\\/]|$)/.test(way) && !/^(?:[a-z]:|[\\/])/i.test(way);
}
