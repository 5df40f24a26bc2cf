import { chmod, copyFile, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { built } from '../support/built.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { createPerson, type Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { until } from '../support/wait.ts';
import { said } from './world.ts';

// A kubeconfig for a tool, with a token that ends, or says that it does not.

const kubectl = needs('kubectl-new') ?? needs('kubectl');
const tools = needs('kube-controllers');

let cluster: Cluster;
const people: Person[] = [];

beforeAll(async () => {
  if (kubectl === undefined || tools === undefined) return;
  cluster = await startCluster({ kind: '1.36', controllers: true });
  await cluster.request('POST', '/api/v1/namespaces', { metadata: { name: 'web' } });
  for (const name of ['deployer', 'root']) {
    await cluster.request('POST', '/api/v1/namespaces/web/serviceaccounts', { metadata: { name } });
  }
  await cluster.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'root' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: 'root', namespace: 'web' }],
  });
}, 120_000);
afterEach(() => Promise.all(people.splice(0).map((person) => person.remove())));
afterAll(() => cluster?.stop());

/** Somebody with the kubeconfig of an admin, with comments of their own. */
async function admin(): Promise<{ person: Person; text: string }> {
  const person = await createPerson(await built());
  people.push(person);
  await person.run('mkdir', ['-p', join(person.home, '.kube')]);
  await copyFile(cluster.adminKubeconfig, person.kubeconfig);
  await chmod(person.kubeconfig, 0o600);
  return { person, text: await readFile(person.kubeconfig, 'utf8') };
}

const account = ['--namespace', 'web', '--name', 'deployer'];
const make = async (person: Person, ...args: string[]) =>
  person.run('kleis', ['kubeconfig', 'service-account', ...args], { timeout: 60_000 });
const whoami = async (person: Person, ...args: string[]) =>
  person.run(kubectl ?? '', [...args, 'auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}']);
const minted = async () =>
  (await cluster.audit()).filter(({ method, uri }) => method !== 'get' && /\/deployer\/token|\/secrets$/.test(uri))
    .length;
const secrets = async () => {
  const { items } = (await cluster.request('GET', '/api/v1/namespaces/web/secrets')) as unknown as { items: unknown[] };
  return items.length;
};

