import { chmod, chown, readdir, readFile, stat, symlink } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createAuthority } from '../../support/certificates.ts';
import { createKubeconfigWorld, type KubeconfigWorld } from './kubeconfig-world.ts';

let world: KubeconfigWorld;
beforeEach(async () => {
  world = await createKubeconfigWorld();
});
afterEach(() => world.remove());

const exec = (command: string, ...args: string[]) => ({
  exec: { apiVersion: 'client.authentication.k8s.io/v1', command, args },
});

/** A kubeconfig with this user alone, and a comment on every side. */
async function withUser(user: object): Promise<string> {
  const text = `# before
users:
# above
- name: u # its name
  user: ${JSON.stringify(user)}
# below
clusters: [{name: k, cluster: {server: "https://k"}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
`;
  await world.write('config', text);
  return text;
}

async function migrated(user: object, ...flags: string[]): Promise<{ args: string[]; said: string; code: number }> {
  const before = await withUser(user);
  const { code, stderr, stdout } = await world.kubeconfig(['migrate', 'c', '--yes', ...flags]);
  const text = await world.read();
  const [first, last] = ['# before\nusers:\n# above\n- name: u # its name\n', '# below\n'];
  expect(text.startsWith(first)).toBe(true);
  expect(text.endsWith(before.slice(before.indexOf(last)))).toBe(true);
  expect(stdout).toBe('');
  const { users } = parse(text) as { users: { user: { exec?: { args?: string[] } } }[] };
  return { args: users[0]?.user.exec?.args ?? [], said: stderr, code };
}

