import * as fc from 'fast-check';

type Value = string | number | boolean | null | Value[] | { [key: string]: Value };
/** One of several, at random. */
type Pick = <T>(...among: readonly T[]) => T;
export type Mapping = Record<string, unknown>;

/** A kubeconfig as people, kubectl and other programs write them: the text, and what it means. */
export interface RandomKubeconfig {
  readonly text: string;
  readonly value: Mapping;
  readonly flow: boolean;
}

const words = fc.constantFrom(
  'true',
  'yes',
  'null',
  '~',
  '012',
  '1e3',
  '2001-01-01',
  '-',
  ': ',
  ' #x',
  '<<',
  '{}',
  'é',
  '"',
  "'",
);
const name = fc.oneof(
  { weight: 4, arbitrary: fc.stringMatching(/^[a-z][a-z0-9.@:/-]{0,20}$/) },
  { weight: 1, arbitrary: words },
  { weight: 1, arbitrary: fc.string({ minLength: 1, maxLength: 12 }) },
);
const text = fc.oneof(
  name,
  fc.constant('https://10.0.0.1:6443'),
  fc.constant('several words: in a row # here'),
  fc.constant(''),
);
const lines = fc.array(fc.stringMatching(/^[a-z]{1,8}( [a-z]{1,8}){0,2}$/), { minLength: 1, maxLength: 3 });
const extension = fc.record({
  extension: fc.record({ audience: text }),
  name: fc.constantFrom('x', 'client.authentication.k8s.io/exec'),
});

const cluster = fc.record(
  {
    server: text,
    'certificate-authority-data': fc.constant('LS0tLS1CRUdJTg=='),
    'insecure-skip-tls-verify': fc.boolean(),
    'proxy-url': fc.constant(''),
    extensions: fc.array(extension, { maxLength: 1 }),
  },
  { requiredKeys: ['server'] },
);
const user = fc.oneof(
  fc.record({ token: text }),
  fc.record({
    exec: fc.record(
      {
        apiVersion: fc.constant('client.authentication.k8s.io/v1'),
        args: fc.array(text, { maxLength: 3 }),
        command: fc.constantFrom('kleis-credential', 'other'),
        env: fc.array(fc.record({ name, value: text }), { maxLength: 2 }),
        installHint: lines.map((parts) => `${parts.join('\n')}\n`),
        interactiveMode: fc.constant('IfAvailable'),
        provideClusterInfo: fc.boolean(),
      },
      { requiredKeys: ['apiVersion', 'command', 'interactiveMode'] },
    ),
  }),
);
const context = fc.record({ cluster: name, user: name, namespace: name }, { requiredKeys: ['cluster', 'user'] });

function section(key: string, body: fc.Arbitrary<Value>): fc.Arbitrary<Value> {
  const entries = fc.uniqueArray(fc.tuple(name, body), { selector: ([each]) => each, maxLength: 3 });
  return fc.oneof(
    { weight: 4, arbitrary: entries.map((list) => list.map(([each, value]): Value => ({ [key]: value, name: each }))) },
    { weight: 1, arbitrary: fc.constant(null) },
  );
}

const model = fc.record(
  {
    apiVersion: fc.constant('v1'),
    clusters: section('cluster', cluster),
    contexts: section('context', context),
    'current-context': fc.oneof(fc.constant(''), name),
    kind: fc.constant('Config'),
    preferences: fc.constant({}),
    users: section('user', user),
  },
  { requiredKeys: [] },
);

export const randomKubeconfig: fc.Arbitrary<RandomKubeconfig> = fc.tuple(model, fc.nat()).map(([drawn, seed]) => {
  const pick = picker(seed);
  const value = shuffled(drawn, pick);
  const eol = pick('\n', '\n', '\r\n');
  const flow = pick(false, false, false, true);
  const body = flow ? flowDocument(value, pick) : blockDocument(value, pick);
  const start = pick('', '', '\uFEFF', '---\n', '# a comment\n', '\uFEFF# a comment\n\n---\n');
  const end = pick('\n', '\n', '', '\n\n# the end\n', '\n# the end');
  return { text: (start + body + end).replaceAll('\n', eol), value, flow };
});

