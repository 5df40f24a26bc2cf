import { afterEach, beforeEach, expect, test } from 'vitest';
import { createKubeconfigWorld, type KubeconfigWorld, sample } from './kubeconfig-world.ts';

let world: KubeconfigWorld;
beforeEach(async () => {
  world = await createKubeconfigWorld();
  await world.write('config', sample);
});
afterEach(() => world.remove());

test('a context goes with what only it uses; what stays is said, and why', async () => {
  const { code, stderr, stdout } = await world.kubeconfig(['remove', 'prod', '--yes']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toContain('The cluster "prod" stays: the context "prod-admin" uses it.');
  expect(stderr).toContain('Removed the context "prod", the user "kleis" from');
  expect(stderr).toContain('no current context now');
  expect(stderr).toContain('kleis logout --issuer-url https://sso.example.com/realms/acme');
  expect(await world.read()).toBe(
    sample
      .replace(/- context: \{cluster: prod, user: kleis.*\n.*\n/, '')
      .replace(/- name: kleis\n(?: {2}.*\n)+/, '')
      .replace('current-context: prod', 'current-context: ""'),
  );
});

test('it is asked, and only a yes removes; without a terminal --yes has to say it', async () => {
  for (const answer of ['n\n', '\n', '']) {
    const { code, stderr } = await world.kubeconfig(['remove', 'lab'], { answer });
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /This removes the context "lab" in .*\n.*the user "oidc".*\n.*the cluster "lab".*\nRemove\?/,
    );
    expect(await world.read()).toBe(sample);
  }
  expect(await world.kubeconfig(['remove', 'lab'])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/Pass --yes to remove/),
  });
  expect(await world.read()).toBe(sample);
  await world.kubeconfig(['remove', 'lab'], { answer: 'y\n' });
  expect(await world.read()).not.toContain('lab');
});

test('a dry run says all of it and writes nothing', async () => {
  const { stdout } = await world.kubeconfig(['remove', 'prod', 'prod-admin', '--dry-run']);
  expect(stdout.split('\n').map((line) => line.replace(/ in \/.*/, ''))).toEqual([
    'Would remove the context "prod"',
    'Would remove the context "prod-admin"',
    'Would remove the user "kleis"',
    'Would remove the user "admin"',
    'Would remove the cluster "prod"',
    expect.stringMatching(/^Would leave .* without a current context\.$/),
    '',
  ]);
  expect(await world.files()).toEqual(['config']);
  expect(await world.read()).toBe(sample);
});

test('a context that does not exist stops all of them', async () => {
  const { code, stderr } = await world.kubeconfig(['remove', 'prod', 'prd', '--yes']);
  expect(code).toBe(6);
  expect(stderr).toContain('There is no context "prd"');
  expect(stderr).toContain('There are: lab, prod, prod-admin.');
  expect(await world.read()).toBe(sample);
});

test('of several files only what is seen goes; what is hidden keeps what it uses, and is said to count', async () => {
  const [one, other] = [
    'contexts: [{name: prod, context: {cluster: mine, user: kleis}}]\nclusters: [{name: mine, cluster: {server: "https://mine"}}]\ncurrent-context: prod\n',
    sample,
  ];
  await world.write('a', one);
  await world.write('b', other);
  const files = ['a', 'b'];
  const { stderr } = await world.kubeconfig(['remove', 'prod', '--yes'], { files });
  expect(stderr).toMatch(/b has a context "prod" too, which stays and counts from then on/);
  expect(stderr).toContain('The user "kleis" stays: the context "prod" uses it.');
  expect(await world.read('a')).toBe('contexts: []\nclusters: []\ncurrent-context: ""\n');
  // No current context is to name what is gone, in whatever file.
  expect(await world.read('b')).toBe(other.replace('current-context: prod', 'current-context: ""'));
});
