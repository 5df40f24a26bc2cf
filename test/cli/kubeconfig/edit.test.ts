import { isObject } from '../../../shared/json.ts';
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bodyKey, parseKubeconfig, type Section, sections } from '../../../cli/kubeconfig/document.ts';
import { editKubeconfig } from '../../../cli/kubeconfig/edit.ts';
import { type Mapping, randomKubeconfig } from './random.ts';

function edit(text: string, change: (value: Mapping) => Mapping): string {
  const file = parseKubeconfig(text, 'config');
  return editKubeconfig(file, change(structuredClone(file.value)), 'config');
}

function withEntries(value: Mapping, entries: Partial<Record<Section, unknown>>): Mapping {
  const result = { ...value };
  for (const [section, entry] of Object.entries(entries)) {
    const list: unknown = value[section];
    result[section] = [...(Array.isArray(list) ? (list as unknown[]) : []), entry];
  }
  return result;
}

const added = {
  clusters: {
    cluster: { server: 'https://new.example.com', 'certificate-authority-data': 'LS0t' },
    name: 'added by us',
  },
  users: {
    name: 'added by us',
    user: { exec: { args: ['--issuer-url=https://sso', 'yes', '012'], command: 'kleis-credential' } },
  },
  contexts: { context: { cluster: 'new', user: 'new' }, name: 'added by us' },
};

