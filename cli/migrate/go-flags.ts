/** How a Go program (pflag) takes the value of a flag. */
export type Kind =
  /** The last counts. */
  | 'text'
  | 'switch'
  /** Several, divided by commas as in CSV; repeated ones add up (StringSlice). */
  | 'list'
  /** As given, each time (StringArray). */
  | 'each'
  /** `name=value`, several divided by commas (StringToString). */
  | 'pairs';

export type FlagTable = Readonly<Record<string, Kind>>;

/** What a command line says: values by the names of flags, in the order in which they were first given. */
export interface Parsed {
  readonly flags: ReadonlyMap<string, readonly string[]>;
  /** Flags that are not in the table, without their values. */
  readonly unknown: readonly string[];
}

/**
 * Reads arguments as pflag does: `--name=value`, `--name value`, `--switch`, `-v1`. Whether a flag that is not in the table takes
 * the next argument nobody knows: it does if that looks like no flag.
 */
export function parseGoFlags(args: readonly string[], table: FlagTable): Parsed {
  const flags = new Map<string, string[]>();
  const unknown: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const [name, given] = split(args[at] ?? '');
    if (name === undefined) continue;
    const kind = Object.hasOwn(table, name) ? table[name] : undefined;
    if (kind === 'switch') {
      flags.set(name, [given ?? 'true']);
      continue;
    }
    const next = args[at + 1];
    const takesNext = given === undefined && next !== undefined && (kind !== undefined || !next.startsWith('-'));
    if (takesNext) at += 1;
    const value = given ?? (takesNext ? next : '');
    if (kind === undefined) unknown.push(name.length === 1 ? `-${name}` : `--${name}`);
    else if (kind === 'text') flags.set(name, [value]);
    else flags.set(name, [...(flags.get(name) ?? []), ...valuesOf(kind, value)]);
  }
  return { flags, unknown: [...new Set(unknown)] };
}

/** `-v1` is `-v 1` (pflag, shorthands). */
function split(arg: string): readonly (string | undefined)[] {
  const [, letter, attached] = /^-([A-Za-z])=?([^]*)$/.exec(arg) ?? [];
  if (letter !== undefined) return attached === '' ? [letter] : [letter, attached];
  const [, name, , value] = /^--([^=]+)(=([^]*))?$/.exec(arg) ?? [];
  return [name, value];
}

function valuesOf(kind: 'list' | 'each' | 'pairs', value: string): string[] {
  if (kind === 'each') return [value];
  // With one `=` pflag takes the whole for one pair, commas and all.
  if (kind === 'pairs' && value.split('=').length === 2) return [value.replace(/^"|"$/g, '')];
  return fields(value);
}

/** The fields of a line of CSV (RFC 4180). */
function fields(line: string): string[] {
  const found = line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g);
  return Array.from(found, ([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? '').filter(
    (field) => field !== '',
  );
}
