/** `npm run site`: the pages of docs as a site in `_site`. It works at any path of any server, and asks nobody else. */
import { cpSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { Eleventy, type Configuration } from '@11ty/eleventy';
import { build } from 'esbuild';
import { drawAll } from './diagrams.ts';
import { extend, type Markdown } from './markdown.ts';
import { type PageText, readPage } from './page-text.ts';
import { addressOf, listPages, relativeTo } from './pages.ts';
import { searchIndex } from './search.ts';

const entrance = 'docs/README.md';
const source = 'docs/site';

interface OfPage {
  readonly page: { readonly inputPath: string };
}

/** Builds it into `out`, which is made anew, and returns how many pages there are. Throws for a link to nothing. */
export async function buildSite(out: string): Promise<number> {
  rmSync(out, { recursive: true, force: true });
  const pages = new Set(listPages());
  const texts = new Map<string, PageText>();
  const { names: drawings, done: drawn } = drawAll(pages, join(out, 'diagrams'));
  const eleventy = new Eleventy('.', out, {
    quietMode: true,
    config(config: Configuration) {
      config.setIncludesDirectory(source);
      config.setTemplateFormats(['md']);
      config.addPreprocessor('pages', 'md', ({ page }: OfPage) => (pages.has(fileOf(page)) ? undefined : false));
      config.addGlobalData('layout', 'page.njk');
      // Pages say {{ … }} of Vault and GitHub, and mean it.
      config.addGlobalData('templateEngineOverride', 'md');
      config.addGlobalData(
        'permalink',
        () =>
          ({ page }: OfPage) =>
            addressOf(fileOf(page)),
      );
      config.amendLibrary('md', (markdown: Markdown) => {
        extend(markdown, {
          pages,
          drawings,
          hear: (file, tokens) => texts.set(file, readPage(file, tokens)),
        });
      });
      config.addNunjucksGlobal('about', (page: OfPage['page']) => about(fileOf(page), texts));
    },
  });
  eleventy.disableLogger();
  await Promise.all([eleventy.write(), drawn]);
  for (const name of readdirSync('docs', { recursive: true, encoding: 'utf8' })) {
    const file = join('docs', name);
    if (!file.startsWith(join(source, '/')) && !name.endsWith('.md') && statSync(file).isFile())
      cpSync(file, join(out, name));
  }
  writeFileSync(join(out, 'search-index.js'), searchIndex(texts));
  for (const name of ['site.css', 'icon.svg']) cpSync(join(source, name), join(out, name));
  await build({ entryPoints: [join(source, 'site.js')], outdir: out, bundle: true, minify: true, target: 'es2022' });
  return texts.size;
}

function fileOf({ inputPath }: OfPage['page']): string {
  return posix.normalize(inputPath);
}

/** What the frame of a page needs beside its content. All pages have been read when the first frame is made. */
function about(file: string, texts: ReadonlyMap<string, PageText>) {
  const from = addressOf(file);
  const links = texts.get(entrance)?.links ?? [];
  const titles = [...new Set(links.map(({ heading }) => heading))];
  const entriesOf = (title: string) =>
    links
      .filter(({ heading }) => heading === title)
      .map((link) => ({
        title: link.title,
        href: relativeTo(from, addressOf(link.file)),
        isHere: link.file === file,
      }));
  return {
    ...texts.get(file),
    file,
    root: '../'.repeat(from.split('/').length - 1),
    isEntrance: file === entrance,
    menu: titles.map((title) => ({ title, entries: entriesOf(title) })),
  };
}
