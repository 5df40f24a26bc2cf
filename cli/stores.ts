import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Asker, askerOf } from './credentials/asker.ts';
import { Credentials } from './credentials/cache.ts';
import { Failures } from './credentials/failures.ts';
import { openFolder } from './credentials/folder.ts';
import { replaceFile } from './files/draft.ts';
import { makePrivateFolder } from './files/private-folder.ts';
import { storageError } from './files/storage-error.ts';
import type { SessionStore } from './session/contract.ts';
import { openSessions } from './session/store.ts';
import { credentialDirs, placesOf } from './settings/paths.ts';
import type { Settings } from './settings/sign-in.ts';
import type { Deps } from './surroundings/deps.ts';
import { thisProcess } from './surroundings/process.ts';

export function openCredentials(deps: Deps, asker: Asker = askerOf(deps)): Credentials {
  const { state, credentials } = placesOf(deps);
  const elsewhere = state && join(state, 'sessions');
  return new Credentials({ candidates: credentials, elsewhere, deps, asker });
}

export function storeOf(deps: Deps, cache: Settings['cache'] = 'auto', background = false): SessionStore {
  const { state, credentials } = placesOf(deps);
  const { env, report, clock, signal } = deps;
  const runtimeDir = openFolder({ candidates: credentials, openToOthers: 'pass over' }, deps).usable();
  return openSessions({ cache, dir: state, runtimeDir, env, report, clock, background, signal });
}

/** What sign-ins failed with, beside the sessions; nothing is remembered where no session can be. */
export function openSignInFailures(deps: Deps, asker: Asker = askerOf(deps)): Failures {
  const { state } = placesOf(deps);
  const candidates = state === undefined ? [] : [join(state, 'sessions')];
  return new Failures(openFolder({ candidates, openToOthers: 'pass over' }, deps), asker, deps);
}

/**
 * Removes the credentials of a session from every folder that a process of this person may have kept them in: one from
 * cron knows no XDG_RUNTIME_DIR. To be called while the session's claim is held.
 */
export function removeCredentials(session: string, deps: Deps): void {
  const { env, platform } = deps;
  const usual = thisProcess.uid === undefined ? [] : [`/run/user/${thisProcess.uid}/kleis`];
  for (const dir of new Set([...credentialDirs(env, platform), ...usual])) {
    if (existsSync(dir)) new Credentials({ candidates: [dir], deps }).removeSession(session);
  }
}

/**
 * Notes which Node runs this, for a launcher that finds none on its PATH. Where nothing can be kept there is no note.
 */
export function noteNode(deps: Deps): void {
  const { state } = placesOf(deps);
  if (state === undefined || deps.platform === 'win32' || thisProcess.standalone !== undefined) return;
  const path = join(state, 'node');
  const text = `${thisProcess.node}\n`;
  try {
    if (existsSync(path) && readFileSync(path, 'utf8') === text) return;
    makePrivateFolder(state);
    replaceFile(path, text);
  } catch (error) {
    deps.report.debug(`Which Node runs this is not noted: ${storageError(error, 'write', path).message}`);
  }
}