describe.skipIf(kubectl === undefined || tools === undefined)('a kubeconfig for a tool', () => {
  it('is a file of its own, for its owner alone, in which the token ends when it is said to', async () => {
    const { person, text } = await admin();
    const out = join(person.home, 'tool.kubeconfig');
    const result = await make(person, ...account, '--duration', '2h', '--out', out);
    expect(said(result)).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringMatching(/Its token ends 20\S+Z, in 2h\./),
    });
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    const { users, contexts, 'current-context': current } = parse(await readFile(out, 'utf8'));
    const { token } = users[0].user as { token: string };
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp: number };
    expect(result.stderr).toContain(new Date(exp * 1000).toISOString().replace('.000Z', 'Z'));
    expect(Math.abs(exp - Date.now() / 1000 - 7200)).toBeLessThan(120);
    expect(contexts).toEqual([
      { name: current, context: { cluster: 'test', user: `kleis-${current}`, namespace: 'web' } },
    ]);
    expect(result.stderr).not.toContain(token.split('.')[2]);
    expect(await readFile(person.kubeconfig, 'utf8')).toBe(text);
    expect((await whoami(person, '--kubeconfig', out)).stdout).toBe('system:serviceaccount:web:deployer');

    const again = await make(person, ...account, '--out', out);
    expect(said(again)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') });
    expect((await make(person, ...account, '--out', out, '--yes')).stderr).toContain('in 1h.');
  });

  it('goes beside what is there, which stays; nothing is made for a file that others read', async () => {
    const { person, text } = await admin();
    await chmod(person.kubeconfig, 0o644);
    const before = await minted();
    expect(said(await make(person, 'tool', ...account))).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(/open to others(.|\n)*chmod go=/),
    });
    await chmod(person.kubeconfig, 0o600);
    const dry = await make(person, 'tool', ...account, '--dry-run');
    expect(said(dry)).toMatchObject({ code: 0, stdout: expect.stringContaining('token: "(made when it is written)"') });
    expect(await readFile(person.kubeconfig, 'utf8')).toBe(text);
    expect(await minted()).toBe(before);
    expect(said(await make(person, 'tool', ...account))).toMatchObject({ code: 0 });
    const after = await readFile(person.kubeconfig, 'utf8');
    const { users } = JSON.parse(text) as { users: object[] };
    expect(parse(after)).toMatchObject({ 'current-context': 'test', users: [...users, { name: 'kleis-tool' }] });
    expect((await whoami(person, '--context', 'tool')).stdout).toBe('system:serviceaccount:web:deployer');
    expect((await whoami(person)).stdout).toBe('admin');
  });

  it('lives a day at most unless somebody says more, and says when the API server gives less', async () => {
    const { person } = await admin();
    const out = join(person.home, 'tool.kubeconfig');
    const before = await minted();
    expect(said(await make(person, ...account, '--duration', '48h', '--out', out))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/lives for 48h(.|\n)*--yes/),
    });
    for (const duration of ['9m', '8761h', '1d', '']) {
      expect((await make(person, ...account, '--duration', duration, '--out', out)).code, duration).toBe(2);
    }
    expect(await minted()).toBe(before);
    const result = await make(person, ...account, '--duration', '48h', '--out', out, '--yes');
    expect(said(result)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('you asked for 48h, and the API server gives 24h.'),
    });
  });

  it('never ends only if that is said twice, and ends with the command that is told', async () => {
    const { person } = await admin();
    const out = join(person.home, 'tool.kubeconfig');
    const there = await secrets();
    expect(said(await make(person, ...account, '--never-expires', '--out', out))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('never ends'),
    });
    expect((await make(person, ...account, '--never-expires', '--duration', '1h', '--out', out, '--yes')).code).toBe(2);
    // What cannot be written leaves no token behind.
    const lost = await make(person, ...account, '--never-expires', '--yes', '--out', '/proc/nowhere/file');
    expect(said(lost)).toMatchObject({ code: 6, stderr: expect.stringContaining('Removed the Secret web/') });
    expect(await secrets()).toBe(there);

    const made = await make(person, ...account, '--never-expires', '--yes', '--out', out);
    expect(said(made)).toMatchObject({ code: 0, stderr: expect.stringContaining('Its token never ends.') });
    expect((await whoami(person, '--kubeconfig', out)).stdout).toBe('system:serviceaccount:web:deployer');
    const [, command = ''] = /until this is run: (kubectl .*)/.exec(made.stderr) ?? [];
    const removed = await person.run(kubectl ?? '', command.split(' ').slice(1));
    expect(said(removed)).toMatchObject({ code: 0 });
    await until('the token has ended', async () => (await whoami(person, '--kubeconfig', out)).code !== 0);
  });

  it('says what is wrong: an account of everything, one that is not there, one that is not mine to give', async () => {
    const { person } = await admin();
    const out = join(person.home, 'root.kubeconfig');
    const root = await make(person, '--namespace', 'web', '--name', 'root', '--out', out);
    expect(said(root)).toMatchObject({ code: 0, stderr: expect.stringContaining('web/root may do everything') });
    const nobody = await make(person, '--namespace', 'web', '--name', 'nobody', '--out', join(person.home, 'x'));
    expect(said(nobody)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no service account web\/nobody(.|\n)*create serviceaccount/),
    });
    await make(person, 'tool', ...account);
    const denied = await make(person, ...account, '--context', 'tool', '--out', join(person.home, 'y'));
    expect(said(denied)).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/may not make tokens of web\/deployer(.|\n)*--broker/),
    });
    const never = await make(
      person,
      ...account,
      '--context',
      'tool',
      '--never-expires',
      '--yes',
      '--out',
      join(person.home, 'z'),
    );
    expect(said(never)).toMatchObject({ code: 4, stderr: expect.stringContaining('may not create Secrets in web') });
    await writeFile(join(person.home, 'empty'), '');
    for (const args of [
      [],
      ['--name', 'deployer'],
      [...account, '--cluster', 'c'],
      [...account, '--issuer-url', 'https://a'],
      ['--namespace', 'web', '--name', '../x'],
      ['--broker', 'https://b', '--grant', 'g', '--cluster', 'test'],
      ['--broker', 'https://b', '--identity', 'github', '--cluster', 'test'],
      ['--broker', 'https://b', '--grant', 'g', '--identity', 'github', '--duration', '1h'],
    ]) {
      const refused = await make(person, ...args);
      expect(said(refused), args.join(' ')).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/^error: .*\nnext: /m),
      });
    }
  });
});