describe('random kubeconfigs', () => {
  test('mean what was drawn: else the properties below would test nothing', () => {
    fc.assert(
      fc.property(randomKubeconfig, ({ text, value }) => {
        expect(parseKubeconfig(text, 'config').value).toEqual(value);
      }),
      { numRuns: 200 },
    );
  });

  test('entries are added to any of them, and every line of it stays as it was and where it was', () => {
    fc.assert(
      fc.property(randomKubeconfig, ({ text, flow }) => {
        const file = parseKubeconfig(text, 'config');
        const want = withEntries(file.value, added);
        const result = editKubeconfig(file, want, 'config');
        expect(parseKubeconfig(result, 'config').value).toEqual(want);
        // What must go is only what stands for an empty list.
        const kept = text
          .replace(/((?:clusters|users|contexts)"?:)[ \t]*(?:null|~|\[\s*\])/g, '$1')
          .replace(/^(\W*)\{\}/, '$1');
        expect(isSubsequence(kept, result)).toBe(true);
        // A list in flow style gets its new item on the line that it is on.
        const lists = /^\s*"?(?:clusters|users|contexts)"?: \[/;
        if (!flow) expect(missingLines(kept, result).filter((line) => !lists.test(line))).toEqual([]);
        expect(result.includes('\r')).toBe(text.includes('\r'));
        if (text.includes('\r')) expect(result).not.toMatch(/[^\r]\n/);
      }),
      { numRuns: 200 },
    );
  });

  test('what is changed already is left alone', () => {
    fc.assert(
      fc.property(randomKubeconfig, ({ text }) => {
        const once = edit(text, (value) => withEntries(value, added));
        const file = parseKubeconfig(once, 'config');
        expect(editKubeconfig(file, structuredClone(file.value), 'config')).toBe(once);
      }),
      { numRuns: 200 },
    );
  });

  test('an entry is changed and no byte before or behind it', () => {
    const bodies = fc.constantFrom<Mapping>(
      { server: 'https://other.example.com' },
      { server: 'https://other.example.com', 'certificate-authority-data': 'LS0t', 'tls-server-name': 'x' },
      { exec: { apiVersion: 'v1', args: ['--a=b', '--c'], command: 'kleis-credential' } },
      { token: 'other' },
      { cluster: 'c', user: 'u', extensions: [{ name: 'e', extension: { a: [1, { b: [] }] } }] },
    );
    fc.assert(
      fc.property(
        randomKubeconfig,
        fc.constantFrom(...sections),
        fc.nat(),
        bodies,
        fc.boolean(),
        (drawn, section, nth, body, merge) => {
          const file = parseKubeconfig(drawn.text, 'config');
          const list = file.value[section];
          fc.pre(Array.isArray(list) && list.length > 0);
          const index = nth % (list as unknown[]).length;
          const before: unknown = (list as unknown[])[index];
          fc.pre(isObject(before));
          const old: unknown = before[bodyKey(section)];
          const entry = { ...before, [bodyKey(section)]: merge ? { ...(old as Mapping), ...body } : body };
          const want = { ...file.value, [section]: (list as unknown[]).with(index, entry) };
          const result = editKubeconfig(file, want, 'config');
          expect(parseKubeconfig(result, 'config').value).toEqual(want);
          if (isDeepStrictEqual(before, entry)) expect(result).toBe(drawn.text);
          const [from, to] = rangeOf(file, section, index);
          expect(result.slice(0, from)).toBe(drawn.text.slice(0, from));
          expect(result.endsWith(drawn.text.slice(to))).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('removal', () => {
  test('of entries from any of them leaves every line and every other entry as it was', () => {
    fc.assert(
      fc.property(
        randomKubeconfig,
        fc.constantFrom(...sections),
        fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
        fc.boolean(),
        ({ text }, section, stays, more) => {
          const file = parseKubeconfig(text, 'config');
          const list = file.value[section];
          fc.pre(Array.isArray(list) && list.length > 0);
          const all = list as unknown[];
          const kept = all.filter((_item, index) => stays[index]);
          const want = { ...file.value, [section]: more ? [...kept, added[section]] : kept };
          const result = editKubeconfig(file, want, 'config');
          expect(parseKubeconfig(result, 'config').value).toEqual(want);
          if (more) return;
          // Nothing is written but what stands for an empty list.
          const shorter = kept.length === 0 ? result.replace(new RegExp(`(${section}"?:) ?\\[\\]`), '$1') : result;
          expect(isSubsequence(shorter, text)).toBe(true);
          for (const [index] of all.entries()) {
            const [from, to] = rangeOf(file, section, index);
            if (stays[index] === true)
              expect(result).toContain(file.text.slice(from, to).replace(/(?:\r?\n[ \t]*(?:#[^\n]*)?)*$/, ''));
          }
          // What was said beside the entries is said still.
          for (const comment of text.match(/^\s*# .*$/gm) ?? []) {
            const inside = all.some((_item, index) => {
              const [from, to] = rangeOf(file, section, index);
              return stays[index] !== true && file.text.slice(from, to).includes(comment.trim());
            });
            if (!inside) expect(result).toContain(comment.trim());
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('and addition of keys and items anywhere, both at once, mean what was wanted or are refused, which is rare', () => {
    let refused = 0;
    fc.assert(
      fc.property(randomKubeconfig, fc.infiniteStream(fc.nat(5)), ({ text }, stream) => {
        const drawn = stream[Symbol.iterator]();
        const file = parseKubeconfig(text, 'config');
        const want = mutate(file.value, () => Number(drawn.next().value ?? 0)) as Mapping;
        let result = '';
        try {
          result = editKubeconfig(file, want, 'config');
        } catch (error) {
          expect(error).toMatchObject({ code: 'kubeconfig_invalid' });
          refused += 1;
          return;
        }
        expect(parseKubeconfig(result, 'config').value).toEqual(want);
        if (text.includes('\r')) expect(result).not.toMatch(/[^\r]\n/);
      }),
      { numRuns: 300 },
    );
    expect(refused).toBeLessThan(15);
  });

  test('and a new name change the lines of that entry alone', () => {
    const text = `contexts: # all
# the first
- name: a
  context: {cluster: a}
# the second
-   # with a dash of its own
  context:
    cluster: b
    # inside
    user: b
  name: b  # its name
- name: c\t# a tab
# the end
current-context: b
`;
    const without = (...names: string[]) =>
      edit(text, (value) => ({
        ...value,
        contexts: (value['contexts'] as Mapping[]).filter((each) => !names.includes(String(each['name']))),
      }));
    expect(without('b')).toBe(text.replace(/- {3}# with[^]*# its name\n/, ''));
    expect(without('a', 'c')).toBe(text.replace(/- name: a\n.*\n/, '').replace('- name: c\t# a tab\n', ''));
    expect(without('a', 'b', 'c')).toBe(
      'contexts: [] # all\n# the first\n# the second\n# the end\ncurrent-context: b\n',
    );
    const renamed = edit(text, (value) => ({
      ...value,
      contexts: (value['contexts'] as Mapping[]).map((each) => (each['name'] === 'b' ? { ...each, name: 'x' } : each)),
    }));
    expect(renamed).toBe(text.replace('name: b  # its name', 'name: x  # its name'));
  });

  test.each(['\n', '\r\n'])('of the last item, and a new key behind it: %j', (eol) => {
    const text = 'x:\n  env:\n  - name: a\n  - name: b\n    value: c\nusers: []\n'.replaceAll('\n', eol);
    expect(edit(text, () => ({ x: { env: [{ name: 'a' }], more: 1 }, users: [] }))).toBe(
      'x:\n  env:\n  - name: a\n  more: 1\nusers: []\n'.replaceAll('\n', eol),
    );
  });

  test.each([
    ['[a, b, c]', ['b', 'c'], '[b, c]'],
    ['[a, b, c]', ['a', 'c'], '[a, c]'],
    ['[a, b, c]', ['a', 'b'], '[a, b]'],
    ['[a, b, c]', ['b'], '[b]'],
    ['[a, b, c]', [], '[]'],
    ['[a,b,c,]', ['c'], '[c,]'],
    ['[\n  a, # of a\n  b, # of b\n  c # of c\n ]', ['a', 'c'], '[\n  a # of a\n  , # of b\n  c # of c\n ]'],
    ['[\r\n  a,\t\r\n  b,\r\n  c\r\n ]', ['b'], '[\r\n  b\r\n ]'],
    ['{a: 1, b: 2, c: }', { b: 2, c: null }, '{b: 2, c: }'],
    ['{a: 1, b: {x: [1]}, c: 3}', { a: 1, c: 3 }, '{a: 1, c: 3}'],
    ['{"a": &x 1, b: !!int 2}', { b: 2 }, '{b: !!int 2}'],
  ])('in flow style: %j', (from, want, to) => {
    expect(edit(`x: ${from}\n`, () => ({ x: want }))).toBe(`x: ${to}\n`);
  });

  test('of what an alias needs is refused', () => {
    const text = 'users:\n- &a\n  name: a\n  user: &u {}\n- name: b\n  user: *u\n';
    expect(() => edit(text, () => ({ users: [{ name: 'b', user: {} }] }))).toThrow(/cannot edit safely; nothing was/);
  });
});

/** Drops and adds keys and items at random, but for names. */
function mutate(value: unknown, draw: () => number): unknown {
  if (Array.isArray(value)) {
    const kept = value.filter(() => draw() > 0).map((item) => mutate(item, draw));
    return draw() === 0 && kept.length > 0 && !isObject(kept[0]) ? [...kept, 'new: item'] : kept;
  }
  if (!isObject(value)) return value;
  const kept = Object.entries(value).filter(([key]) => ['name', 'kind', 'apiVersion'].includes(key) || draw() > 0);
  const pairs = kept.map(([key, inner]) => [key, mutate(inner, draw)] as const);
  if (draw() === 0) pairs.push(['added', { by: ['us', { x: 1 }] }]);
  return Object.fromEntries(pairs);
}

/** Of an item of a list, without the comments that follow it. */
function rangeOf(file: ReturnType<typeof parseKubeconfig>, section: Section, index: number): [number, number] {
  const node = file.document.getIn([section, index], true) as { range: [number, number, number] };
  return [node.range[0], node.range[1]];
}

function missingLines(some: string, all: string): string[] {
  const lines = all.split(/\r?\n/).map((line) => line.trimEnd());
  const missing: string[] = [];
  let from = 0;
  for (const line of some.split(/\r?\n/)) {
    const at = lines.indexOf(line.trimEnd(), from);
    if (at === -1) missing.push(line);
    else from = at + 1;
  }
  return missing;
}

function isSubsequence(some: string, all: string): boolean {
  let at = 0;
  for (const char of all) if (some.startsWith(char, at)) at += char.length;
  return at === some.length;
}

describe('how it looks', () => {
  test('as kubectl writes: lists at the column of their key, at the end of each list', () => {
    const text = `apiVersion: v1
clusters:
- cluster:
    server: https://a
  name: a
contexts: null
current-context: ""
kind: Config
preferences: {}
users:
- name: a
  user: {}
`;
    expect(edit(text, (value) => withEntries(value, added))).toBe(`apiVersion: v1
clusters:
- cluster:
    server: https://a
  name: a
- cluster:
    server: https://new.example.com
    certificate-authority-data: LS0t
  name: "added by us"
contexts:
- context:
    cluster: new
    user: new
  name: "added by us"
current-context: ""
kind: Config
preferences: {}
users:
- name: a
  user: {}
- name: "added by us"
  user:
    exec:
      args:
      - --issuer-url=https://sso
      - "yes"
      - "012"
      command: kleis-credential
`);
  });

  test('indented lists stay indented, comments and blank lines stay, a missing final newline stays missing', () => {
    const text =
      '# mine\nusers:\n    - name: a  # first\n      user: {token: x}\n    # after a\n\n# next\nclusters: [] # none yet\ncontexts:';
    const { users, clusters, contexts } = { ...added, users: { name: 'b', user: { exec: { args: ['x'] } } } };
    expect(edit(text, (value) => withEntries(value, { users, clusters, contexts }))).toBe(`# mine
users:
    - name: a  # first
      user: {token: x}
    - name: b
      user:
        exec:
          args:
              - x
    # after a

# next
clusters: # none yet
    - cluster:
        server: https://new.example.com
        certificate-authority-data: LS0t
      name: "added by us"
contexts:
    - context:
        cluster: new
        user: new
      name: "added by us"`);
  });

  test('JSON stays JSON', () => {
    const text = JSON.stringify(
      { apiVersion: 'v1', kind: 'Config', clusters: [], users: [{ name: 'a', user: {} }] },
      undefined,
      '\t',
    );
    const result = edit(text, (value) => ({ ...withEntries(value, added), 'current-context': 'x' }));
    const { clusters, users, contexts } = added;
    expect(JSON.parse(result)).toEqual({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [clusters],
      users: [{ name: 'a', user: {} }, users],
      contexts: [contexts],
      'current-context': 'x',
    });
    expect(result.split('\n').filter((line) => line.startsWith('\t\t{'))).toHaveLength(3);
    expect(edit('{"users":[{"name":"a"}]}', (value) => withEntries(value, { users: { name: 'b' } }))).toBe(
      '{"users":[{"name":"a"}, {"name": "b"}]}',
    );
  });

  test('an empty file, or one of comments, gets a whole kubeconfig', () => {
    const want = { apiVersion: 'v1', kind: 'Config', users: [{ name: 'a', user: {} }] };
    const body = 'apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user: {}\n';
    for (const [text, result] of [
      ['', body],
      ['\n', `\n${body}`],
      ['# mine', `# mine\n${body}`],
      ['---\n', `---\n${body}`],
      ['{}\n', body],
    ] as const) {
      expect(edit(text, () => want)).toBe(result);
    }
  });

  test('a block of text is replaced or removed up to its last line, and no further', () => {
    const text = 'x:\n  a: |\n    one\n    two\n  b: 1\n  c: >-\n    three\n\n  # about d\n  d: 2\n  e: |';
    expect(edit(text, () => ({ x: { a: 'short', b: 1, c: { d: [] }, d: 2, e: '' } }))).toBe(
      'x:\n  a: short\n  b: 1\n  c:\n    d: []\n\n  # about d\n  d: 2\n  e: |',
    );
    expect(edit(text, () => ({ x: { b: 1, d: 2 } }))).toBe('x:\n  b: 1\n\n  # about d\n  d: 2\n');
  });

  test('a changed entry keeps its comments and the order of its keys', () => {
    const text = `clusters:
- name: a # the name
  cluster:
    # the old one
    server: https://old # moved
    certificate-authority: ca.crt
    proxy-url: "" # none
users: []
`;
    const want = {
      clusters: [{ name: 'a', cluster: { server: 'https://new', 'proxy-url': '', 'tls-server-name': 't' } }],
      users: [],
    };
    expect(edit(text, () => want)).toBe(`clusters:
- name: a # the name
  cluster:
    # the old one
    server: https://new # moved
    proxy-url: "" # none
    tls-server-name: t
users: []
`);
  });
});

describe('what is not edited, says where and why, and stays', () => {
  const add = (value: Mapping) => withEntries(value, { users: { name: 'new', user: {} } });
  test.each([
    ['several documents', 'users: []\n---\na: 1\n', /^config:1:1: it holds several YAML documents/],
    [
      'a list that is an alias',
      'clusters: &all\n- name: a\nusers: *all\n',
      /^config:3:8: what is to be changed is a YAML alias/,
    ],
    ['an empty list with an anchor', 'users: &all []\n', /^config:1:13: what is to be changed has an anchor/],
    ['a list that another is an alias of', 'users: &all\n- name: a\nclusters: *all\n', /cannot edit safely/],
    ['an explicit key', '? users\n: null\n', /^config:1:3: this key is written in a way/],
    ['a text without its last line break', 'users:\n- name: a\n  x: |\n    text', undefined],
  ])('%s', (_name, text, message) => {
    if (message === undefined)
      expect(parseKubeconfig(edit(text, add), '').value).toEqual(add(parseKubeconfig(text, '').value));
    else
      expect(() => edit(text, add)).toThrow(
        expect.objectContaining({ code: 'kubeconfig_invalid', message: expect.stringMatching(message) }),
      );
  });

  test('an entry with aliases inside may be a neighbour, and merged keys are kept', () => {
    const text =
      'x: &base {command: a}\nusers:\n- name: a\n  user: {exec: *base}\n- name: b\n  user:\n    <<: *base\n    token: t\n';
    expect(edit(text, add)).toBe(`${text}- name: new\n  user: {}\n`);
    const changed = edit(text, (value) => {
      const [a, b] = value['users'] as [Mapping, Mapping];
      return { ...value, users: [a, { ...b, user: { ...(b['user'] as Mapping), token: 'other' } }] };
    });
    expect(changed).toBe(text.replace('token: t', 'token: other'));
  });
});

describe('what is not a kubeconfig, says where and why', () => {
  test.each([
    ['users:\n  - name: [\n', /^config:3:1: this is not valid YAML: /],
    ['a: b: c', /^config:1:4: this is not valid YAML: Nested mappings/],
    ['<html>', /^config:1:1: this is not a kubeconfig/],
    ['- a', /^config:1:1: this is not a kubeconfig/],
    ['apiVersion: v1\nkind: Pod\n', /^config:2:7: this is not a kubeconfig: its kind is Pod/],
    ['users:\n  a: 1\n', /^config:2:3: users must be a list/],
    ['users:\n- name: a\n- name: a\n', /^config:3:9: there are two users named "a"/],
    ['users:\n- name: yes\n', /^config:2:9: a name must be text; quote it/],
    ['users:\n- a\n', /^config:2:3: each of users must have a name and a user/],
    ['contexts:\n- name: a\n  context: x\n', /^config:3:12: context must have keys/],
    ['users: 1\nusers: 2\n', /^config:2:1: this is not valid YAML: Map keys must be unique/],
    ['a: &x [*x]\n', /^config:1:1: one of its anchors contains itself/],
    ['kind: "\\u001b[31m"\n', /its kind is \[31m, not Config/],
  ])('%j', (text, message) => {
    expect(() => parseKubeconfig(text, 'config')).toThrow(
      expect.objectContaining({ code: 'kubeconfig_invalid', message: expect.stringMatching(message) }),
    );
  });

  test('aliases do not multiply without end', () => {
    const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 10; level++)
      bomb.push(
        `a${level}: &a${level} [${Array(9)
          .fill(`*a${level - 1}`)
          .join(', ')}]`,
      );
    expect(() => parseKubeconfig(bomb.join('\n'), 'config')).toThrow(
      expect.objectContaining({ code: 'kubeconfig_invalid' }),
    );
  });
});
