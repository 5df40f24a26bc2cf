/** The known name that somebody most likely meant; undefined if none is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name.slice(0, 100));
  let best: string | undefined;
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of known.slice(0, 1000)) {
    const steps = distance(wanted, plain(candidate.slice(0, 100)));
    if (steps < least) [best, least] = [candidate, steps];
  }
  return best;
}

function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[-_.]/g, '');
}

/** Letters to insert, delete, replace, or to swap with the next (optimal string alignment). */
function distance(from: string, to: string): number {
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const swap = swapped ? before[j - 2]! + 1 : Infinity;
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + same, swap));
    }
    [before, row] = [row, next];
  }
  return row[to.length]!;
}
