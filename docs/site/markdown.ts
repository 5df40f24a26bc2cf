import { posix } from 'node:path';
import { colour } from './colour.ts';
import type { Drawings } from './diagrams.ts';
import { addressOf, linkFrom, relativeTo } from './pages.ts';

/** What is used of markdown-it's tokens. */
export interface Token {
  type: string;
  tag: string;
  content: string;
  info: string;
  hidden: boolean;
  children: Token[] | null;
  attrGet(name: string): string | null;
  attrSet(name: string, value: string): void;
}
type Rule = (tokens: Token[], index: number, options: unknown, env: Environment) => string;
interface Environment {
  readonly page: { readonly inputPath: string };
}
/** What is used of markdown-it. */
export interface Markdown {
  enable(rule: string): void;
  core: { ruler: { push(name: string, rule: (state: State) => void): void } };
  renderer: { rules: Record<string, Rule> };
  utils: { escapeHtml(text: string): string };
}
interface State {
  tokens: Token[];
  env: Environment;
}

interface Surroundings {
  readonly pages: ReadonlySet<string>;
  readonly drawings: Drawings;
  /** Is told of each page before its links are changed. */
  readonly hear: (file: string, tokens: readonly Token[]) => void;
}

/** Teaches markdown-it what GitHub does with our pages, and what a site needs beside it. */
export function extend(markdown: Markdown, { pages, drawings, hear }: Surroundings): void {
  // Eleventy switches examples off that are indented.
  markdown.enable('code');
  markdown.core.ruler.push('site', ({ tokens, env }) => {
    const file = posix.normalize(env.page.inputPath);
    const seen = new Map<string, number>();
    for (const [index, token] of tokens.entries()) {
      if (token.type === 'heading_open') token.attrSet('id', slug(textOf(tokens[index + 1]), seen));
    }
    hear(file, tokens);
    for (const token of tokens) {
      for (const child of token.children ?? []) {
        const name = child.type === 'image' ? 'src' : 'href';
        const href = child.type === 'image' || child.type === 'link_open' ? child.attrGet(name) : null;
        if (href !== null) child.attrSet(name, linkFrom(file, href, pages));
      }
    }
  });
  const { rules } = markdown.renderer;
  const escapeHtml = (text: string) => markdown.utils.escapeHtml(text);
  // Marks of what is made from the code.
  rules['html_block'] = (tokens, index) => {
    const { content } = tokens[index]!;
    return /^\s*<!--[^]*?-->\s*$/.test(content) ? '' : content;
  };
  // Whoever has no mouse scrolls what has the focus.
  rules['table_open'] = () => '<div class="table" tabindex="0" role="group" aria-label="Table"><table>\n';
  let columns: string[] = [];
  rules['thead_open'] = (tokens, index) => {
    const end = tokens.findIndex(({ type }, place) => place > index && type === 'thead_close');
    columns = tokens.slice(index, end).flatMap((token) => (token.type === 'inline' ? [textOf(token)] : []));
    return '<thead>';
  };
  let column = 0;
  rules['tr_open'] = () => {
    column = 0;
    return '<tr>';
  };
  // Numbers stand at the right; a style within the page would be refused.
  const cell = (tag: string, token: Token | undefined, label: string) => {
    const right = token?.attrGet('style')?.includes('right') === true ? ' class="number"' : '';
    return `<${tag}${right}${label === '' ? '' : ` data-label="${escapeHtml(label)}"`}>`;
  };
  rules['th_open'] = (tokens, index) => cell(head(tokens[index + 1]), tokens[index], '');
  rules['th_close'] = (tokens, index) => `</${head(tokens[index - 1])}>`;
  rules['td_open'] = (tokens, index) => {
    column += 1;
    return cell('td', tokens[index], columns[column - 1] ?? '');
  };
  rules['table_close'] = () => '</table></div>\n';
  rules['code_block'] = (tokens, index) => block(colour(escapeHtml(tokens[index]!.content), 'sh'), 'sh');
  rules['fence'] = (tokens, index, _, env) => {
    const { info, content } = tokens[index]!;
    const language = info.trim();
    if (language === 'mermaid') {
      const folder = relativeTo(addressOf(posix.normalize(env.page.inputPath)), 'diagrams');
      return figure(block(escapeHtml(content), 'mermaid'), folder, drawings.get(content));
    }
    return block(colour(escapeHtml(content), language), language);
  };
}

/** A drawing for each scheme of colours; what it shows can be read below it. */
function figure(source: string, folder: string, drawing: string | undefined): string {
  if (drawing === undefined) return source;
  return `<figure><picture><source media="(prefers-color-scheme: dark)" srcset="${folder}/${drawing}-dark.svg">
<img src="${folder}/${drawing}-light.svg" alt="A diagram; its text is below."></picture>
<details><summary>The diagram as text</summary>${source}</details></figure>\n`;
}

/** A column without a name has no header. */
function head(token: Token | undefined): string {
  return token?.content === '' ? 'td' : 'th';
}

function block(html: string, language: string): string {
  const name = language === '' ? 'Text' : language;
  return `<pre${language === 'text' ? ' class="seen"' : ''} tabindex="0" role="group" aria-label="${name}"><code>${html}</code></pre>\n`;
}

/** The plain text of a heading or a paragraph. */
export function textOf(token: Token | undefined): string {
  return (token?.children ?? []).map(({ type, content }) => (type.endsWith('break') ? ' ' : content)).join('');
}

/** As GitHub makes it, so that one link works at both places. */
export function slug(text: string, seen: Map<string, number>): string {
  const plain = text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-');
  const times = seen.get(plain) ?? 0;
  seen.set(plain, times + 1);
  return times === 0 ? plain : `${plain}-${times}`;
}
