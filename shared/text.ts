// Control characters, line and paragraph separators, and the marks that reorder or hide text: what could rewrite a
// terminal's screen, forge a log line or disguise a name.
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]+/gu;

/**
 * Text from outside (an `error_description`, a claim, a server's answer) made fit for a terminal, a page or a log: one
 * line, no control or formatting characters, at most `max` characters.
 */
export function clean(text: unknown, max = 200): string {
  const line = asText(text)
    .slice(0, max * 4)
    .replace(unsafe, ' ')
    .trim();
  return shorten(line, max);
}

/** Of whatever JSON or YAML gives: `String` throws for what says `toString` itself, and for lists deep in one another. */
export function asText(value: unknown): string {
  try {
    return String(value);
  } catch {
    return '(no text)';
  }
}

/** At most `max` characters, cut where it has more: not through the middle of one that takes two units. */
export function shorten(text: string, max: number): string {
  return text.length > max ? `${text.slice(0, max - 1).replace(/\p{Cs}$/u, '')}…` : text;
}

// What looks like nothing, or like a blank that it is not.
const unseen =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Variation_Selector}\u034f\u115f\u1160\u2800\u3164\uffa0]|(?! )\p{Zs}/gu;

/** What cannot be seen becomes `\u{200b}`, so that it can. Line ends too. */
export function revealUnseen(text: string): string {
  return text.replace(unseen, (char) => String.raw`\u{${char.codePointAt(0)?.toString(16)}}`);
}

/**
 * What a person typed or pasted, as `clean` shows it; in quotes, with nothing hidden, where it would look like something
 * else. But for the user and password of a URL, which the terminal need not keep.
 */
export function shown(text: unknown, max = 200): string {
  const typed = asText(text)
    .slice(0, max * 4)
    .replace(/:\/\/[^/?#\s]*@/g, '://…@');
  const revealed = revealUnseen(typed);
  if (revealed === typed && typed.trim() === typed && typed !== '') return clean(typed, max);
  return `"${shorten(revealed, max)}"`;
}

/** Lines no wider than `width`, broken at blanks; a word that is longer stays whole, so that it can be copied. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

// A command that a sentence ends with, or that stands in backticks: it is copied as one line.
const commands = /`[^`]*`|(?<=: )(?:kleis|kubectl|kleis-broker) .*$/g;
/** Stands for a blank that is none to break at. `clean` leaves none in text from outside. */
const bound = '\u0000';

/**
 * Text whose lines are no wider than a terminal, broken at blanks; what continues a line stands below its beginning. URLs
 * and commands stay whole. As it is where there is no `width`.
 */
export function fold(text: string, width: number | undefined, hanging = ''): string {
  if (width === undefined) return text;
  const one = (line: string): string => {
    if (line.length <= width) return line;
    const indent = /^ */.exec(line)?.[0] ?? '';
    const kept = line.slice(indent.length).replace(commands, (command) => command.replaceAll(' ', bound));
    const room = width - indent.length;
    const [first = ''] = wrap(kept, room);
    const rest = kept.slice(first.length + 1);
    const lines = rest === '' ? [] : wrap(rest, Math.max(8, room - hanging.length)).map((part) => hanging + part);
    return [first, ...lines].map((part) => indent + part.replaceAll(bound, ' ')).join('\n');
  };
  return text.split('\n').map(one).join('\n');
}

export function isOneOf<T extends string>(values: readonly T[], text: string | undefined): text is T {
  return (values as readonly (string | undefined)[]).includes(text);
}
