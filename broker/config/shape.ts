import packageJson from '../../package.json' with { type: 'json' };
import type { z } from 'zod';
import type { Steps } from '../../shared/steps.ts';
import { clean } from '../../shared/text.ts';
import { namesAt, schemaAt } from './json-schema.ts';
import { isObject } from '../../shared/json.ts';
import { nearest } from '../../shared/nearest.ts';
import type { Path } from '../policy/parse-where.ts';
import { type BrokerDocument, documentSchema, mergedSections } from './schema.ts';

type Issue = z.core.$ZodIssue;

export interface ShapeFault {
  readonly path: Path;
  readonly message: string;
  /** It is about the name, not about what stands there. */
  readonly key: boolean;
  /** Nothing stands at the path. */
  readonly missing?: boolean;
}

/**
 * Checks the shape. Where something is wrong with it, `document` is what remains without the faulty entries and with
 * stand-ins for what is missing, so that everything else can still be checked and all faults told at once; `dropped`
 * says which paths that concerns.
 */
export function* checkShape(value: Readonly<Record<string, unknown>>): Steps<{
  readonly faults: readonly ShapeFault[];
  readonly document: BrokerDocument | undefined;
  readonly dropped: readonly Path[];
}> {
  const parsed = yield* parseInSteps(value);
  if (parsed.document !== undefined) return { faults: [], document: parsed.document, dropped: [] };
  const faults = parsed.issues.flatMap((issue) =>
    explain(issue, []).map((fault) => ({ ...fault, missing: issue.input === undefined && issue.path.length > 0 })),
  );
  const dropped: Path[] = [];
  const rest = structuredClone(value) as Record<string, unknown>;
  // First only the faulty field goes; an entry that cannot do without it goes in the second round.
  for (const depth of [3, 2]) {
    const again = yield* parseInSteps(rest);
    if (again.document !== undefined) return { faults, document: again.document, dropped };
    for (const issue of again.issues) repair(rest, issue, depth, dropped);
  }
  return { faults, document: (yield* parseInSteps(rest)).document, dropped };
}

/** Entries that are parsed at once. */
const atOnce = 4;

/** As `documentSchema` says it of the whole: the entries of a section have nothing to do with one another. */
function* parseInSteps(
  value: Readonly<Record<string, unknown>>,
): Steps<{ readonly document: BrokerDocument | undefined; readonly issues: readonly Issue[] }> {
  const sections = mergedSections.filter((section) => isObject(value[section]));
  const empty = Object.fromEntries(sections.map((section) => [section, {}]));
  const whole = documentSchema.safeParse({ ...value, ...empty }, { reportInput: true });
  const issues: Issue[] = whole.success ? [] : [...whole.error.issues];
  const parts: Record<string, Record<string, unknown>> = {};
  for (const section of sections) {
    const part: Record<string, unknown> = {};
    const entries = Object.entries(value[section] as Readonly<Record<string, unknown>>);
    for (let from = 0; from < entries.length; from += atOnce) {
      const some = Object.fromEntries(entries.slice(from, from + atOnce));
      const parsed = documentSchema.shape[section].safeParse(some, { reportInput: true });
      if (parsed.success) Object.assign(part, parsed.data);
      else issues.push(...parsed.error.issues.map((issue) => ({ ...issue, path: [section, ...issue.path] })));
      yield;
    }
    parts[section] = part;
  }
  const document = whole.success && issues.length === 0 ? { ...whole.data, ...parts } : undefined;
  return { document, issues };
}

const standIns: Readonly<Record<string, unknown>> = {
  publicUrl: 'https://kleis.invalid',
  listen: { address: '127.0.0.1:0' },
  state: { memory: true },
  issuers: {},
  clusters: {},
  grants: {},
};

function repair(rest: Record<string, unknown>, issue: Issue, depth: number, dropped: Path[]): void {
  const path = issue.path as Path;
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys : undefined;
  if (unknown !== undefined && (path.length === 0 || path.length === 2)) {
    for (const name of unknown) remove(rest, [...path, name]);
    return;
  }
  const [section] = path;
  if (section === undefined) return;
  if (path.length > 1 && (mergedSections as readonly unknown[]).includes(section)) {
    const field = path.slice(0, issue.code === 'invalid_key' ? 2 : depth);
    remove(rest, field);
    dropped.push(field);
    return;
  }
  dropped.push([section]);
  if (Object.hasOwn(standIns, section)) rest[String(section)] = structuredClone(standIns[String(section)]);
  else Reflect.deleteProperty(rest, String(section));
}

