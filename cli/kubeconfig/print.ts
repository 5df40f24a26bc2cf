import { isObject } from '../../shared/json.ts';

/** How the lines around look, so that new ones look the same. */
export interface BlockStyle {
  /** Columns that a list's dashes stand right of its key: 0 as kubectl writes, else 2 or what the file has. */
  readonly listIndent: number;
}

// What no YAML parser takes for anything but text, also inside a flow collection: no `: `, ` #`, leading indicator,
// digit or word of YAML 1.1 that means a boolean or null.
const plain = /^(?:--)?[A-Za-z/][\w./:@+=-]*$/;
const word = /^(?:true|false|yes|no|on|off|y|n|null)$/i;

/** One line of YAML that means exactly this. */
export function printScalar(value: unknown): string {
  if (typeof value === 'string' && plain.test(value) && !word.test(value) && !value.endsWith(':')) return value;
  return printFlow(value);
}

/** Lines of block YAML from column 0 on; an empty list or mapping, or a scalar, is one line. */
export function printBlock(value: unknown, style: BlockStyle): string[] {
  if (Array.isArray(value) && value.length > 0) {
    return value.flatMap((item) => printBlock(item, style).map((line, index) => (index === 0 ? '- ' : '  ') + line));
  }
  if (isFilled(value)) return Object.entries(value).flatMap(([key, inner]) => printPair(key, inner, style));
  return [Array.isArray(value) || typeof value === 'object' ? printFlow(value) : printScalar(value)];
}

/** The lines of `key: value`. */
export function printPair(key: string, value: unknown, style: BlockStyle): string[] {
  const head = `${printScalar(key)}:`;
  const lines = printBlock(value, style);
  if (Array.isArray(value) && value.length > 0) return [head, ...indent(lines, ' '.repeat(style.listIndent))];
  if (isFilled(value)) return [head, ...indent(lines, '  ')];
  return [`${head} ${lines.join('')}`];
}

export function indent(lines: readonly string[], by: string): string[] {
  return lines.map((line) => by + line);
}

/** JSON, which is YAML's flow style as well: on one line, or on several if a unit of indentation is given. */
export function printFlow(value: unknown, unit?: string): string {
  if (unit !== undefined) return escape(JSON.stringify(value, undefined, unit));
  if (Array.isArray(value)) return `[${value.map((item) => printFlow(item)).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const pairs = Object.entries(value).map(([key, inner]) => `${printFlow(key)}: ${printFlow(inner)}`);
    return `{${pairs.join(', ')}}`;
  }
  return escape(JSON.stringify(value));
}

// JSON leaves as they are what YAML's quoted text must not hold, or folds.
function escape(json: string): string {
  return json.replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function isFilled(value: unknown): value is Record<string, unknown> {
  return isObject(value) && Object.keys(value).length > 0;
}
