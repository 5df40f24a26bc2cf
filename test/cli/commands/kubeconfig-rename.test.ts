import { afterEach, beforeEach, expect, test } from 'vitest';
import { createKubeconfigWorld, type KubeconfigWorld, sample } from './kubeconfig-world.ts';

let world: KubeconfigWorld;
beforeEach(async () => {
  world = await createKubeconfigWorld();
  await world.write('config', sample);
});
afterEach(() => world.remove());

test('only the name changes, and the current context follows', async () => {
  const { code, stderr } = await world.kubeconfig(['rename', 'prod', 'live: #1']);
  expect(code).toBe(0);
  expect(stderr).toContain('It is still the current one.');
  expect(await world.read()).toBe(
    sample
      .replace('name: prod\n\n', 'name: "live: #1"\n\n')
      .replace('current-context: prod', 'current-context: "live: #1"'),
  );
});

test.each([
  [['lab', 'prod'], 2, /has a context "prod" already/],
  [['lap', 'x'], 6, /no context "lap"/],
  [['lab', ''], 2, /new name is empty/],
  [['lab', 'a\u001b[2J'], 2, /control characters/],
])('%j is refused', async (names, code, stderr) => {
  expect(await world.kubeconfig(['rename', ...names])).toMatchObject({ code, stderr: expect.stringMatching(stderr) });
  expect(await world.read()).toBe(sample);
});

test('the same name is nothing, and a dry run writes nothing', async () => {
  expect(await world.kubeconfig(['rename', 'lab', 'lab'])).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/Nothing to change/),
  });
  const { stdout } = await world.kubeconfig(['rename', 'lab', 'x', '--dry-run']);
  expect(stdout).toMatch(/^Would rename the context "lab" to "x" in .*\n$/);
  expect(await world.read()).toBe(sample);
});

test('a name that a hidden context has is taken too', async () => {
  await world.write('b', 'contexts: [{name: x, context: {}}, {name: lab, context: {}}]\n');
  const files = ['config', 'b'];
  expect(await world.kubeconfig(['rename', 'prod', 'x'], { files })).toMatchObject({ code: 2 });
  const { stderr } = await world.kubeconfig(['rename', 'lab', 'y'], { files });
  expect(stderr).toMatch(/b has a context "lab" too, which keeps that name/);
});