function remove(from: Record<string, unknown>, path: Path): void {
  const parent = path
    .slice(0, -1)
    .reduce<unknown>((inner, key) => (isObject(inner) ? inner[String(key)] : undefined), from);
  if (isObject(parent)) Reflect.deleteProperty(parent, String(path.at(-1)));
}

function explain(issue: Issue, above: Path): ShapeFault[] {
  const path = [...above, ...(issue.path as Path)];
  const fault = (message: string, at: Path = path, key = false): ShapeFault => ({ path: at, message, key });
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((name) => fault(unknownName(name, path), [...path, name], true));
    case 'invalid_key':
      return [fault(`"${clean(path.at(-1), 80)}" ${issue.issues[0]?.message ?? 'is no name'}`, path, true)];
    case 'invalid_union':
      return explainUnion(issue, path);
    case 'invalid_type':
      return [fault(wrongType(issue.expected, issue.input, path), path, issue.input === undefined)];
    case 'invalid_value': {
      if (issue.input === undefined) return [fault(missing(path), path, true)];
      const choices = issue.values.map((choice) => (typeof choice === 'string' ? choice : String(choice)));
      return [
        fault(
          `is ${show(issue.input)}: write ${choices.join(', ').replace(/, (?=[^,]*$)/, ' or ')}${why(issue.input)}`,
        ),
      ];
    }
    case 'too_small':
    case 'too_big':
      return [fault(issue.origin === 'string' ? issue.message : limits(issue))];
    case 'invalid_format':
    case 'invalid_element':
    case 'not_multiple_of':
    case 'custom':
      return [fault(issue.message)];
  }
}

function limits(issue: Issue & { code: 'too_small' | 'too_big' }): string {
  if (issue.origin === 'array') return 'is an empty list: leave it out, or name something';
  return issue.code === 'too_small' ? `must be at least ${issue.minimum}` : `must be at most ${issue.maximum}`;
}

function why(input: unknown): string {
  const text = String(input).toUpperCase();
  if (text === 'NONE') return ' (a token without a signature proves nothing)';
  return text.startsWith('HS') ? ' (with HS… whoever can check a token can make one)' : '';
}

function unknownName(name: string, path: Path): string {
  const known = namesAt(path);
  const near = nearest(name, known);
  return `is not known to Kleis ${packageJson.version}: ${near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`}`;
}

/** Tells the faults of the alternative that was most likely meant: the one with the fewest. */
function explainUnion(issue: Issue & { code: 'invalid_union' }, path: Path): ShapeFault[] {
  if (issue.input === undefined) return [{ path, message: missing(path), key: true }];
  const fitting = issue.errors.filter(
    (errors) => !errors.some((error) => error.code === 'invalid_type' && error.path.length === 0),
  );
  const [best, second] = fitting.toSorted((left, right) => left.length - right.length);
  const ambiguous = best === undefined || (second !== undefined && second.length === best.length);
  if (!ambiguous) return best.flatMap((error) => explain(error, path));
  const schema = schemaAt(path);
  const choices = (schema?.anyOf ?? []).map((part) =>
    part.properties === undefined ? `a ${String(part['type'])}` : `{${Object.keys(part.properties).join(', ')}}`,
  );
  return [{ path, message: `is ${show(issue.input)}: write ${choices.join(' or ')}`, key: false }];
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
  int: 'a whole number',
  number: 'a number',
};

function wrongType(expected: string, input: unknown, path: Path): string {
  if (input === undefined) return missing(path);
  if (input === null)
    return `is empty: write ${typeNames[expected] ?? expected}${expected === 'record' ? ', {} for none' : ''}`;
  if (expected === 'string' && typeof input !== 'object')
    return `is a ${typeof input}, not a text: quote it ("${show(input)}")`;
  const unquoted =
    typeof input === 'string' && ['boolean', 'int', 'number'].includes(expected) ? ', without quotes' : '';
  return `is ${show(input)}: write ${typeNames[expected] ?? expected}${unquoted}`;
}

function missing(path: Path): string {
  const description = schemaAt(path)?.description;
  return `is missing${description === undefined ? '' : `. ${description}`}`;
}

function show(input: unknown): string {
  if (Array.isArray(input)) return 'a list';
  if (input === null) return 'empty';
  if (typeof input === 'object') return 'a mapping';
  return clean(typeof input === 'string' ? input : JSON.stringify(input), 60);
}
