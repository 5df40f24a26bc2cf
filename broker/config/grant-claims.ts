import { type CompiledGrant, statesValues } from '../policy/compile.ts';
import { type Matcher, matches } from '../policy/match.ts';

// What a grant demands of a claim, as far as warnings ask.

function matchersOf(grant: CompiledGrant, name: string): readonly Matcher[] {
  return grant.claims
    .filter((claim) => claim.path.length === 1 && claim.path[0] === name)
    .map((claim) => claim.matcher);
}

export function states(grant: CompiledGrant, name: string): boolean {
  return matchersOf(grant, name).length > 0;
}

/** Some value or form is demanded of the claim, more than that it be there. */
export function narrows(grant: CompiledGrant, name: string): boolean {
  return matchersOf(grant, name).some((matcher) => leaves(matcher).length > 0);
}

/** The claim must have one of the values that are written out. */
export function pinned(grant: CompiledGrant, name: string): boolean {
  return matchersOf(grant, name).some(statesValues);
}

/** The claim is stated, and this value is one that meets it. */
export function answers(grant: CompiledGrant, name: string, value: string): boolean {
  return matchersOf(grant, name).some((matcher) => statesValues(matcher) && matches(matcher, value) === true);
}

/** Nothing in the grant's `where` stands against the claim having this value. */
export function accepts(grant: CompiledGrant, name: string, value: string | boolean): boolean {
  return matchersOf(grant, name).every((matcher) => matches(matcher, value) === true);
}

/** Runs for tags are pushes and releases; those of the events above are for branches. */
export function refIsTag(grant: CompiledGrant): boolean {
  return answers(grant, 'ref_type', 'tag') || matchersOf(grant, 'ref').some(isTagPattern);
}

function isTagPattern(matcher: Matcher): boolean {
  switch (matcher.kind) {
    case 'glob':
      return matcher.glob.source.startsWith('refs/tags/');
    case 'exact':
      return String(matcher.value).startsWith('refs/tags/');
    case 'anyOf':
      return matcher.of.every(isTagPattern);
    case 'allOf':
      return matcher.of.some(isTagPattern);
    case 'not':
    case 'exists':
    case 'contains':
    case 'nested':
      return false;
  }
}

/** What the condition does with a claim is not looked into: naming it is taken as having thought of it. */
export function conditionNames(grant: CompiledGrant, ...claims: readonly string[]): boolean {
  const source = grant.condition?.source ?? '';
  return claims.some((claim) => new RegExp(`\\b${claim}\\b`).test(source));
}

/** What a value is compared with in the end; what stands under a `not` is no demand and is left out. */
export function leaves(matcher: Matcher): Matcher[] {
  switch (matcher.kind) {
    case 'anyOf':
    case 'allOf':
      return matcher.of.flatMap(leaves);
    case 'contains':
      return leaves(matcher.of);
    case 'nested':
      return [...matcher.of.values()].flatMap(leaves);
    case 'not':
    case 'exists':
      return [];
    case 'exact':
    case 'glob':
      return [matcher];
  }
}
