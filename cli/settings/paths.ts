import { posix, win32 } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';

type Env = Deps['env'];

/** Where this person's sessions and credentials live. */
export interface Places {
  /** Undefined: nowhere, as with `--cache none`. */
  readonly state: string | undefined;
  /** The first that can be used is used. */
  readonly credentials: readonly string[];
}

/** @throws KleisError `config_invalid` if `KLEIS_STATE_DIR` or `KLEIS_CACHE_DIR` is not absolute */
export function placesOf({ env, platform }: Pick<Deps, 'env' | 'platform'>): Places {
  return { state: stateDir(env, platform), credentials: credentialDirs(env, platform) };
}

/**
 * Where sessions live: `KLEIS_STATE_DIR`, else `$XDG_STATE_HOME/kleis`, else `~/.local/state/kleis`; on Windows
 * `%LOCALAPPDATA%\kleis`. Undefined where nothing says: then nothing is kept.
 *
 * @throws KleisError `config_invalid` if `KLEIS_STATE_DIR` is not absolute
 */
export function stateDir(env: Env, platform: NodeJS.Platform): string | undefined {
  const named = namedFolder(env, platform, 'KLEIS_STATE_DIR');
  if (named !== undefined) return named;
  if (platform === 'win32') return below(platform, localAppData(env), 'kleis');
  return below(
    platform,
    absolute(env, platform, 'XDG_STATE_HOME') ?? below(platform, homeOf(env, platform), '.local', 'state'),
    'kleis',
  );
}

/**
 * Where credentials live, the likeliest first: `KLEIS_CACHE_DIR`, `$XDG_RUNTIME_DIR/kleis`, `$XDG_CACHE_HOME/kleis`,
 * `~/.cache/kleis`; on Windows `%LOCALAPPDATA%\kleis\credentials`. The launcher tries the same in the same order.
 *
 * @throws KleisError `config_invalid` if `KLEIS_CACHE_DIR` is not absolute
 */
export function credentialDirs(env: Env, platform: NodeJS.Platform): string[] {
  const usual =
    platform === 'win32'
      ? [below(platform, localAppData(env), 'kleis', 'credentials')]
      : [
          below(platform, absolute(env, platform, 'XDG_RUNTIME_DIR'), 'kleis'),
          below(platform, absolute(env, platform, 'XDG_CACHE_HOME'), 'kleis'),
          below(platform, homeOf(env, platform), '.cache', 'kleis'),
        ];
  const dirs = [namedFolder(env, platform, 'KLEIS_CACHE_DIR'), ...usual];
  return [...new Set(dirs.filter((dir) => dir !== undefined))];
}

/** The person's configuration: `$XDG_CONFIG_HOME/kleis/config.yaml`, else below `~/.config`; on Windows `%APPDATA%\kleis`. */
export function configFile(env: Env, platform: NodeJS.Platform): string | undefined {
  const base =
    platform === 'win32'
      ? (absolute(env, platform, 'APPDATA') ?? below(platform, homeOf(env, platform), 'AppData', 'Roaming'))
      : (absolute(env, platform, 'XDG_CONFIG_HOME') ?? below(platform, homeOf(env, platform), '.config'));
  return below(platform, base, 'kleis', 'config.yaml');
}

/** A relative one would mean another place in each working directory, and might be a stranger's checkout. */
function homeOf(env: Env, platform: NodeJS.Platform): string | undefined {
  return absolute(env, platform, 'HOME') ?? absolute(env, platform, 'USERPROFILE');
}

function localAppData(env: Env): string | undefined {
  return absolute(env, 'win32', 'LOCALAPPDATA') ?? below('win32', homeOf(env, 'win32'), 'AppData', 'Local');
}

function below(platform: NodeJS.Platform, base: string | undefined, ...names: string[]): string | undefined {
  if (base === undefined || base === '') return undefined;
  return (platform === 'win32' ? win32 : posix).join(base, ...names);
}

/** A variable that is not an absolute path is to be ignored: XDG Base Directory Specification, "Basics". */
function absolute(env: Env, platform: NodeJS.Platform, name: string): string | undefined {
  const value = env[name];
  if (value === undefined || value === '') return undefined;
  return (platform === 'win32' ? win32 : posix).isAbsolute(value) ? value : undefined;
}

// Our own variables are not ignored but refused: a relative one would mean another place in each working directory.
function namedFolder(env: Env, platform: NodeJS.Platform, name: string): string | undefined {
  const value = env[name];
  if (value === undefined || value === '') return undefined;
  const path = absolute(env, platform, name);
  if (path !== undefined) return path;
  throw new KleisError('config_invalid', `${name} is ${clean(value)}, which is not an absolute path.`, {
    hint: `Set ${name} to an absolute path, or unset it.`,
  });
}
