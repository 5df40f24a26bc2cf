import { existsSync, readdirSync, statSync } from 'node:fs';
import { posix } from 'node:path';

/** Where the repository is read on the web: what a page names that is no page. */
const repository = 'https://github.com/kleis-dev/kleis/blob/main/';

/** The files of the repository that are pages, by their paths; `docs/README.md` is the entrance. */
export function listPages(): readonly string[] {
  const docs = readdirSync('docs', { recursive: true, encoding: 'utf8' }).map((name) => `docs/${name}`);
  const own = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'];
  return [...docs.filter((file) => file.endsWith('.md')), ...own].map((file) => file.replaceAll('\\', '/')).toSorted();
}

/** Where a page is in the site: `docs/README.md` is `index.html`, `docs/ci/gitlab.md` is `ci/gitlab.html`. */
export function addressOf(file: string): string {
  if (!file.startsWith('docs/')) return file === 'README.md' ? 'about.html' : file.toLowerCase().replace(/md$/, 'html');
  return file
    .slice('docs/'.length)
    .replace(/(^|\/)README\.md$/, '$1index.md')
    .replace(/md$/, 'html');
}

/** From one address of the site to another, so that it works at any place, and from a folder. */
export function relativeTo(from: string, to: string): string {
  return posix.relative(posix.dirname(from), to);
}

/**
 * What a link in `file` leads to in the site. A file of docs that is no page is copied; any other is read in the
 * repository. Throws where nothing is there.
 */
export function linkFrom(file: string, href: string, pages: ReadonlySet<string>): string {
  if (/^(?:[a-z]+:|#|$)/i.test(href)) return href;
  const [path = '', hash] = href.split('#', 2);
  const target = posix.join(posix.dirname(file), decodeURI(path)).replace(/\/$/, '');
  const end = hash === undefined ? '' : `#${hash}`;
  const index = posix.join(target, 'README.md');
  const page = pages.has(target) ? target : pages.has(index) ? index : undefined;
  if (page !== undefined) return relativeTo(addressOf(file), addressOf(page)) + end;
  if (target.startsWith('..') || !existsSync(target)) throw new Error(`${file} links to ${href}, which is not there`);
  if (target.startsWith('docs/') && statSync(target).isFile()) {
    return relativeTo(addressOf(file), target.slice('docs/'.length)) + end;
  }
  return `${repository}${target}${end}`;
}
