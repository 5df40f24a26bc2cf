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
  /** What the line above it calls it, such as `.gitlab-ci.yml`; undefined where that names no file. */
  readonly file: string | undefined;
  readonly text: string;
}

export interface Page {
  readonly page: string;
  readonly text: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The pages that a user reads. Decisions are of their day. */
export function pages(): Page[] {
  const names = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith('decisions/'))
    .toSorted();
  return ['README.md', ...names.map((name) => `docs/${name}`)].map((page) => ({
    page,
    text: readFileSync(join(root, page), 'utf8'),
  }));
}

/** Every fenced block of the pages that a user reads. */
export function examples(): Example[] {
  return pages().flatMap(examplesIn);
}

function examplesIn({ page, text }: Page): Example[] {
  const found: Example[] = [];
  let heading = '';
  let above = '';
  let open: { line: number; language: string; file: string | undefined; lines: string[] } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const [, language] = /^```(\w*)$/.exec(line) ?? [];
    if (language === undefined) {
      if (open !== undefined) open.lines.push(line);
      else heading = /^#+ (.+)$/.exec(line)?.[1] ?? heading;
    } else if (open === undefined) {
      open = { line: index + 1, language, file: fileNamed(above), lines: [] };
    } else {
      const { lines, ...where } = open;
      found.push({ page, heading, ...where, text: `${lines.join('\n')}\n` });
      open = undefined;
    }
    if (line !== '') above = line;
  }
  return found;
}

/** "Then `web.yaml`, in the folder:" */
function fileNamed(line: string): string | undefined {
  if (!line.endsWith(':')) return undefined;
  return [...line.matchAll(/`([\w./-]+\.(?:ya?ml|tf|json)|Jenkinsfile)`/g)].at(-1)?.[1];
}
