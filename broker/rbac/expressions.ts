// Every value from the configuration gets into an expression through `literal`, never by itself.

/** A variable of a policy. */
export interface Variable {
  readonly name: string;
  readonly expression: string;
}

export type Entry = readonly [key: string, value: string | number];

// cel-go reads 100 000 characters of one expression at most, so a large table becomes several variables.
const longestExpression = 50_000;

/** A set of texts, or a mapping of them, as variables of a policy. An empty one is not there at all. */
export class Table {
  readonly #name: string;
  readonly #parts: readonly string[];

  constructor(name: string, entries: readonly (string | Entry)[]) {
    this.#name = name;
    const isList = typeof entries[0] === 'string';
    const parts: string[][] = [];
    let length = Number.POSITIVE_INFINITY;
    for (const entry of entries) {
      const text = typeof entry === 'string' ? literal(entry) : `${literal(entry[0])}: ${literal(entry[1])}`;
      const size = Buffer.byteLength(text) + 2;
      if (length + size > longestExpression) {
        parts.push([]);
        length = 0;
      }
      parts.at(-1)!.push(text);
      length += size;
    }
    this.#parts = parts.map((part) => (isList ? `[${part.join(', ')}]` : `{${part.join(', ')}}`));
  }

  variables(): Variable[] {
    return this.#parts.map((expression, index) => ({ name: this.#partName(index), expression }));
  }

  has(key: string): string {
    if (this.#parts.length === 0) return 'false';
    const terms = this.#parts.map((_, index) => `${key} in variables.${this.#partName(index)}`);
    return terms.length === 1 ? terms[0]! : `(${terms.join(' || ')})`;
  }

  /** Only where `has` holds. */
  get(key: string): string {
    const values = this.#parts.map((_, index) => `variables.${this.#partName(index)}[${key}]`);
    const last = values.pop() ?? "''";
    if (values.length === 0) return last;
    const choices = values.map((value, index) => `${key} in variables.${this.#partName(index)} ? ${value} : `);
    return `(${choices.join('')}${last})`;
  }

  #partName(index: number): string {
    return index === 0 ? this.#name : `${this.#name}${index + 1}`;
  }
}

/** A CEL literal; what JSON escapes, CEL reads the same. */
export function literal(value: string | number): string {
  if (typeof value === 'number') return String(value);
  if (/^[A-Za-z0-9 ._:/*@-]*$/.test(value)) return `'${value}'`;
  // Line separators of Unicode as Go's encoding of JSON writes them, which the chart's templates have.
  return JSON.stringify(value).replaceAll(/[\u2028\u2029]/g, (each) => (each === '\u2028' ? '\\u2028' : '\\u2029'));
}
