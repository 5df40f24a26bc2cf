import { afterEach, beforeEach, expect, test } from 'vitest';
import { createKubeconfigWorld, type KubeconfigWorld, sample } from './kubeconfig-world.ts';

let world: KubeconfigWorld;
beforeEach(async () => {
  world = await createKubeconfigWorld();
  await world.write('config', sample);
});
afterEach(() => world.remove());

test('a context becomes the current one, and nothing else changes', async () => {
  expect(await world.kubeconfig(['use', 'lab'])).toMatchObject({
    code: 0,
    stdout: '',
    stderr: expect.stringMatching(/"lab" is the current/),
  });
  expect(await world.read()).toBe(sample.replace('current-context: prod', 'current-context: lab'));
  expect(await world.kubeconfig(['use', 'lab'])).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/is the current context already/),
  });
  expect(await world.kubeconfig(['use', 'nowhere'])).toMatchObject({
    code: 6,
    stderr: expect.stringMatching(/There are: lab, prod/),
  });
});

test('of several files it is said where kubectl says it: in the first that exists', async () => {
  await world.write('a', 'contexts: []\n');
  await world.kubeconfig(['use', 'lab'], { files: ['none', 'a', 'config'] });
  expect(await world.read('a')).toBe('contexts: []\ncurrent-context: lab\n');
  expect(await world.read()).toBe(sample);
});
