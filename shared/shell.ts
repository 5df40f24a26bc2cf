import { clean } from './text.ts';

const plain = /^[\w./:@%+,-][\w./:@%+,=-]*$/;
/** What cmd.exe and PowerShell both take for text within quotes. */
const plainInQuotes = /^[\p{L}\p{N} ./:@+,=()~#_-]+$/u;

/**
 * A name that others may have chosen, as one word of a command that a person is told to copy: sh, bash, zsh and fish run
 * nothing of it. The shells of Windows agree on no quotes for all of it; there what they would act on is left for the
 * person to fill in, and everywhere what cannot be shown as it is: without its hidden marks it may be the name of another.
 */
export function shellWord(name: string, platform: NodeJS.Platform, max = 400): string {
  // No quotes keep a program from taking `--all` for a flag of its own.
  return name.startsWith('-') ? 'NAME' : shellFlag(name, platform, max);
}

/** As `shellWord`, of a word that is to be a flag: `--name=value`. */
export function shellFlag(name: string, platform: NodeJS.Platform, max = 400): string {
  const word = clean(name, max);
  if (word !== name) return 'NAME';
  if (plain.test(word)) return word;
  if (platform === 'win32') return plainInQuotes.test(word) ? `"${word}"` : 'NAME';
  // A backslash stays outside as well: to fish it means something within quotes too.
  return `'${word.replaceAll(/['\\]/g, (char) => `'\\${char}'`)}'`;
}
