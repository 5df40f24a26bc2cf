import { chmod, chown, stat } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from 'vitest';
import { parse } from 'yaml';
import { createAuthority } from '../../support/certificates.ts';
import { createKubeconfigWorld, type KubeconfigWorld } from './kubeconfig-world.ts';

// What it asks, refuses and writes, without a cluster; the tokens are in test/flow/service-account.test.ts.

let world: KubeconfigWorld;
let pem: string;
let text: string;
beforeAll(async () => {
  world = await createKubeconfigWorld();
  pem = (await createAuthority()).cert;
  await world.write('ca.crt', pem);
  text = `# mine
clusters:
- {name: prod, cluster: {server: "https://127.0.0.1:1", certificate-authority: ca.crt, proxy-url: "http://127.0.0.1:2"}}
- {name: open, cluster: {server: "https://127.0.0.1:1", insecure-skip-tls-verify: true}}
contexts:
- {name: prod, context: {cluster: prod, user: me}}
- {name: open, context: {cluster: open, user: me}}
users: [{name: me, user: {token: x}}]
current-context: prod
`;
});
beforeEach(async () => {
  await world.write('config', text);
  await chmod(world.at('config'), 0o600);
});
afterAll(() => world.remove());

const account = ['--namespace', 'web', '--name', 'deployer'];
const broker = ['--broker', 'https://kleis.example.com', '--grant', 'deploy', '--offline'];
const run = async (args: readonly string[], surroundings = {}) =>
  world.kubeconfig(['service-account', ...args], surroundings);

describe('a token that lives long', () => {
  test.each([
    [['--never-expires'], /This makes a token of web\/deployer that never ends.*Make it\?/s],
    [['--duration', '25h'], /lives for 25h.*Make it\?/s],
  ])('%j is asked about on a terminal, and a no makes nothing', async (args, question) => {
    const declined = await run([...account, ...args], { answer: 'n\n' });
    expect(declined).toMatchObject({ code: 2, stderr: expect.stringMatching(question) });
    expect(declined.stderr).toContain('No token was made.');
    expect(await world.read()).toBe(text);
    // The server is asked only then.
    expect(await run([...account, ...args], { answer: 'y\n' })).toMatchObject({ code: 5 });
    expect(await world.read()).toBe(text);
  });

  it.skipIf(process.getuid?.() !== 0)('does not go into a file that another user has put there', async () => {
    const out = await world.write('theirs', '');
    await chmod(out, 0o600);
    await chown(out, 12_345, 12_345);
    const refused = await run([...account, '--out', out]);
    expect(refused).toMatchObject({ code: 6, stderr: expect.stringContaining('belongs to another user') });
    // Of who runs this with sudo it is their own: the server is asked.
    expect(await run([...account, '--out', out], { env: { SUDO_UID: '12345' } })).toMatchObject({ code: 5 });
  });

  it('of a day is not asked about', async () => {
    const { code, stderr } = await run([...account, '--duration', '24h'], { answer: '' });
    expect({ code, asked: stderr.includes('Make it?') }).toEqual({ code: 5, asked: false });
  });
});

describe('an entry that goes through a broker', () => {
  it('in a file of its own has the cluster as it is, its authority inside, and the context of its name', async () => {
    const out = world.at('tool');
    const result = await run([
      ...broker,
      '--identity',
      'github',
      '--namespace',
      'web',
      '--cluster',
      'prod',
      '--out',
      out,
    ]);
    expect(result).toMatchObject({ code: 0, stdout: '' });
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    expect(await world.read()).toBe(text);
    const { clusters, contexts, users } = parse(await world.read('tool')) as Record<string, Record<string, object>[]>;
    expect(clusters).toEqual([
      {
        name: 'prod',
        cluster: {
          server: 'https://127.0.0.1:1',
          'proxy-url': 'http://127.0.0.1:2',
          'certificate-authority-data': Buffer.from(pem).toString('base64'),
        },
      },
    ]);
    expect(contexts).toMatchObject([{ name: 'deploy@prod', context: { cluster: 'prod', namespace: 'web' } }]);
    const exec = {
      command: 'kleis-credential',
      args: ['--identity=github', '--broker=https://kleis.example.com', '--grant=deploy'],
    };
    expect(users).toMatchObject([{ user: { exec } }]);
  });

  it('takes the cluster of the context, and the identity of where it runs, where neither is said', async () => {
    const result = await run(broker, { env: { GITHUB_ACTIONS: 'true' } });
    expect(result).toMatchObject({ code: 0 });
    expect(parse(await world.read())).toMatchObject({
      users: [
        { name: 'me' },
        { name: 'kleis-deploy@prod', user: { exec: { args: expect.arrayContaining(['--identity=github']) } } },
      ],
      'current-context': 'prod',
    });
  });

  test.each([
    ['nobody’s identity', [...broker], /identity of its own/],
    ['that of a person', [...broker, '--identity', 'sso'], /kleis kubeconfig add --from/],
    ['no grant', ['--broker', 'https://a', '--identity', 'github'], /which grant/],
    ['a server without a name', [...broker, '--identity', 'github', '--server', 'https://a'], /which cluster/],
    ['a cluster that is not there', [...broker, '--identity', 'github', '--cluster', 'x'], /no cluster "x"/],
    ['an account', [...broker, '--identity', 'github', '--name', 'x'], /--name is for a token/],
    ['what is for a broker, without one', [...account, '--ttl', '5m'], /--ttl is for --broker/],
    ['no account', ['--namespace', 'web'], /whose token/],
    ['a file that is none', [...account, '--out', ''], /--out names no file/],
  ])('%s is refused, and nothing is written', async (_, args, words) => {
    const { code, stdout, stderr } = await run(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(words);
    expect(await world.read()).toBe(text);
  });

  it('for a cluster that anybody could be stands in no file of its own, and gets no token', async () => {
    for (const args of [
      [...broker, '--identity', 'github', '--cluster', 'open'],
      [...account, '--context', 'open'],
    ]) {
      const result = await run([...args, '--out', world.at('never')]);
      expect(result).toMatchObject({ code: 6, stderr: expect.stringContaining('insecure-skip-tls-verify') });
    }
    expect(await world.files()).not.toContain('never');
  });
});
