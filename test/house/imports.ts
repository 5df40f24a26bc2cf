import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** One file takes something from another; types count too, since whoever reads the one must know the other. */
export interface Import {
  readonly from: string;
  readonly to: string;
}

const specifier = /\bfrom\s+'(\.{1,2}\/[^']+)'|\bimport\(\s*'(\.{1,2}\/[^']+)'\s*[,)]|^import\s+'(\.{1,2}\/[^']+)'/gm;

/** All relative imports of these files: static, dynamic, re-exports, types. */
export function importsOf(files: readonly string[]): Import[] {
  return files.flatMap((from) => {
    const text = readFileSync(from, 'utf8');
    return [...text.matchAll(specifier)].map((found) => ({
      from,
      to: normalize(join(dirname(from), found[1] ?? found[2] ?? found[3] ?? '')),
    }));
  });
}

/** Those that can be reached from themselves, each circle once, as the way round. */
export function circlesOf(arrows: readonly Import[]): string[][] {
  const next = new Map<string, string[]>();
  for (const { from, to } of arrows) if (from !== to) next.set(from, [...(next.get(from) ?? []), to]);
  const circles: string[][] = [];
  const done = new Set<string>();
  const visit = (place: string, way: readonly string[]): void => {
    const met = way.indexOf(place);
    if (met !== -1) {
      circles.push([...way.slice(met), place]);
      return;
    }
    if (done.has(place)) return;
    for (const each of next.get(place) ?? []) visit(each, [...way, place]);
    done.add(place);
  };
  for (const place of next.keys()) visit(place, []);
  return circles;
}