describe('what becomes of', () => {
  test('kubelogin: every flag with a counterpart is taken, every other one is named with the reason', async () => {
    const { args, said } = await migrated(
      exec(
        'kubectl',
        'oidc-login',
        'get-token',
        '--oidc-issuer-url=https://sso.example.com/realms/acme',
        '--oidc-client-id',
        'kubernetes',
        '--oidc-extra-scope=email,groups',
        '--oidc-extra-scope',
        'openid',
        '--oidc-use-access-token',
        '--oidc-auth-request-extra-params=prompt=login,audience=api,state=x',
        '--listen-address=0.0.0.0:12345,127.0.0.1:18000',
        '--grant-type=device-code',
        '--authentication-timeout-sec=60',
        '--token-cache-storage=keyring',
        '--token-cache-dir=/x',
        '--oidc-pkce-method=S256',
        '--skip-open-browser=true',
        '--insecure-skip-tls-verify',
        '--new-flag=hunter1',
        '-v1',
      ),
    );
    expect(args).toEqual([
      '--issuer-url=https://sso.example.com/realms/acme',
      '--client-id=kubernetes',
      '--scope=email',
      '--scope=groups',
      '--audience=api',
      '--auth-param=prompt=login',
      '--token=access',
      '--login=device',
      '--listen-address=localhost:12345',
      '--listen-address=localhost:18000',
      '--cache=keyring',
      '--login-timeout=60s',
    ]);
    for (const left of [
      '--oidc-auth-request-extra-params state: left out,\n      Kleis itself says it',
      '--token-cache-dir: left out',
      '--oidc-pkce-method: left out',
      '--skip-open-browser: left out',
      '--insecure-skip-tls-verify: left out,\n      Kleis verifies',
      '--new-flag: left out, Kleis does not know it',
      '-v: left out, --verbose and KLEIS_LOG say more',
    ]) {
      expect(said).toContain(left);
    }
    expect(said).not.toContain('hunter');
  });

  test.each([
    [
      'kubelogin',
      ['get-token', '--oidc-issuer-url', 'https://a', '--oidc-client-id=b', '--grant-type=authcode'],
      ['--login=browser'],
    ],
    [
      '/usr/local/bin/kubectl-oidc_login',
      ['get-token', '--oidc-issuer-url=https://a', '--oidc-redirect-url=http://127.0.0.1:9/cb'],
      ['--redirect-uri=http://127.0.0.1:9/cb'],
    ],
    [
      'kubelogin.exe',
      ['get-token', '--oidc-issuer-url=https://a', '--oidc-redirect-url-hostname=127.0.0.1'],
      ['--listen-address=127.0.0.1:8000', '--listen-address=127.0.0.1:18000'],
    ],
    ['kubelogin', ['get-token', '--oidc-issuer-url=https://a', '--oidc-redirect-url=https://x/cb'], []],
  ])('%s %j', async (command, args, want) => {
    const result = await migrated(exec(command, ...args));
    expect(result.args.filter((arg) => !/^--(issuer-url|client-id)/.test(arg))).toEqual(want);
  });

  test('a secret in the file: it gets a file of its own, and stays in the backup alone', async () => {
    const before = await withUser(
      exec(
        'kubelogin',
        'get-token',
        '--oidc-issuer-url=https://a',
        '--oidc-client-id=b',
        '--oidc-client-secret=hunter2',
      ),
    );
    const { stderr } = await world.kubeconfig(['migrate', 'u', '--yes']);
    const folder = world.at('.config/kleis/secrets');
    const [name = ''] = await readdir(folder);
    expect(await readFile(`${folder}/${name}`, 'utf8')).toBe('hunter2\n');
    expect((await stat(`${folder}/${name}`)).mode & 0o777).toBe(0o600);
    expect(stderr).toContain(`--client-secret-file=${folder}/${name},\n      a new file that you alone can read`);
    expect(stderr).not.toContain('hunter');
    expect(await world.read()).toContain(`--client-secret-file=${folder}/${name}`);
    expect(await world.read()).not.toContain('hunter');
    const backup = (await world.files()).find((each) => each.startsWith('config.kleis-backup-')) ?? '';
    expect(await world.read(backup)).toBe(before);
    expect((await stat(world.at(backup))).mode & 0o777).toBe(0o600);
    expect(stderr).toContain(world.at(backup));
  });

  test('certificate authorities, files and text: they travel inside', async () => {
    const [one, other] = [await createAuthority(), await createAuthority()];
    await world.write('ca.pem', one.cert);
    const data = Buffer.from(other.cert).toString('base64');
    const { args } = await migrated(
      exec(
        'kubelogin',
        'get-token',
        '--oidc-issuer-url=https://a',
        `--certificate-authority=${world.at('ca.pem')}`,
        `--certificate-authority-data=${data}`,
      ),
    );
    const found = args.find((arg) => arg.startsWith('--certificate-authority-data='))?.split('=')[1] ?? '';
    expect(Buffer.from(found, 'base64').toString()).toBe(`${one.cert.trim()}\n${other.cert.trim()}\n`);
    const missing = exec(
      'kubelogin',
      'get-token',
      '--oidc-issuer-url=https://a',
      '--certificate-authority=/nowhere.pem',
    );
    await withUser(missing);
    expect(await world.kubeconfig(['migrate', 'c', '--yes'])).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(/nowhere.pem/),
    });
  });

  test('the removed auth-provider oidc: tokens in it are not taken over', async () => {
    const config = {
      'idp-issuer-url': 'https://dex',
      'client-id': 'k',
      'extra-scopes': 'groups, email',
      'id-token': 'hunter4',
      'refresh-token': 'hunter5',
    };
    const { args, said } = await migrated({ 'auth-provider': { name: 'oidc', config } });
    expect(args).toEqual(['--issuer-url=https://dex', '--client-id=k', '--scope=groups', '--scope=email']);
    expect(said).toMatch(/refresh-token: left out, it is not taken over: you sign in once/);
    expect(said).not.toContain('hunter');
  });

  test.each([
    ['devicecode', ['--client-id=c', '--login=device'], ['/.default', 'offline_access']],
    ['interactive', ['--client-id=c', '--login=browser'], ['/.default', 'offline_access']],
    ['azurecli', ['--client-id=80faf920-1908-4b52-b5ef-a8e7bedfc67a'], ['/.default', 'offline_access']],
  ])('kubelogin of Azure with --login %s', async (login, some, scopes) => {
    const { args } = await migrated(
      exec(
        'kubelogin',
        'get-token',
        '--login',
        login,
        '--server-id',
        's',
        '--client-id',
        'c',
        '--tenant-id',
        't',
        '--environment',
        'AzurePublicCloud',
      ),
    );
    expect(args).toEqual([
      '--issuer-url=https://login.microsoftonline.com/t/v2.0',
      some[0],
      `--scope=s${scopes[0]}`,
      '--scope=offline_access',
      '--token=access',
      ...some.slice(1),
    ]);
  });

  test('Pinniped without its Concierge', async () => {
    const { args } = await migrated(
      exec(
        'pinniped',
        'login',
        'oidc',
        '--issuer=https://p',
        '--scopes=offline_access,openid,pinniped:request-audience',
        '--upstream-identity-provider-name=corp',
        '--session-cache=/x',
      ),
    );
    expect(args).toEqual([
      '--issuer-url=https://p',
      '--client-id=pinniped-cli',
      '--scope=offline_access',
      '--auth-param=pinniped_idp_name=corp',
      '--redirect-uri=http://127.0.0.1:0/callback',
    ]);
  });

  test('the environment of the plugin: Kleis keeps what it reads', async () => {
    const plugin = exec('kubelogin', 'get-token', '--oidc-issuer-url=https://a');
    const env = [
      { name: 'HTTPS_PROXY', value: 'http://p:1' },
      { name: 'AWS_PROFILE', value: 'hunter7' },
    ];
    const { said } = await migrated({ exec: { ...plugin.exec, env } });
    expect(parse(await world.read())).toMatchObject({ users: [{ user: { exec: { env: [env[0]] } } }] });
    expect(said).toContain('the variable AWS_PROFILE: left out');
    expect(said).not.toContain('hunter');
  });
});

