import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from 'yaml';
import { clean } from '../../shared/text.ts';
import { unusableNames } from '../policy/parse-where.ts';
import { maxTotal } from './documents.ts';
import { type Content, createLines, type Entry, type Report, type TreeNode } from './tree.ts';

const maxAliases = 1000;

/**
 * The YAML documents of a text, as far as they are plain data; those without content (an empty file, a `---` with
 * nothing after it) are left out. Where something in it is none, that is told and nothing is left of the text.
 */
export function readAnyYaml(text: string, report: Report): TreeNode[] {
  let faulty = false;
  const refuse: Report = (at, message) => {
    faulty = true;
    report(at, message);
  };
  const lines = createLines(text);
  // Keys are compared here, where the fault can name both places.
  const parsed = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: false, schema: 'core', version: '1.2' });
  const documents: readonly Document.Parsed[] = Array.isArray(parsed) ? parsed : [];
  for (const document of documents) {
    for (const problem of [...document.errors, ...document.warnings]) {
      refuse(problem.pos[0], `is no valid YAML: ${clean(problem.message)}`);
    }
    checkNodes(document, text.length, refuse, (at) => lines.place(at).line);
  }
  if (faulty) return [];
  return documents.flatMap((document) => {
    const { contents } = document;
    if (contents === null || (isScalar(contents) && contents.value === null)) return [];
    return [{ at: startOf(contents), content: contentOf(contents, document) }];
  });
}

/** Refuses what YAML allows and plain data does not have. */
function checkNodes(document: Document.Parsed, length: number, refuse: Report, lineOf: (at: number) => number): void {
  let aliases = 0;
  let copied = length;
  visit(document, {
    Map: (_, map) => checkKeys(map, refuse, lineOf),
    Alias: (_, alias) => {
      aliases++;
      const target = alias.resolve(document);
      copied += (target?.range?.[2] ?? 0) - (target?.range?.[0] ?? 0);
      const at = startOf(alias);
      if (target === undefined)
        refuse(at, `is no valid YAML: there is no anchor &${clean(alias.source, 60)} before it`);
      else if (aliases === maxAliases + 1) refuse(at, `is one alias too many: there may be ${maxAliases}`);
      else if (copied > maxTotal) refuse(at, `makes the document larger than ${maxTotal / 1024 ** 2} MiB`);
      else if (hasAlias(target)) refuse(at, 'stands for a part that has an alias in it: write it out');
      else return undefined;
      return visit.BREAK;
    },
  });
}

function hasAlias(node: Node): boolean {
  let found = false;
  visit(node, {
    Alias: () => {
      found = true;
      return visit.BREAK;
    },
  });
  return found;
}

function checkKeys(map: YAMLMap, refuse: Report, lineOf: (at: number) => number): void {
  const seen = new Map<string, Node>();
  for (const { key, value } of pairsOf(map)) {
    if (!isScalar(key)) {
      refuse(startOf(key ?? value ?? map), 'is no name: a key is a plain text');
    } else if (typeof key.value !== 'string') {
      const kind = key.value === null ? 'missing' : typeof key.value;
      refuse(startOf(key), `is a ${kind} key: quote it ("${clean(key.source ?? key.value)}")`);
    } else if (key.value === '<<') {
      refuse(startOf(key), 'is no merge key in YAML 1.2: write the entries out');
    } else if (unusableNames.has(key.value)) {
      refuse(startOf(key), `"${key.value}" cannot be a name here`);
    } else {
      const first = seen.get(key.value);
      if (first === undefined) seen.set(key.value, key);
      else refuse(startOf(key), `"${clean(key.value)}" is there twice: first at line ${lineOf(startOf(first))}`);
    }
  }
}

/** Of what was checked: names are texts, no alias stands for what has one in it. */
function contentOf(node: Node | null, document: Document.Parsed): Content {
  const target = isAlias(node) ? (node.resolve(document) ?? null) : node;
  if (isMap(target)) {
    return new Map(
      pairsOf(target).map(({ key, value }): [string, Entry] => {
        const start = startOf(key);
        const written = isScalar(value) && value.range != null && value.range[1] > value.range[0];
        const content = contentOf(value, document);
        return [
          String((key as { value?: unknown }).value),
          { key: start, node: { at: written ? startOf(value) : start, content } },
        ];
      }),
    );
  }
  if (isSeq(target)) {
    return (target.items as Node[]).map((item) => ({ at: startOf(item), content: contentOf(item, document) }));
  }
  return isScalar(target) ? (target.value as Content) : null;
}

function pairsOf(map: YAMLMap): readonly Pair<Node, Node | null>[] {
  return map.items as Pair<Node, Node | null>[];
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}
