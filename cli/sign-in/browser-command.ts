import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import type { Deps } from '../surroundings/deps.ts';

/** A program and its arguments, with the address in place of `{url}` or at the end. */
export type BrowserCommand = readonly string[];

/**
 * What the person has said that opens a browser: the configured command, else $BROWSER. One reading for all: where it makes
 * the browser the way to sign in, it is also what is run. Empty where nothing is said.
 */
export function browserCommands(
  configured: BrowserCommand | undefined,
  { env, platform }: Pick<Deps, 'env' | 'platform'>,
): readonly BrowserCommand[] {
  if (configured !== undefined && configured.length > 0) return [configured];
  // As sensible-browser and Python read it: a list, of which the first that works is taken; `%s` is the address.
  const list = (env['BROWSER'] ?? '').split(platform === 'win32' ? ';' : ':');
  return list.map(parse).filter(([program = '']) => program !== '' && !textBrowsers.has(basename(program)));
}

/** They need a terminal, and there is none to give. */
const textBrowsers = new Set(['w3m', 'lynx', 'links', 'links2', 'elinks', 'browsh', 'www-browser']);

function parse(entry: string): BrowserCommand {
  const text = entry.trim();
  // A path with blanks in it, as Windows has them.
  const words = text.includes(' ') && existsSync(text) ? [text] : text.split(/\s+/);
  return words.map((word) => word.replaceAll('%s', '{url}'));
}
