import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { makeToken } from '../cli/identity/world.ts';
import type { Cluster } from '../support/cluster.ts';
import type { Person } from '../support/kleis.ts';
import { createWorld, said, type World } from './world.ts';

let world: World;
let cluster: Cluster;
beforeAll(async () => {
  world = await createWorld();
  cluster = await world.startCluster('stand-in');
});
afterEach(() => world.removePeople());
afterAll(() => world?.end());

async function someone(signedIn = true): Promise<Person> {
  const person = await world.person();
  await person.addContext('prod', cluster, [...world.flags, '--certificate-authority', person.providerCaFile]);
  if (signedIn) await person.run('kleis', ['login', '--context', 'prod'], { timeout: 60_000 });
  return person;
}

it('says who I am to the provider and to the cluster, which is asked', async () => {
  const person = await someone();
  const { code, stdout, stderr } = await person.run('kleis', ['whoami']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^Name +alice@example\.com$/m);
  expect(stdout).toMatch(/^Subject +alice$/m);
  expect(stdout).toContain(world.provider.issuer);
  expect(stdout).toMatch(/^Groups +developers$/m);
  expect(stdout).toMatch(/^Renews +yes/m);
  expect(stdout).toMatch(/^Cluster sees +oidc:alice@example\.com, in oidc:developers$/m);
});

it('with --claims prints what the ID token says, and never a token', async () => {
  const person = await someone();
  for (const args of [['--claims'], ['--claims', '-o', 'json'], ['-o', 'json']]) {
    const { stdout } = await person.run('kleis', ['whoami', ...args]);
    expect(stdout.includes('"email_verified"')).toBe(args.includes('--claims'));
    expect(stdout).not.toMatch(/eyJ[\w-]+\./);
  }
  const { stdout } = await person.run('kleis', ['whoami', '-o', 'json']);
  expect(JSON.parse(stdout)).toMatchObject({
    name: 'alice@example.com',
    groups: ['developers'],
    renewsItself: true,
    context: 'prod',
    cluster: { server: cluster.server, asked: true, accepted: true, username: 'oidc:alice@example.com' },
  });
});

it('where nobody is signed in says so and signs nobody in', async () => {
  const person = await someone(false);
  const result = await person.run('kleis', ['whoami']);
  expect(said(result)).toMatchObject({ code: 3, stdout: '' });
  expect(result.stderr).toMatch(/Nobody is signed in.*\n.*kleis login --context prod/);
  expect(await person.windows()).toEqual([]);
});

it('a cluster that does not answer is not asked; one that refuses the token sees nobody', async () => {
  const person = await someone();
  await person.addContext('gone', { server: 'https://127.0.0.1:1', caFile: cluster.caFile }, [
    ...world.flags,
    '--certificate-authority',
    person.providerCaFile,
  ]);
  expect((await person.run('kleis', ['whoami', '--context', 'gone'])).stdout).toMatch(
    /^Cluster sees +not asked: .*refused/m,
  );
  world.distrust(true);
  try {
    await person.run('kleis', ['login', '--context', 'prod'], { timeout: 60_000 });
    const { stdout } = await person.run('kleis', ['whoami', '--context', 'prod']);
    expect(stdout).toMatch(/^Cluster sees +nobody: it refuses this token \(401\)/m);
  } finally {
    world.distrust(false);
  }
});

it('of a job it tells the identity that the platform gives', async () => {
  const person = await world.person();
  const now = Math.floor(Date.now() / 1000);
  const env = { TOKEN: makeToken({ iss: 'https://ci.example', sub: 'job-1', iat: now, exp: now + 600, aud: 'kleis' }) };
  const { code, stdout } = await person.run('kleis', ['whoami', '--identity', 'env:TOKEN', '--audience', 'kleis'], {
    env,
  });
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Subject +job-1$/m);
  expect(stdout).toMatch(/^Provider +https:\/\/ci\.example$/m);
  expect(stdout).toMatch(/^Cluster sees +not asked: no context is named$/m);
});
