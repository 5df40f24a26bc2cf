import type { CredentialFolder } from './folder.ts';
import type { CredentialKey } from './key.ts';

// Nobody tells a plugin that its credential was refused (401): kubectl just asks again, and so does the launcher's guess.

// As many askers as are told apart; two that share a slot cost a wrong or a missed guess.
const slots = 64;

/** Notes with what `parent` is answered. True if it was answered with the same before. */
export function noteAnswer(folder: CredentialFolder, key: CredentialKey, parent: number, generation: string): boolean {
  // The launcher writes into its own for each call, also for those that it cannot answer.
  const slot = `asked-${key.own === true ? 'own-' : ''}${parent % slots}`;
  const answer = `#\nP=${parent} N=${key.name} L=${generation}\nreturn\n`;
  // Behind it there may be what is left of a longer one.
  const isSame = folder.read(slot)?.text.startsWith(answer) === true;
  folder.write(slot, answer);
  return isSame;
}

/** True while no refresh is to be forced. */
export function isForcedHeld(folder: CredentialFolder, key: CredentialKey, now: number): boolean {
  const mark = folder.read(`forced-${key.name}`);
  return mark !== undefined && mark.mtime > now;
}

/** No refresh is to be forced before then (milliseconds). */
export function holdForced(folder: CredentialFolder, key: CredentialKey, until: number): void {
  folder.write(`forced-${key.name}`, '', until);
}
