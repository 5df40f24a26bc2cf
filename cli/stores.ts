import { existsSync } from 'node:fs';
import type { Deps } from './surroundings/deps.ts';
import type { Settings } from './settings/sign-in.ts';
import { openCredentials } from './credentials/cache.ts';
import { openSessions, type SessionStore } from './session/store.ts';
import { credentialDir, placesOf } from './settings/paths.ts';

export function storeOf(deps: Deps, cache: Settings['cache'] = 'auto', background = false): SessionStore {
  const { state, credentials } = placesOf(deps);
  const { env, report, clock, signal } = deps;
  return openSessions({ cache, dir: state, runtimeDir: credentials, env, report, clock, background, signal });
}

/**
 * Removes the credentials of a session from every folder that a process of this person may have kept them in: one from
 * cron knows no XDG_RUNTIME_DIR. To be called while the session's claim is held.
 */
export function removeCredentials(session: string, deps: Deps): void {
  for (const dir of credentialDirs(deps)) {
    if (existsSync(dir)) openCredentials({ dir, deps }).removeSession(session);
  }
}

function credentialDirs({ env, platform }: Deps): Set<string> {
  const { KLEIS_CACHE_DIR: _named, ...unnamed } = env;
  const { XDG_RUNTIME_DIR: _runtime, ...withoutRuntime } = unnamed;
  const { XDG_CACHE_HOME: _cache, ...bare } = withoutRuntime;
  const usual = process.getuid === undefined ? undefined : `/run/user/${process.getuid()}/kleis`;
  const dirs = [env, unnamed, withoutRuntime, bare].map((each) => credentialDir(each, platform));
  return new Set([...dirs, usual].filter((dir) => dir !== undefined));
}
