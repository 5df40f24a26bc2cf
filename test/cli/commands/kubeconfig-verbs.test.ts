import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bodyKey, parseKubeconfig, type Section, sections, textOf } from '../../../cli/kubeconfig/document.ts';
import { editKubeconfig } from '../../../cli/kubeconfig/edit.ts';
import { type Mapping, randomKubeconfig } from '../kubeconfig/random.ts';
import { createKubeconfigWorld, type KubeconfigWorld } from './kubeconfig-world.ts';

// What no verb may do to what it was not told of, whatever the kubeconfig looks like.

let world: KubeconfigWorld;
beforeAll(async () => {
  world = await createKubeconfigWorld();
});
afterAll(() => world.remove());

type Value = Mapping & Partial<Record<Section, { name: string }[] | null>>;

const listOf = (value: Value, section: Section): Mapping[] => value[section] ?? [];
const without = (list: readonly Mapping[], name: unknown) => list.filter((item) => item['name'] !== name);

interface Verb {
  readonly title: string;
  /** Makes the file fit to try it, before anything is compared. */
  readonly prepare?: (value: Value) => Value;
  readonly args: (name: string) => Promise<readonly string[]> | readonly string[];
  /** What the file is to mean then. */
  readonly model: (value: Value, name: string) => Value;
}

const kubelogin = {
  name: 'old plugin',
  user: { exec: { command: 'kubelogin', args: ['get-token', '--oidc-issuer-url=https://a', '--oidc-client-id=k'] } },
};

const place = { name: 'a place', cluster: { server: 'https://a.example.com' } };

const verbs: readonly Verb[] = [
  {
    title: 'use',
    args: (name) => ['use', '--', name],
    model: (value, name) => ({ ...value, 'current-context': name }),
  },
  {
    title: 'rename',
    args: (name) => ['rename', '--', name, 'new name: #1'],
    model: (value, name) => ({
      ...value,
      contexts: listOf(value, 'contexts').map((item) =>
        item['name'] === name ? { ...item, name: 'new name: #1' } : item,
      ) as never,
      ...(value['current-context'] === name && { 'current-context': 'new name: #1' }),
    }),
  },
  {
    title: 'remove',
    args: (name) => ['remove', '--yes', '--', name],
    model(value, name) {
      const contexts = listOf(value, 'contexts');
      const gone = contexts.find((item) => item['name'] === name)?.['context'] as Mapping;
      const left = without(contexts, name);
      const result: Value = { ...value, contexts: left as never };
      for (const section of ['users', 'clusters'] as const) {
        const wanted = gone[bodyKey(section)];
        const isUsed = left.some((item) => (item['context'] as Mapping)[bodyKey(section)] === wanted);
        const list = listOf(value, section);
        if (!isUsed && list.some((item) => item['name'] === wanted)) result[section] = without(list, wanted) as never;
      }
      if (value['current-context'] === name) result['current-context'] = '';
      return result;
    },
  },
  {
    title: 'service-account',
    prepare: (value) => ({ ...value, clusters: [...listOf(value, 'clusters'), place] as never }),
    args: () => [
      'service-account',
      ...['--broker=https://b.example.com', '--grant=g', '--identity=github', '--offline', '--cluster=a place'],
      ...['--', 'new name: #1'],
    ],
    model: (value) => ({
      ...value,
      users: [...listOf(value, 'users'), { name: 'kleis-new name: #1', user: { exec: expect.anything() } }] as never,
      contexts: [
        ...listOf(value, 'contexts'),
        { name: 'new name: #1', context: { cluster: 'a place', user: 'kleis-new name: #1' } },
      ] as never,
      ...(textOf(value['current-context']) === '' && { 'current-context': 'new name: #1' }),
    }),
  },
  {
    title: 'merge',
    args: async () => ['merge', await world.write('theirs', 'users:\n- name: them\n  user: {token: "x: #y"}\n')],
    model: (value) => ({
      ...value,
      users: [...listOf(value, 'users'), { name: 'them', user: { token: 'x: #y' } }] as never,
    }),
  },
  {
    title: 'migrate',
    prepare: (value) => ({ ...value, users: [...listOf(value, 'users'), kubelogin] as never }),
    args: () => ['migrate', '--yes', 'old plugin'],
    model: (value) => ({
      ...value,
      users: listOf(value, 'users').map((item) =>
        item['name'] === 'old plugin'
          ? { name: 'old plugin', user: expect.objectContaining({ exec: expect.anything() }) }
          : item,
      ) as never,
    }),
  },
];