describe('what has no counterpart', () => {
  const others: [string, object, RegExp][] = [
    ['aws', exec('aws', 'eks', 'get-token', '--cluster-name', 'x'), /a token of AWS/],
    ['oci', exec('oci', 'ce', 'cluster', 'generate-token'), /a token of Oracle Cloud/],
    ['gke', exec('gke-gcloud-auth-plugin'), /a token of Google Cloud/],
    ['another plugin', exec('tsh', 'kube', 'credentials'), /signs in with tsh, which Kleis does not know/],
    ['the Concierge', exec('pinniped', 'login', 'oidc', '--issuer=https://p', '--enable-concierge'), /the Concierge/],
    [
      'an audience of the Supervisor',
      exec('pinniped', 'login', 'oidc', '--issuer=https://p', '--request-audience=k'),
      /the Supervisor/,
    ],
    ['a machine of Azure', exec('kubelogin', 'get-token', '--server-id=s', '--login=msi'), /signs in with msi/],
    [
      'a bound token',
      exec('kubelogin', 'get-token', '--server-id=s', '--tenant-id=t', '--pop-enabled'),
      /bound to a key/,
    ],
    ['a token', { token: 'hunter2' }, /holds a token/],
    ['a token file', { tokenFile: 't' }, /reads a token from a file/],
    ['a password', { username: 'a', password: 'hunter2' }, /holds a password/],
    ['a certificate', { 'client-certificate-data': 'x', 'client-key-data': 'hunter2' }, /holds a client certificate/],
    ['nothing', {}, /says nothing of how it signs in/],
    [
      'an issuer that cannot be',
      exec('kubelogin', 'get-token', '--oidc-issuer-url=http://a.example'),
      /would be refused/,
    ],
  ];
  test.each(others)('%s: it says so, changes nothing, and what would help', async (_name, user, reason) => {
    const text = await withUser(user);
    const { code, stderr } = await world.kubeconfig(['migrate', 'c', '--yes']);
    expect(code).toBe(6);
    expect(stderr).toMatch(reason);
    expect(stderr).not.toContain('hunter');
    expect(await world.read()).toBe(text);
    expect(await world.kubeconfig(['migrate', '--all', '--yes'])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/stays as it is[^]*Nothing to migrate/),
    });
    expect(await world.files()).toEqual(['config']);
  });

  test.each(others.slice(0, 4))('%s signs in where the person says', async (_name, user) => {
    const { args } = await migrated(user, '--issuer-url=https://sso', '--scope=groups');
    expect(args).toEqual(['--issuer-url=https://sso', '--scope=groups']);
  });
});

