import type { Deps } from './deps.ts';
import type { Settings } from './settings.ts';
import { credentialDir, stateDir } from './store/files.ts';
import { openSessions, type SessionStore } from './store/sessions.ts';

/** Where this person's sessions and credentials live; undefined: nowhere, as with `--cache none`. */
export function placesOf(deps: Deps): { readonly state: string | undefined; readonly credentials: string | undefined } {
  const home = deps.env['HOME'] ?? deps.env['USERPROFILE'];
  return {
    state: stateDir(deps.env, deps.platform, home),
    credentials: credentialDir(deps.env, deps.platform, home),
  };
}

export function storeOf(deps: Deps, cache: Settings['cache'] = 'auto', background = false): SessionStore {
  const { state, credentials } = placesOf(deps);
  const { env, report, clock, signal } = deps;
  return openSessions({ cache, dir: state, runtimeDir: credentials, env, report, clock, background, signal });
}
