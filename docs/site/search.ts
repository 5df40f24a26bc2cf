import MiniSearch from 'minisearch';
import type { PageText } from './page-text.ts';
import { addressOf } from './pages.ts';

const options = {
  fields: ['heading', 'page', 'text'],
  storeFields: ['url', 'heading', 'page'],
  searchOptions: { boost: { heading: 4, page: 1.5 } },
};

/** A script that leaves the index of all sections in `kleisIndex`, and how it is to be read. */
export function searchIndex(pages: ReadonlyMap<string, PageText>): string {
  const index = new MiniSearch(options);
  for (const [file, { title, sections }] of pages) {
    for (const { id, heading, text } of sections) {
      const url = `${addressOf(file)}${id === '' ? '' : `#${id}`}`;
      index.add({ id: url, url, heading, page: title, text });
    }
  }
  return `window.kleisIndex = ${JSON.stringify({ index, options })};\n`;
}
