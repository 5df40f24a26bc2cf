import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { pages } from './examples.ts';

/** GitHub's own way from a heading to its anchor. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.replaceAll(/^```.*?^```$/gms, '').matchAll(/^#+ (.+)$/gm)].map(
    ([, heading = '']) => heading,
  );
  return new Set(
    headings.map((heading) =>
      heading
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

it('every link from page to page leads somewhere', () => {
  const dead = pages().flatMap(({ page, text }) => {
    const outside = text.replaceAll(/^```.*?^```$/gms, '').replaceAll(/`[^`\n]*`/g, '');
    return [...outside.matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].flatMap(
      ([link, to = '', anchor]) => {
        const target = to === '' ? page : join(dirname(page), to);
        if (!existsSync(target)) return [`${page}: ${link}`];
        if (anchor === undefined || !target.endsWith('.md')) return [];
        return anchorsOf(readFileSync(target, 'utf8')).has(anchor) ? [] : [`${page}: ${link}`];
      },
    );
  });
  expect(dead).toEqual([]);
});

it('every path of the sources that a page names is there', () => {
  const named = [...pages(), { page: 'CONTRIBUTING.md', text: readFileSync('CONTRIBUTING.md', 'utf8') }].flatMap(
    ({ page, text }) =>
      [...text.matchAll(/`((?:cli|broker|shared|test|site|docs)\/[\w./-]*)`/g)].map(([, path = '']) => ({
        page,
        path,
      })),
  );
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter(({ path }) => !existsSync(path))).toEqual([]);
});

it('every page of providers, clusters and CI is in the list of its folder', () => {
  for (const folder of ['providers', 'clusters', 'ci']) {
    const index = readFileSync(`docs/${folder}/README.md`, 'utf8');
    const names = readdirSync(`docs/${folder}`).filter((name) => name !== 'README.md');
    expect(names.filter((name) => !index.includes(`](${name})`))).toEqual([]);
  }
});

// In the tables of what goes wrong, a row that begins with a capital is Kleis's own; others' words stand between backticks.
it('what Kleis is quoted to say, it says', () => {
  const sources = ['cli', 'broker', 'shared'].flatMap((program) =>
    readdirSync(program, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(?:ts|mjs|sh|yml)$/.test(name))
      .map((name) => readFileSync(join(program, name), 'utf8')),
  );
  const said = sources.join('\n');
  // A message is put together of two parts at most, each of some words.
  const isSaid = (part: string) =>
    said.includes(part) ||
    [...part.matchAll(/ /g)].some(
      ({ index }) => index > 7 && said.includes(part.slice(0, index)) && said.includes(part.slice(index + 1)),
    );
  const quoted = pages()
    .filter(({ page }) => /^docs\/(?:providers|clusters|ci)\//.test(page))
    .flatMap(({ page, text }) => {
      const [, ...tables] = text.split(/^\| [^|\n]*says? \| what to do \|\n/m);
      const rows = tables.flatMap((table) => (/^(?:\|.*\n)+/.exec(table)?.[0] ?? '').split('\n').slice(1));
      return rows.map((row) => ({ page, cell: /^\| ([^|]*) \|/.exec(row)?.[1] ?? '' }));
    })
    .filter(({ cell }) => /^(?:\p{Lu}|… )/u.test(cell));
  expect(quoted.length).toBeGreaterThan(25);
  const wrong = quoted.flatMap(({ page, cell }) =>
    cell
      .replaceAll(/`[^`]*`|\([^)]*\)/g, '…')
      .split('…')
      .map((part) => part.trim().replace(/\.$/, ''))
      .filter((part) => part.length > 7 && !isSaid(part))
      .map((part) => `${page}: ${part}`),
  );
  expect(wrong).toEqual([]);
});