describe('the command', () => {
  const user = exec('kubelogin', 'get-token', '--oidc-issuer-url=https://a', '--oidc-client-secret=hunter2');

  test('with --dry-run says all and writes neither kubeconfig, backup nor secret', async () => {
    const text = await withUser(user);
    const { stdout } = await world.kubeconfig(['migrate', '--all', '--dry-run']);
    expect(stdout).toMatch(
      /The user "u" \(kubelogin\) is to sign in with Kleis:\n {2}--oidc-issuer-url → --issuer-url=https:\/\/a\n/,
    );
    expect(stdout).toMatch(/Would change the user "u"/);
    expect(stdout).not.toContain('hunter');
    expect(await world.files()).toEqual(['config']);
    expect(await world.read()).toBe(text);
  });

  test('asks before it replaces; a no leaves nothing behind', async () => {
    const text = await withUser(user);
    expect(await world.kubeconfig(['migrate', 'c'], { answer: 'n\n' })).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/Replace\?/),
    });
    expect(await world.kubeconfig(['migrate', 'c'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/--yes/) });
    expect(await world.files()).toEqual(['config']);
    expect(await world.read()).toBe(text);
  });

  test.each([
    [[], /not said which users/],
    [['c', '--all'], /different things/],
    [['--all', '--issuer-url=https://x'], /every entry says itself/],
    [['nobody'], /no context "nobody"/],
  ])('%j is refused', async (args, stderr) => {
    await withUser(user);
    const answer = await world.kubeconfig(['migrate', ...args, '--yes']);
    expect(answer.code).not.toBe(0);
    expect(answer.stderr).toMatch(stderr);
  });

  test('what the person types wins over the entry', async () => {
    const { args } = await migrated(user, '--login=paste', '--client-id=mine', '--client-secret-file=/s');
    expect(args).toEqual(['--issuer-url=https://a', '--client-id=mine', '--client-secret-file=/s', '--login=paste']);
  });

  test('a second time there is nothing to do; a second backup takes nothing from the first', async () => {
    await withUser(user);
    await world.kubeconfig(['migrate', 'c', '--yes']);
    expect(await world.kubeconfig(['migrate', 'c', '--yes'])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/Kleis already/),
    });
    await withUser(user);
    await world.kubeconfig(['migrate', 'c', '--yes']);
    const backups = (await world.files()).filter((name) => name.includes('backup'));
    expect(backups).toHaveLength(2);
  });

  test('a link stays one; what cannot be written is refused before anything is', async () => {
    await withUser(user);
    await symlink(world.at('config'), world.at('link'));
    expect(await world.kubeconfig(['migrate', 'c', '--yes'], { files: ['link'] })).toMatchObject({ code: 0 });
    expect((await world.files()).filter((name) => name.startsWith('link.kleis-backup'))).toHaveLength(1);
    const text = await world
      .write('docs', 'users:\n- name: u\n  user: &a {token: x}\n- {name: v, user: *a}\n')
      .then(() => world.read('docs'));
    expect(
      await world.kubeconfig(['migrate', 'u', '--yes', '--issuer-url=https://a'], { files: ['docs'] }),
    ).toMatchObject({ code: 6, stderr: expect.stringMatching(/cannot edit safely/) });
    expect(await world.read('docs')).toBe(text);
  });

  test('a kubeconfig that its owner made read-only is not replaced, and neither backup nor secret is left', async () => {
    const text = await withUser(user);
    await chmod(world.at('config'), 0o400);
    const root = process.getuid?.() === 0;
    if (root) for (const name of ['.', 'config']) await chown(world.at(name), 65_534, 65_534);
    if (root) process.seteuid?.(65_534);
    try {
      const { code, stderr } = await world.kubeconfig(['migrate', 'c', '--yes']);
      expect(code).toBe(6);
      expect(stderr).toMatch(/no right/);
    } finally {
      if (root) process.seteuid?.(0);
    }
    expect(await world.files()).toEqual(['config']);
    expect(await world.read()).toBe(text);
  });
});
