import { posix } from 'node:path';
import { type Token, textOf } from './markdown.ts';

export interface Section {
  /** Empty for what stands before the second heading. */
  readonly id: string;
  readonly heading: string;
  readonly text: string;
}

/** What the menu and the search know of a page. */
export interface PageText {
  readonly title: string;
  readonly description: string;
  readonly headings: readonly { readonly tag: string; readonly id: string; readonly text: string }[];
  readonly sections: readonly Section[];
  /** Pages that it links to as a whole, by its second-level headings. */
  readonly links: readonly { readonly heading: string; readonly title: string; readonly file: string }[];
}

/** @param tokens of a page whose headings have their ids, and whose links are as the file has them */
export function readPage(file: string, tokens: readonly Token[]): PageText {
  const headings: { tag: string; id: string; text: string }[] = [];
  const sections: { id: string; heading: string; text: string }[] = [];
  const links: { heading: string; title: string; file: string }[] = [];
  let title = '';
  let description = '';
  let group = '';
  for (const [index, token] of tokens.entries()) {
    const { type, tag, children, content } = token;
    if (type === 'heading_open') {
      const text = textOf(tokens[index + 1]);
      const id = token.attrGet('id') ?? '';
      if (tag === 'h1') title = text;
      else headings.push({ tag, id, text });
      if (tag === 'h2') group = text;
      sections.push({ id: tag === 'h1' ? '' : id, heading: text, text: '' });
      continue;
    }
    const isHeading = tokens[index - 1]?.type === 'heading_open';
    const section = sections.at(-1);
    if (isHeading || section === undefined) continue;
    const text = type === 'inline' ? textOf(token) : type === 'fence' || type === 'code_block' ? content : '';
    if (text !== '') section.text += `${text}\n`;
    if (type === 'inline' && description === '') description = text;
    for (const [place, child] of (children ?? []).entries()) {
      const href = child.type === 'link_open' ? (child.attrGet('href') ?? '') : '';
      if (!/^[^:#]*\.md$/.test(href)) continue;
      links.push({
        heading: group,
        title: children?.[place + 1]?.content ?? href,
        file: posix.join(posix.dirname(file), href),
      });
    }
  }
  return { title, description: description.slice(0, 200), headings, sections, links };
}
