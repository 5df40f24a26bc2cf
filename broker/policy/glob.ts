/**
 * A glob in which `*` stands for any run of characters but `/` and `:`, the separators of refs, paths and subjects. All
 * else means itself; both ends are anchored; case matters.
 */
export interface Glob {
  readonly source: string;
  /** The literals between the stars, one array for each stretch between separators. */
  readonly segments: readonly (readonly string[])[];
  /** The separators between the segments. */
  readonly separators: string;
}

/** Longer ones are no patterns that somebody reviewed. */
const maxGlobLength = 256;

/** What is wrong with it, in words that say what to write; undefined if nothing is. */
export function globFault(source: string): string | undefined {
  if (source === '') return 'an empty glob matches nothing but an empty claim: write "" itself if that is meant';
  if (source.length > maxGlobLength) return `a glob has at most ${maxGlobLength} characters`;
  if (source.includes('**')) return '"**" is not known: "*" crosses neither "/" nor ":", write one "*" for each part';
  return undefined;
}

export function compileGlob(source: string): Glob {
  const separators = source.replaceAll(/[^/:]/g, '');
  return { source, separators, segments: source.split(/[/:]/).map((segment) => segment.split('*')) };
}

/**
 * Linear in the text. A star crosses no separator, so the text must have the glob's separators in the glob's order, and
 * each stretch is matched by itself: the first literal in front, the last at the end, the others as early as they come.
 */
export function matchGlob(glob: Glob, text: string): boolean {
  let start = 0;
  for (let index = 0; index < glob.segments.length; index++) {
    const end = nextSeparator(text, start);
    const last = index === glob.segments.length - 1;
    if (last ? end !== text.length : text[end] !== glob.separators[index]) return false;
    if (!matchSegment(glob.segments[index]!, text.slice(start, end))) return false;
    start = end + 1;
  }
  return true;
}

function nextSeparator(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '/' && text[at] !== ':') at++;
  return at;
}

function matchSegment(literals: readonly string[], text: string): boolean {
  const first = literals[0]!;
  if (literals.length === 1) return text === first;
  const last = literals.at(-1)!;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  let from = first.length;
  const end = text.length - last.length;
  for (let index = 1; index < literals.length - 1; index++) {
    const found = text.indexOf(literals[index]!, from);
    if (found === -1 || found + literals[index]!.length > end) return false;
    from = found + literals[index]!.length;
  }
  return true;
}
