import { Document, isScalar, Scalar, visit } from 'yaml';

// What readers of YAML 1.1 (Go's, PyYAML) and of YAML 1.2 take for the same text: no digit, no sign and no word of either
// that means a number, a boolean or null.
const plain = /^[A-Za-z/][\w./@-]*$/;
const word = /^(?:true|false|yes|no|on|off|y|n|null|nan|inf)$/i;
// A file within a file: lines of what can be seen, none of them empty.
const lines = /^[!-~][ -~]*\n(?: *[!-~][ -~]*\n)+$/;

/** Documents that every reader of YAML takes for the same, whoever chose the names in them. */
export function toYaml(...values: readonly unknown[]): string {
  return values.map(documentOf).join('---\n');
}

function documentOf(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_, node) {
      if (isScalar(node) && typeof node.value === 'string') node.type = styleOf(node.value);
    },
  });
  return document.toString({ lineWidth: 0 });
}

function styleOf(text: string): Scalar.Type {
  if (lines.test(text)) return Scalar.BLOCK_LITERAL;
  return plain.test(text) && !word.test(text) ? Scalar.PLAIN : Scalar.QUOTE_DOUBLE;
}
