import { flagNames, settingOf, verbose } from './table.ts';
import type { SignInFlags } from './flags.ts';

export interface GetTokenArguments {
  readonly flags: SignInFlags;
  readonly isVerbose: boolean;
}

/** First on the line, put there by the launcher; whoever else gives them gets less, never more. */
export function modeOf(args: readonly string[]): {
  readonly mode: 'normal' | 'background' | 'rejected';
  /** Without the launcher's own. */
  readonly rest: readonly string[];
} {
  const [first] = args;
  if (first === '--background') return { mode: 'background', rest: args.slice(1) };
  if (first === '--rejected') return { mode: 'rejected', rest: args.slice(1) };
  return { mode: 'normal', rest: args };
}

const byFlag = new Map(
  flagNames
    .filter((name) => settingOf(name).only !== 'login')
    .map((name) => [settingOf(name).flag?.split(' ')[0] ?? '', name] as const),
);

/**
 * Reads what `get-token` is given as commander would, where there is nothing to explain: loading commander takes longer
 * than all else that a token from the session needs. Undefined for whatever is not plainly right; commander has the words.
 */
export function readPlainArguments(args: readonly string[]): GetTokenArguments | undefined {
  const flags: Record<string, unknown> = {};
  let isVerbose = false;
  for (let index = 0; index < args.length; index += 1) {
    const argument = args[index] ?? '';
    if (argument === verbose[0] || argument === verbose[1]) {
      isVerbose = true;
      continue;
    }
    const equals = argument.indexOf('=');
    const name = byFlag.get(equals === -1 ? argument : argument.slice(0, equals));
    if (name === undefined) return undefined;
    const { isSwitch, choices, orElse, repeatable } = settingOf(name);
    if (isSwitch === true) {
      if (equals !== -1) return undefined;
      flags[name] = true;
      continue;
    }
    const value = equals === -1 ? args[(index += 1)] : argument.slice(equals + 1);
    if (value === undefined || (choices?.includes(value) === false && orElse !== true)) return undefined;
    const earlier = flags[name];
    flags[name] = repeatable === true ? [...(Array.isArray(earlier) ? earlier : []), value] : value;
  }
  return { flags, isVerbose };
}
