// Control characters, line and paragraph separators, and the marks that reorder or hide text: what could rewrite a
// terminal's screen, forge a log line or disguise a name.
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]+/gu;

/**
 * Text from outside (an `error_description`, a claim, a server's answer) made fit for a terminal, a page or a log: one
 * line, no control or formatting characters, at most `max` characters.
 */
export function clean(text: unknown, max = 200): string {
  const line = String(text)
    .slice(0, max * 4)
    .replace(unsafe, ' ')
    .trim();
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}
