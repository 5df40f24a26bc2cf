import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A fenced block of a page. */
export interface Example {
  readonly page: string;
  /** Of the line that opens it, counted from 1. */
  readonly line: number;
  readonly language: string;
  /** The heading above it. */
  readonly heading: string;
  readonly text: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Every fenced block of the pages that a user reads. */
export function examples(): Example[] {
  const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)];
  return pages
    .filter((page) => page.endsWith('.md'))
    .flatMap((page) => examplesIn(page, readFileSync(join(root, page), 'utf8')));
}

function examplesIn(page: string, text: string): Example[] {
  const found: Example[] = [];
  let heading = '';
  let open: { line: number; language: string; lines: string[] } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const [, language] = /^```(\w*)$/.exec(line) ?? [];
    if (language === undefined) {
      if (open !== undefined) open.lines.push(line);
      else heading = /^#+ (.+)$/.exec(line)?.[1] ?? heading;
    } else if (open === undefined) {
      open = { line: index + 1, language, lines: [] };
    } else {
      found.push({ page, line: open.line, language: open.language, heading, text: `${open.lines.join('\n')}\n` });
      open = undefined;
    }
  }
  return found;
}
