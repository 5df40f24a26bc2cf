/** Replaces what stands between `<!-- made: NAME -->` and `<!-- end -->`. */
export function replacePart(page: string, name: string, part: string): string {
  const begin = `<!-- made: ${name} -->`;
  const from = page.indexOf(begin);
  const to = page.indexOf('<!-- end -->', from);
  if (from === -1 || to === -1) throw new Error(`the page has no part ${begin} … <!-- end -->`);
  return `${page.slice(0, from + begin.length)}\n\n${part.trim()}\n\n${page.slice(to)}`;
}
