import { KleisError } from '../../shared/errors.ts';
import type { Claims, JsonValue } from '../../shared/jwt.ts';
import { claimOf } from '../../shared/jwt.ts';
import { isObject } from '../../shared/json.ts';
import { clean, shown } from '../../shared/text.ts';

/** A claim as the token calls it, or the way to one within another. */
export type Path = readonly [string, ...string[]];

/** Where a name comes from. */
export interface MappedClaim {
  readonly path: Path;
  /** Stands before every name of the provider. */
  readonly prefix: string;
}

/** As a person writes it. */
export function spellPath(path: readonly string[]): string {
  return clean(path.join('.'), 200);
}

const maxName = 200;
/** A way is written with dots between plain names. Anything else, such as a URL, is one name. */
const dotted = /^[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+$/;

/**
 * The claim that a person means. A token knows best: a name with dots may be one claim, or lead into another.
 *
 * @param flag how the person said it
 * @throws KleisError `usage`
 */
export function readPath(text: string, flag: string, claims?: Claims): Path {
  if (text === '' || text.length > maxName || clean(text, maxName) !== text) {
    throw new KleisError('usage', `${flag} ${shown(text, 80)} is no name of a claim.`, {
      hint: `Give a name of at most ${maxName} characters, all of which can be seen.`,
    });
  }
  if (claims !== undefined && claimOf(claims, text) !== undefined) return [text];
  return dotted.test(text) ? (text.split('.') as [string, ...string[]]) : [text];
}

export function valueAt(claims: Claims, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = claims;
  for (const name of path) {
    if (!isObject(value)) return undefined;
    value = claimOf(value, name);
  }
  return value;
}

/**
 * What stands before the names of a provider. Throws `usage` for one that would make them names of Kubernetes itself:
 * whoever the provider puts into its group `masters` would be of `system:masters`.
 */
export function readPrefix(text: string, flag: string): string {
  const hint = 'Give one such as oidc: that nothing else in the cluster begins with.';
  if (text.length > maxName || clean(`x${text}x`, maxName + 2) !== `x${text}x`) {
    throw new KleisError(
      'usage',
      `${flag} ${shown(text, 80)} is no prefix: it is too long, or holds what cannot be seen.`,
      {
        hint,
      },
    );
  }
  if (/^system:/i.test(text)) {
    throw new KleisError(
      'usage',
      `${flag} ${shown(text, 80)} begins with system:, and such names are Kubernetes' own: the provider could make its people system:masters.`,
      { hint },
    );
  }
  return text;
}

/** A name of the provider could go on from there to `system:masters`. */
export function leavesSystemOpen(prefix: string): boolean {
  return 'system:'.startsWith(prefix);
}
