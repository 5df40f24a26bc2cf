import { isErrorCode, KleisError } from '../../shared/errors.ts';
import type { CredentialFolder } from './folder.ts';
import { type CredentialKey, formatAssignments, parseAssignments } from './key.ts';

// What an attempt failed with is also the answer for those who waited for it, and for a while for the further calls of
// their parents: kubectl runs a plugin that fails up to six times. The launcher does the same (is_told, tell).

const lifetime = 20_000;

/** Leaves what `owner` failed with, whose parent is told already. */
export function noteFailure(
  folder: CredentialFolder,
  key: CredentialKey,
  who: { readonly owner: number; readonly parent: number },
  error: KleisError,
  now: number,
): void {
  folder.remove(`told-${key.name}`);
  const values = {
    O: String(who.owner),
    Q: String(who.parent),
    C: String(error.exitCode),
    K: error.code,
    X: error.message,
    H: error.hint,
    // As report.ts prints it, without colour.
    M: `error: ${error.message}\nnext:  ${error.hint}`,
  };
  folder.write(`failed-${key.name}`, formatAssignments(values), now + lifetime);
}

/** The failure that a process must report as its own: it waited for its owner, or its parent was told. */
export function findFailure(
  folder: CredentialFolder,
  key: CredentialKey,
  who: { readonly waitedFor: readonly number[]; readonly parent: number },
  now: number,
): KleisError | undefined {
  const stored = folder.read(`failed-${key.name}`);
  if (stored === undefined || stored.mtime <= now) return undefined;
  const values = parseAssignments(stored.text);
  const code = values.get('K') ?? '';
  const owner = values.get('O') ?? '';
  if (!isErrorCode(code)) return undefined;
  const told = `,${owner}-${who.parent}`;
  const waited = who.waitedFor.includes(Number(owner));
  const parentKnows = values.get('Q') === String(who.parent) || toldLines(folder, key).includes(told);
  if (!waited && !parentKnows) return undefined;
  if (!parentKnows) folder.append(`told-${key.name}`, `W=$W${told}\n`);
  return new KleisError(code, values.get('X') ?? '', { hint: values.get('H') ?? '' });
}

/** Nothing failed any more. */
export function forgetFailure(folder: CredentialFolder, key: CredentialKey): void {
  folder.remove(`failed-${key.name}`);
  folder.remove(`told-${key.name}`);
}

function toldLines(folder: CredentialFolder, key: CredentialKey): string[] {
  return (folder.read(`told-${key.name}`)?.text ?? '').split('\n').map((line) => line.replace('W=$W', ''));
}