// Of its own, so that the style stays while fast-check makes the content smaller (mulberry32).
function picker(seed: number): Pick {
  let state = seed;
  return (...among) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    const found = among[((mixed ^ (mixed >>> 14)) >>> 0) % among.length];
    if (found === undefined) return undefined as never;
    return found;
  };
}

function shuffled(value: { [key: string]: Value }, pick: Pick): { [key: string]: Value } {
  const keys = Object.keys(value);
  const result: { [key: string]: Value } = {};
  while (keys.length > 0) {
    const [key = ''] = keys.splice(pick(...keys.keys()), 1);
    result[key] = value[key] ?? null;
  }
  return result;
}

function flowDocument(value: Value, pick: Pick): string {
  const unit = pick(undefined, '  ', '    ', '\t');
  return JSON.stringify(value, undefined, unit);
}

function blockDocument(value: { [key: string]: Value }, pick: Pick): string {
  if (Object.keys(value).length === 0) return pick('', '{}');
  const indent = pick('', '', '', '  ');
  // A file that starts with white space in front of a comment or document marker would be another.
  return blockMap(value, pick)
    .map((line) => (line === '' ? '' : indent + line))
    .join('\n');
}

function blockMap(value: { [key: string]: Value }, pick: Pick): string[] {
  return Object.entries(value).flatMap(([key, inner], index) => {
    const before = index > 0 && rarely(pick) ? [pick('# between', '', '    # deeper')] : [];
    return [...before, ...blockPair(rarely(pick) ? JSON.stringify(key) : key, inner, pick)];
  });
}

function rarely(pick: Pick): boolean {
  return pick(true, false, false, false, false, false);
}

function blockPair(key: string, value: Value, pick: Pick): string[] {
  const comment = rarely(pick) ? ' # said aside' : '';
  if (Array.isArray(value) && value.length > 0 && !rarely(pick)) {
    const indent = pick('', '', '  ', '    ');
    const gap = pick(' ', ' ', '   ');
    return [`${key}:${comment}`, ...value.flatMap((item) => blockItem(item, indent, gap, pick))];
  }
  if (isFilled(value) && !rarely(pick)) {
    const indent = ' '.repeat(pick(2, 2, 4));
    return [`${key}:${comment}`, ...blockMap(value, pick).map((line) => (line === '' ? '' : indent + line))];
  }
  if (typeof value === 'string' && /^[a-z].*\n$/s.test(value)) {
    const indent = ' '.repeat(pick(2, 4));
    // A comment behind it, since the last line of a block needs its line break.
    return [
      `${key}: |${comment}`,
      ...value
        .trimEnd()
        .split('\n')
        .map((line) => indent + line),
      '# behind a block',
    ];
  }
  if (value === null) return [`${key}:${pick('', ' null', ' ~')}${comment}`];
  return [`${key}: ${inline(value, pick)}${comment}`];
}

function blockItem(value: Value, indent: string, gap: string, pick: Pick): string[] {
  if (!isFilled(value) || rarely(pick)) return [`${indent}-${gap}${inline(value, pick)}`];
  const [first = '', ...rest] = blockMap(value, pick);
  return [`${indent}-${gap}${first}`, ...rest.map((line) => (line === '' ? '' : `${indent} ${gap}${line}`))];
}

function inline(value: Value, pick: Pick): string {
  if (typeof value !== 'string') return spacedJson(value, pick);
  const plain = /^[a-z][a-z.@/]*$/.test(value) && !/^(true|yes|null|no|on|off|y|n|false)$/.test(value);
  const single = /^[ -~]*$/.test(value) ? `'${value.replaceAll("'", "''")}'` : JSON.stringify(value);
  return pick(JSON.stringify(value), single, plain ? value : JSON.stringify(value));
}

function spacedJson(value: Value, pick: Pick): string {
  return pick(true, false) ? JSON.stringify(value) : JSON.stringify(value, undefined, 1).replaceAll(/\n */g, ' ');
}

function isFilled(value: Value): value is { [key: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
}
