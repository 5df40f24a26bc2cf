import { mkdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createKubeconfigWorld, type KubeconfigWorld, sample } from './kubeconfig-world.ts';

let world: KubeconfigWorld;
beforeEach(async () => {
  world = await createKubeconfigWorld();
  await world.write('config', sample);
});
afterEach(() => world.remove());

const theirs = `contexts:
- name: prod
  context: {cluster: prod, user: them}
clusters:
- name: prod
  cluster: {server: "https://theirs", certificate-authority: pki/ca.crt}
users:
- name: them
  user: {client-certificate: ./me.crt, client-key: /abs/me.key, token: hunter9}
- name: runs
  user: {exec: {command: ./bin/evil, args: [--token=hunter9]}}
current-context: prod
`;

describe('entries of other files', () => {
  test('of a name that says something else here are refused, by name and without what is in them', async () => {
    await world.write('other', theirs);
    const { code, stderr } = await world.kubeconfig(['merge', world.at('other')]);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /the cluster "prod" \(server: .*theirs.*\), the context "prod" \(user changes, namespace is/,
    );
    expect(stderr).toMatch(/--prefix TEXT.*--overwrite/);
    expect(stderr).not.toContain('hunter');
    expect(await world.read()).toBe(sample);
  });

  test.each([
    ['a path', '{command: ./kleis-credential}', (at: string) => `${at}/kleis-credential`],
    [
      'variables',
      '{command: kleis-credential, env: [{name: NODE_OPTIONS, value: --require=/tmp/evil.js}]}',
      () => 'kleis-credential, with NODE_OPTIONS set',
    ],
  ])('that run Kleis by %s are told of: it could be any program', async (_, exec, said) => {
    await world.write('other', `users: [{name: theirs, user: {exec: ${exec}}}]\n`);
    const { code, stderr } = await world.kubeconfig(['merge', world.at('other')]);
    expect(code).toBe(0);
    expect(stderr).toContain(`The user "theirs" makes kubectl run a program: ${said(world.folder)}.`);
  });

  test('that run the Kleis of PATH are not told of', async () => {
    await world.write(
      'other',
      'users: [{name: theirs, user: {exec: {command: kleis-credential, args: [--login=device]}}}]\n',
    );
    expect((await world.kubeconfig(['merge', world.at('other')])).stderr).not.toContain('run a program');
  });

  test('get a prefix, and what they refer to has it too; paths lead where they led', async () => {
    await mkdir(world.at('sub'));
    await world.write('sub/other', theirs);
    const { code, stderr } = await world.kubeconfig(['merge', world.at('sub/other'), '--prefix', 'x-']);
    expect(code).toBe(0);
    expect(stderr).toContain('The user "x-runs" makes kubectl run a program: evil.');
    expect(stderr).not.toContain('hunter');
    const text = await world.read();
    const { contexts, clusters, users, 'current-context': current } = parse(text) as Record<string, unknown[]>;
    expect(contexts?.at(-1)).toEqual({ name: 'x-prod', context: { cluster: 'x-prod', user: 'x-them' } });
    expect(clusters?.at(-1)).toMatchObject({ cluster: { 'certificate-authority': world.at('sub/pki/ca.crt') } });
    expect(users?.slice(-2)).toEqual([
      {
        name: 'x-them',
        user: { 'client-certificate': world.at('sub/me.crt'), 'client-key': '/abs/me.key', token: 'hunter9' },
      },
      { name: 'x-runs', user: { exec: { command: world.at('sub/bin/evil'), args: ['--token=hunter9'] } } },
    ]);
    expect(current).toBe('prod');
    // Every line of mine is where it was.
    let from = 0;
    for (const line of sample.split('\n')) {
      from = text.indexOf(line, from);
      expect(from, line).not.toBe(-1);
    }
    expect(await world.kubeconfig(['merge', world.at('sub/other'), '--prefix', 'x-'])).toMatchObject({
      stderr: expect.stringMatching(/Nothing to change/),
    });
  });

  test('replace mine with --overwrite, and only those that differ', async () => {
    await world.write('other', theirs);
    await world.kubeconfig(['merge', world.at('other'), '--overwrite']);
    const value = parse(await world.read()) as { clusters: unknown[]; users: { name: string }[] };
    expect(value.clusters[0]).toMatchObject({ cluster: { server: 'https://theirs' } });
    expect(value.users.map(({ name }) => name)).toEqual(['kleis', 'admin', 'oidc', 'them', 'runs']);
  });

  test('with the same content, also by another path, are nothing', async () => {
    await mkdir(world.at('sub'));
    await world.write('sub/other', sample.replace('certificate-authority: ca.crt', 'certificate-authority: ../ca.crt'));
    expect(await world.kubeconfig(['merge', world.at('config'), world.at('sub/other')])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/Nothing to change/),
    });
    expect(await world.read()).toBe(sample);
  });

  test('that use what is not in them do not get mine', async () => {
    await world.write(
      'other',
      'contexts: [{name: trap, context: {cluster: k, user: admin}}]\nclusters: [{name: k, cluster: {server: "https://evil"}}]\n',
    );
    const { code, stderr } = await world.kubeconfig(['merge', world.at('other')]);
    expect(code).toBe(6);
    expect(stderr).toMatch(/other:1:\d+: the context "trap" names the user "admin", which is not in it/);
    expect(await world.read()).toBe(sample);
  });

  test('of two files that differ are refused even with --overwrite', async () => {
    for (const [name, server] of [
      ['a', 'https://a'],
      ['b', 'https://b'],
    ] as const) {
      await world.write(name, `clusters: [{name: k, cluster: {server: "${server}"}}]\n`);
    }
    for (const more of [[], ['--overwrite']]) {
      expect(await world.kubeconfig(['merge', world.at('a'), world.at('b'), ...more])).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/the cluster "k"/),
      });
    }
  });

  test.each([
    ['nothing', undefined, /does not exist/],
    ['several documents', 'users: []\n---\nusers: []\n', /several YAML documents/],
    ['two of one name', 'users: [{name: a}, {name: a}]\n', /two users named "a"/],
    ['a name that moves the cursor', 'users: [{name: "\\e[2J"}]\n', /A name in .*control characters/],
    ['no kubeconfig', '<html>\n', /not a kubeconfig/],
  ])('%s is refused', async (_name, text, stderr) => {
    if (text !== undefined) await world.write('other', text);
    const answer = await world.kubeconfig(['merge', world.at('other')]);
    expect(answer.stderr).toMatch(stderr);
    expect(answer.code).not.toBe(0);
    expect(await world.read()).toBe(sample);
  });

  test('make the kubeconfig, and their current context its own, where there is none; a dry run writes nothing', async () => {
    await world.write('other', theirs);
    const { stdout } = await world.kubeconfig(['merge', world.at('other'), '--dry-run'], { files: ['new'] });
    expect(stdout).toMatch(/Would add the cluster "prod"[^]*Would make "prod" the current context/);
    expect(await world.files()).toEqual(['config', 'other']);
    await world.kubeconfig(['merge', world.at('other')], { files: ['new'] });
    expect(parse(await world.read('new'))).toMatchObject({ kind: 'Config', 'current-context': 'prod' });
  });
});
