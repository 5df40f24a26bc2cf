import { afterEach, beforeEach, expect, test } from 'vitest';
import { createKubeconfigWorld, type KubeconfigWorld, sample } from './kubeconfig-world.ts';

let world: KubeconfigWorld;
beforeEach(async () => {
  world = await createKubeconfigWorld();
});
afterEach(() => world.remove());

test('a row says where, who, and how it signs in', async () => {
  await world.write('config', sample);
  expect(await world.kubeconfig(['list'])).toEqual({
    code: 0,
    stderr: '',
    stdout: `\
CURRENT   NAME         CLUSTER                     USER    SIGN-IN                                                            NAMESPACE
*         prod         api.prod.example.com:6443   kleis   Kleis: deploy at kleis.example.com, sso.example.com/realms/acme   web
          prod-admin   api.prod.example.com:6443   admin   client certificate
          lab          lab                         oidc    plugin kubectl oidc-login
`.replace(/SIGN-IN {60}/, 'SIGN-IN                                                           '),
  });
});

test('a terminal gets what fits it, and nothing that moves its cursor', async () => {
  await world.write('config', `${sample}\n`.replace('name: lab\n', `name: "\\e[2J${'lab '.repeat(60)}"\n`));
  for (const columns of [40, 80, 120]) {
    const { stdout } = await world.kubeconfig(['list'], { columns });
    expect(stdout.split('\n').every((line) => line.length <= columns)).toBe(true);
    expect(stdout).not.toContain('\u001b');
    // Six columns of 40 would say nothing: then it is told line by line.
    expect(stdout).toContain(columns === 40 ? 'SIGN-IN     Kleis: deploy at' : '…');
  }
});

test('no secret is in it, whatever the format', async () => {
  const secrets = `users:
- {name: a, user: {token: hunter2}}
- {name: b, user: {username: u, password: hunter2}}
- {name: c, user: {tokenFile: t}}
- {name: d, user: {auth-provider: {name: oidc, config: {client-secret: hunter2, id-token: hunter2}}}}
- {name: e, user: {exec: {command: '/opt/x/aws.exe', args: [--secret=hunter2]}}}
- {name: f, user: {}}
- {name: g, user: {exec: {command: kleis-credential, args: [--nonsense=hunter2]}}}
clusters: [{name: k, cluster: {server: 'https://u:hunter2@x.example'}}]
contexts: [${['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((user) => `{name: ${user}, context: {cluster: k, user: ${user}}}`).join(', ')}]
`;
  await world.write('config', secrets);
  for (const output of ['table', 'json', 'name']) {
    const { stdout, stderr } = await world.kubeconfig(['list', '-o', output]);
    expect(stdout + stderr).not.toContain('hunter');
  }
  const { contexts } = JSON.parse((await world.kubeconfig(['list', '-o', 'json'])).stdout) as {
    contexts: { signIn: { method: string; name?: string } }[];
  };
  expect(contexts.map(({ signIn: { method, name } }) => [method, name].join(' ').trim())).toEqual([
    'token',
    'password',
    'token file',
    'auth-provider oidc',
    'plugin aws',
    'nothing',
    'kleis',
    'nothing',
  ]);
});

test('several files are seen as kubectl sees them; names for scripts are lines', async () => {
  await world.write('a', 'contexts: [{name: x, context: {cluster: c, user: u}}]\n');
  await world.write('b', sample.replace('name: lab\n', 'name: "two\\nlines"\n'));
  const files = ['none', 'a', 'b'];
  const { stdout, stderr } = await world.kubeconfig(['list', '-o', 'name'], { files });
  expect(stdout).toBe('x\nprod\nprod-admin\n');
  expect(stderr).toContain(String.raw`"two\u{a}lines"`);
  const json = (await world.kubeconfig(['list', '-o', 'json'], { files })).stdout;
  expect(JSON.parse(json)).toMatchObject({
    currentContext: 'prod',
    contexts: [{ name: 'x', server: null }, {}, {}, {}],
  });
});

test('nothing is said of a kubeconfig that is not there, and where it would be', async () => {
  expect(await world.kubeconfig(['list'])).toMatchObject({
    code: 0,
    stdout: '',
    stderr: expect.stringMatching(/no context in .*config/),
  });
  expect(await world.kubeconfig(['list', '--kubeconfig', world.at('x')])).toMatchObject({ code: 6, stdout: '' });
  expect(JSON.parse((await world.kubeconfig(['list', '-o', 'json'])).stdout)).toEqual({
    currentContext: null,
    contexts: [],
  });
});