test.each(verbs)(
  '$title changes what it names; every other entry, and every comment, stays as it was',
  async (verb) => {
    let changed = 0;
    await fc.assert(
      fc.asyncProperty(randomKubeconfig, fc.nat(), async (drawn, nth) => {
        const first = parseKubeconfig(drawn.text, 'config');
        const text =
          verb.prepare === undefined ? drawn.text : editKubeconfig(first, verb.prepare(first.value), 'config');
        const file = parseKubeconfig(text, 'config');
        const value = file.value as Value;
        const contexts = listOf(value, 'contexts').filter(({ name }) => name !== '');
        fc.pre(contexts.length > 0 || ['service-account', 'merge', 'migrate'].includes(verb.title));
        const name = textOf(contexts[nth % Math.max(contexts.length, 1)]?.['name']);
        await world.write('config', text);
        const { code, stderr } = await world.kubeconfig(await verb.args(name));
        const result = await world.read();
        // kubectl makes nothing of such names either: commander takes `-` and the like as they are.
        if (code !== 0) {
          expect(result).toBe(text);
          expect(stderr).toMatch(/^error: /m);
          return;
        }
        const after = parseKubeconfig(result, 'config');
        expect(after.value).toEqual(verb.model(value, name));
        changed += 1;
        for (const section of sections) {
          for (const [index, item] of listOf(value, section).entries()) {
            const same = listOf(after.value as Value, section).find((each) => each['name'] === item['name']);
            if (same === undefined || item['name'] === 'old plugin') continue;
            const [from, to] = (file.document.getIn([section, index], true) as { range: [number, number] }).range;
            // Without the lines of comments that follow it.
            expect(result).toContain(file.text.slice(from, to).replace(/(?:\r?\n[ \t]*(?:#[^\n]*)?)*$/, ''));
          }
        }
        const comments = /# (?:between|said aside|deeper|the end|a comment|behind a block)/g;
        if (!['remove', 'migrate'].includes(verb.title)) {
          expect(result.match(comments)).toEqual(text.match(comments));
        }
        expect(result.startsWith('\uFEFF')).toBe(text.startsWith('\uFEFF'));
        if (text.includes('\r\n')) expect(result).not.toMatch(/[^\r]\n/);
      }),
      { numRuns: 40 },
    );
    // The property would hold of a verb that refuses everything.
    expect(changed).toBeGreaterThan(20);
  },
);

test.each([
  ['an empty file', '', /no context|not said|Nothing|does not exist/],
  [
    'several documents',
    'contexts: [{name: c, context: {user: u}}]\nusers: [{name: u, user: {token: x}}]\n---\na: 1\n',
    /several YAML documents/,
  ],
  ['two of one name', 'contexts: [{name: c}, {name: c}]\n', /two contexts named "c"/],
  [
    'a list that is an alias',
    'x: &c [{name: c, context: {user: u}}]\ncontexts: *c\ny: &u [{name: u, user: {token: x}}]\nusers: *u\n',
    /alias|anchor|cannot edit/,
  ],
  ['no text', '\uFFFE\u0000', /not valid YAML|not a kubeconfig/],
  ['too large', `# ${'x'.repeat(17_000_000)}\n`, /too large/],
])('of %s every verb that would change it is refused with a reason, and it stays', async (_name, text, reason) => {
  await world.write('config', text);
  for (const args of [
    ['rename', 'c', 'd'],
    ['remove', 'c', '--yes'],
    ['migrate', 'c', '--yes', '--issuer-url=https://a'],
  ]) {
    const { code, stderr, stdout } = await world.kubeconfig(args);
    expect(code, args[0]).not.toBe(0);
    expect(stdout).toBe('');
    expect(stderr).toMatch(reason);
    expect(await world.read()).toBe(text);
  }
});
