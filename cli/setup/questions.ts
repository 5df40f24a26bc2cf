import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { ask, requireTerminal } from '../surroundings/ask.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { SetupFlags } from './flags.ts';

/** Who answers what no flag says: a person, or with `--yes` the defaults. */
export interface Dialog {
  readonly asks: boolean;
  readonly deps: Deps;
}

const withDefaults = [
  '--provider',
  '--client-id',
  '--scope',
  '--no-sign-in',
  '--distribution',
  '--api-version',
  '--username-claim',
  '--username-prefix',
  '--groups-claim',
  '--groups-prefix',
  '--bind',
  '--context or --server',
  '--cluster-certificate-authority',
  '--output-dir',
];

/** Throws `usage` where nobody can answer. */
export function openDialog({ yes }: SetupFlags, deps: Deps): Dialog {
  if (yes === true) return { asks: false, deps };
  requireTerminal(
    'kleis setup asks',
    `Give --yes and --issuer-url; the default of every other question can be changed with ${withDefaults.join(', ')}.`,
    deps,
  );
  return { asks: true, deps };
}

export interface SetupQuestion<T> {
  readonly text: string;
  readonly flag: string;
  /** What was typed behind the flag. */
  readonly given: string | undefined;
  /** Undefined: there is no default. */
  readonly usual: string | undefined;
  readonly check: (answer: string) => T | Promise<T>;
}

/** What a flag says, else what a person answers, else the default. Throws `usage`, and what `check` throws. */
export async function answer<T>(
  { text, flag, given, usual, check }: SetupQuestion<T>,
  { asks, deps }: Dialog,
): Promise<T> {
  if (given !== undefined) return check(given);
  if (asks) return ask({ text, usual, check }, deps);
  if (usual !== undefined) return check(usual);
  throw new KleisError('usage', `Nothing says ${flag}, and it has no default.`, { hint: `Give ${flag}.` });
}

/** One of a few names. */
export function oneOf<T extends string>(names: readonly T[], flag: string): (answer: string) => T {
  return (text) => {
    const found = names.find((name) => name === text.toLowerCase());
    if (found !== undefined) return found;
    throw new KleisError('usage', `${flag} ${clean(text, 80)} is none of them.`, {
      hint: `Give one of ${names.join(', ')}.`,
    });
  };
}

/** A question that is answered with yes or no. */
export function yesOrNo(text: string): boolean {
  if (/^y(es)?$/i.test(text)) return true;
  if (/^no?$/i.test(text)) return false;
  throw new KleisError('usage', `${clean(text, 80)} is neither yes nor no.`, { hint: 'Type yes or no.' });
}
