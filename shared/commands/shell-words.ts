import type { Asker } from './asker.ts';

/** A word as it stands on the line, maybe unfinished. */
export interface TypedWord {
  readonly text: string;
  /** The quote that is still open. */
  readonly open: string;
}

/**
 * A word as bash would take it, as far as it goes. Nothing is expanded: `$(…)` is text. (bash(1), QUOTING; `$'…'` is left
 * as it stands.)
 */
export function readBashWord(raw: string): TypedWord {
  let text = '';
  let open = '';
  for (let index = 0; index < raw.length; index += 1) {
    const char = raw[index] ?? '';
    if (char === open) open = '';
    else if (open === "'") text += char;
    else if (char === '\\') {
      const next = raw[index + 1];
      const stays = open === '"' && next !== undefined && !'"\\$`'.includes(next);
      if (stays) text += char;
      else {
        text += next ?? '';
        index += 1;
      }
    } else if (open === '' && (char === "'" || char === '"')) open = char;
    else text += char;
  }
  return { text, open };
}

/** The same to PowerShell; a word that it has taken apart itself comes without quotes. */
export function readPowerShellWord(raw: string): TypedWord {
  const [, open = '', text = raw] = /^(["'‘’‚‛“”„])(.*)$/su.exec(raw) ?? [];
  return { text: open === '' ? text : text.replace(/["'‘’‚‛“”„]$/u, ''), open: '' };
}

/** Nobody's shell does anything with it. */
const plain = /^[A-Za-z0-9_./:@%+=,-]+$/;

/**
 * What is to be given back, so that the shell puts exactly this value on the line and runs nothing of it. Undefined for what
 * cannot be made safe there.
 *
 * @param open the quote within which the person is
 */
export function quoteFor(asker: Asker, value: string, open: string): string | undefined {
  switch (asker) {
    case 'zsh':
    case 'fish':
      // They quote what they put on the line, within whatever quotes stand there.
      return value;
    case 'bash':
      if (open !== '') return /^[\p{L}\p{N}_ ./:@%+=,-]+$/u.test(value) ? value : undefined;
      return value.replace(/[^\p{L}\p{N}_./:@%+=,-]/gu, String.raw`\$&`);
    case 'powershell':
      // To PowerShell the typographic quotes are quotes as well.
      return plain.test(value) && !/^[@%]|,/.test(value) ? value : `'${value.replace(/['‘’‚‛]/gu, '$&$&')}'`;
    case 'kubectl':
      return plain.test(value) ? value : undefined;
  }
}
