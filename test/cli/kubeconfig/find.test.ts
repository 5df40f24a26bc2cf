import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findEntry } from '../../../cli/kubeconfig/find.ts';
import { contextNames } from '../../../cli/kubeconfig/load.ts';

let folder: string;
const at = (...names: string[]) => join(folder, ...names);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-find-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const find = (context: string | undefined, kubeconfig = 'config') =>
  findEntry({ context, kubeconfig: at(kubeconfig) }, { env: { HOME: folder }, platform: process.platform });
const fails = (message: RegExp, hint = /./) =>
  expect.objectContaining({
    code: 'kubeconfig_invalid',
    message: expect.stringMatching(message),
    hint: expect.stringMatching(hint),
  });

const config = `users:
- name: plain
  user: {exec: {command: kleis-credential, args: [--issuer-url=https://sso], provideClusterInfo: true}}
- name: other
  user: {token: t}
clusters:
- name: prod
  cluster:
    server: https://prod
    certificate-authority: ca.crt
    tls-server-name: kubernetes
    proxy-url: http://proxy
    extensions:
    - {name: elsewhere, extension: {audience: no}}
    - {name: client.authentication.k8s.io/exec, extension: {audience: prod}}
- name: broken
  cluster: {tls-server-name: x}
contexts:
- {name: prod, context: {cluster: prod, user: plain, namespace: web}}
- {name: token, context: {cluster: prod, user: other}}
- {name: dangling, context: {cluster: nowhere, user: plain}}
- {name: empty}
- {name: broken, context: {cluster: broken, user: plain}}
current-context: prod
`;

test('what kubectl would tell the plugin, with the certificate from beside the kubeconfig', async () => {
  await mkdir(at('etc'));
  await writeFile(at('etc', 'config'), config);
  await writeFile(at('etc', 'ca.crt'), 'PEM');
  for (const context of ['prod', undefined]) {
    expect(await find(context, join('etc', 'config'))).toEqual({
      context: 'prod',
      namespace: 'web',
      user: 'plain',
      exec: { command: 'kleis-credential', args: ['--issuer-url=https://sso'], provideClusterInfo: true },
      file: at('etc', 'config'),
      args: ['--issuer-url=https://sso'],
      env: {},
      cluster: {
        server: 'https://prod',
        'tls-server-name': 'kubernetes',
        'certificate-authority-data': Buffer.from('PEM').toString('base64'),
        'proxy-url': 'http://proxy',
        config: { audience: 'prod' },
      },
    });
  }
});

test('a file that somebody is writing is waited for, a lock that was left behind is not', async () => {
  // kubectl empties the file first, with its lock held.
  await writeFile(at('config'), '');
  await writeFile(at('config.lock'), '');
  const found = find('prod');
  const early = found.catch(() => 'given up');
  expect(await Promise.race([early, sleep(100, 'waiting')])).toBe('waiting');
  await writeFile(at('config'), config.replace('certificate-authority: ca.crt', ''));
  await rm(at('config.lock'));
  expect(await found).toMatchObject({ user: 'plain' });
  await writeFile(at('config.lock'), '');
  expect(await find('prod')).toMatchObject({ user: 'plain' });
});

test('a pipe is read as kubectl reads it', async () => {
  await promisify(execFile)('mkfifo', [at('config')]);
  const written = writeFile(at('config'), config.replace('certificate-authority: ca.crt', ''));
  expect(await find('prod')).toMatchObject({ user: 'plain' });
  await written;
});

test('of several files, the first that has a name counts', async () => {
  const user = (flag: string) => `users: [{name: u, user: {exec: {command: kleis-credential, args: [${flag}]}}}]\n`;
  await writeFile(at('a'), `${user('--first')}current-context: c\n`);
  await writeFile(
    at('c'),
    `${user('--second')}current-context: other\nclusters: [{name: k, cluster: {server: "https://k"}}]
contexts: [{name: c, context: {cluster: k, user: u}}]\n`,
  );
  const KUBECONFIG = [at('a'), at('missing'), at('c')].join(delimiter);
  const deps = { env: { KUBECONFIG }, platform: process.platform };
  expect(await findEntry({}, deps)).toMatchObject({
    args: ['--first'],
    file: at('a'),
    cluster: { server: 'https://k' },
  });
  expect(await contextNames(deps)).toEqual(['c']);
});

