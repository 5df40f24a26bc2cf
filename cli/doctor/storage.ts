import { join } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { openFolder } from '../credentials/folder.ts';
import { checkFolder, checkWritable } from '../files/private-folder.ts';
import { openKeyring } from '../session/keyring.ts';
import { placesOf } from '../settings/paths.ts';
import type { Settings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { toFailure } from '../surroundings/failure.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

/** Where sessions and credentials are kept, and whether that is ours alone. */
export function checkStorage({ cache }: Pick<Settings, 'cache'>, deps: Deps): DoctorFinding[] {
  if (cache === 'none') return [ok('storage', 'Nothing is kept (cache: none): each kubectl signs in.')];
  const { state, credentials } = placesOf(deps);
  const findings: DoctorFinding[] = [];
  if (state === undefined) {
    findings.push(
      unknown('storage', 'Sessions are not kept: neither KLEIS_STATE_DIR nor HOME says where they could be.', {
        next: 'Set HOME, or KLEIS_STATE_DIR to a folder of your own.',
      }),
    );
  } else findings.push(checkState(state, deps));
  const folder = openFolder({ candidates: credentials, openToOthers: 'pass over' }, deps);
  const usable = folder.usable();
  const why = folder.passedOver().map((each) => clean(each, 400));
  if (usable === undefined) {
    findings.push(
      warning('storage', 'storage_unavailable', 'Credentials are not kept, so that each kubectl is slow.', {
        why: why.join(' '),
        next: 'Set KLEIS_CACHE_DIR to a folder of your own.',
      }),
    );
  } else {
    const passed = why.length === 0 ? {} : { why: why.join(' ') };
    findings.push(ok('storage', `Credentials are kept in ${clean(usable, 400)}.`, passed));
  }
  return findings;
}

function checkState(state: string, deps: Deps): DoctorFinding {
  try {
    for (const folder of [state, join(state, 'sessions')]) if (checkFolder(folder)) checkWritable(folder);
    return ok('storage', `Sessions are kept in ${clean(state, 400)}.`);
  } catch (error) {
    return failed('storage', toFailure(error, deps));
  }
}

/** Whether the keyring takes a secret now; it may ask for its password. */
export async function checkKeyring({ cache }: Pick<Settings, 'cache'>, deps: Deps): Promise<DoctorFinding> {
  if (cache === 'file' || cache === 'none') return ok('keyring', `It is not used (cache: ${cache}).`);
  const { env, report, clock, signal } = deps;
  const giveUp = deps.stdin.isTTY ? 60_000 : 10_000;
  const keyring = openKeyring({
    env,
    report,
    background: false,
    openMark: undefined,
    now: () => clock.now(),
    signal,
    limits: { notice: 2_000, giveUp },
  });
  try {
    await keyring.check();
    return ok('keyring', 'It is open and takes secrets.');
  } catch (error) {
    const failure = toFailure(error, deps);
    if (cache === 'keyring') return failed('keyring', failure);
    return warning('keyring', failure.code, failure.message, {
      why: 'Sessions are kept in files that only you can read.',
      next: failure.hint,
    });
  } finally {
    keyring.close();
  }
}

/** For what cannot even be told where it would be. */
export function placesFault(deps: Deps): DoctorFinding | undefined {
  try {
    placesOf(deps);
    return undefined;
  } catch (error) {
    if (error instanceof KleisError) return failed('storage', error);
    throw error;
  }
}