describe('a user signs in with Kleis', () => {
  test.each<[string, readonly string[], readonly string[] | undefined]>([
    ['kleis-credential', ['--a'], ['--a']],
    ['/usr/local/bin/kleis-credential', [], []],
    ['C:\\Program Files\\kleis-get-token.exe', ['--a'], ['--a']],
    ['kleis-get-token.cmd', [], []],
    ['kleis', ['get-token', '--a'], ['--a']],
    ['kubectl', ['kleis', 'get-token', '--a'], ['--a']],
    ['kubectl-kleis', ['get-token'], []],
    ['kleis', ['--a', 'get-token'], undefined],
    ['kubectl', ['oidc-login', 'get-token'], undefined],
    ['not-kleis', ['get-token'], undefined],
    ['constructor', [], undefined],
  ])('%s %j', async (command, args, found) => {
    const value = {
      users: [{ name: 'u', user: { exec: { command, args } } }],
      clusters: [{ name: 'k', cluster: { server: 'https://k' } }],
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    };
    await writeFile(at('config'), JSON.stringify(value));
    if (found === undefined) await expect(find('c')).rejects.toEqual(fails(/user "u" .* does not sign in with Kleis/));
    else expect(await find('c')).toMatchObject({ args: found });
  });
});

describe('what does not lead to an entry, says why', () => {
  test.each([
    ['nowhere', /There is no context "nowhere" in .*config\./, /There are: broken, dangling, empty, prod, token\./],
    ['bad\u001b[2Jname', /There is no context "bad\\u\{1b\}\[2Jname"/, /./],
    ['token', /The user "other" of the context "token" does not sign in with Kleis/, /kleis kubeconfig add/],
    [
      'dangling',
      /config:21:39: the context "dangling" names the cluster "nowhere", which does not exist/,
      /There are: broken, prod/,
    ],
    ['empty', /config:22:3: the context "empty" names no user/, /./],
    ['broken', /config:17:12: the cluster "broken" has no server/, /./],
    ['prod', /config:10:28: Cannot read ca\.crt/, /./],
  ])('%j', async (context, message, hint) => {
    await writeFile(at('config'), config);
    await expect(find(context)).rejects.toEqual(fails(message, hint));
  });

  test('no file, no current context, no YAML', async () => {
    await expect(find(undefined)).rejects.toEqual(fails(/There is no kubeconfig: .*config does not exist/));
    await writeFile(at('config'), 'contexts: [{name: a}]\n');
    await expect(find(undefined)).rejects.toEqual(fails(/has no current context/, /There is: a\./));
    await writeFile(at('config'), 'contexts: [\n');
    await expect(find(undefined)).rejects.toEqual(fails(/config:2:1: this is not valid YAML/));
  });

  test('many names are not all listed, and none can move the cursor', async () => {
    const contexts = Array.from({ length: 50 }, (_unused, index) => ({
      name: `c${index}\u001b[31m${'x'.repeat(300)}`,
    }));
    await writeFile(at('config'), JSON.stringify({ contexts }));
    const error: unknown = await find('other').catch((thrown: unknown) => thrown);
    expect(error).toEqual(fails(/./, /, and 30 more\.$/));
    expect((error as Error & { hint: string }).hint).not.toContain('\u001b');
    expect((error as Error & { hint: string }).hint.length).toBeLessThan(2000);
    expect(await contextNames({ env: { KUBECONFIG: at('config') }, platform: process.platform })).toEqual([]);
  });

  test('shell completion is offered nothing rather than an error', async () => {
    await writeFile(at('config'), 'contexts: [\n');
    expect(await contextNames({ env: { KUBECONFIG: at('config') }, platform: process.platform })).toEqual([]);
    expect(await contextNames({ env: {}, platform: process.platform })).toEqual([]);
  });
});
