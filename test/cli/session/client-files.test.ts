import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createWorld, type World } from '../../flow/world.ts';
import type { Person } from '../../support/kleis.ts';
import { needs } from '../../support/needs.ts';
import { clientSecret } from '../../support/provider.ts';

// A kubeconfig from elsewhere names a file of this machine as the secret of its client, and the issuer that gets it.

let world: World;
let person: Person;
let theirs: string;

beforeAll(async () => {
  world = await createWorld();
});
afterAll(async () => world?.end());

beforeEach(async () => {
  person = await world.person({ cache: 'file' });
  theirs = join(person.home, 'token-of-another-tool');
  await writeFile(theirs, `${clientSecret}\n`);
  await chmod(theirs, 0o600);
});
afterEach(async () => world.removePeople());

const flags = (file = theirs) => [
  ...['--issuer-url', world.provider.issuer, '--certificate-authority', person.providerCaFile],
  ...['--client-id', 'kleis-basic', '--client-secret-file', file, '--identity', 'client-credentials'],
  // For it, the provider makes a token that is a JWT.
  ...['--scope', 'api', '--resource', 'https://cluster.example.com'],
];

function asKubectl(interactive = false): Record<string, string> {
  const spec = { cluster: { server: 'https://prod.test:6443', config: null }, interactive };
  return {
    KUBERNETES_EXEC_INFO: JSON.stringify({
      kind: 'ExecCredential',
      apiVersion: 'client.authentication.k8s.io/v1',
      spec,
    }),
  };
}

/** What kubectl runs with a kubeconfig that the person has not written; each time another kubectl. */
const run = (args: readonly string[]) =>
  person.run('/bin/sh', ['-c', '"$@"; exit $?', 'client', 'kleis-get-token', ...args], { env: asKubectl() });
const plugin = (file = theirs) => run(flags(file));
const isRefused = (file: string) => ({
  code: 6,
  stdout: '',
  stderr: expect.stringMatching(new RegExp(`${file}.*nobody has allowed[^]*clientFiles: \\["${file}"\\]`)),
});

async function writeTheirs(): Promise<void> {
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'kleis-credential', args: flags() };
  const whole = {
    clusters: [{ name: 'x', cluster: { server: 'https://prod.test:6443' } }],
    users: [{ name: 'x', user: { exec: { ...exec, args: joined(exec.args) } } }],
    contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
  };
  await mkdir(join(person.home, '.kube'), { recursive: true });
  await writeFile(person.kubeconfig, JSON.stringify(whole));
}

const joined = (args: readonly string[]) =>
  args.flatMap((arg, index) => (index % 2 === 0 ? [`${arg}=${args[index + 1]}`] : []));

describe('a file that a kubeconfig names as the secret of its client', () => {
  it.each(['--client-secret-file', '--client-key-file'])('is not read where nobody can be asked (%s)', async (flag) => {
    const args = flags().map((arg) => (arg === '--client-secret-file' ? flag : arg));
    expect(await run(args)).toMatchObject(isRefused(theirs));
    // Not even whether it is there is told.
    const missing = join(person.home, 'none');
    expect(await plugin(missing)).toMatchObject(isRefused(missing));
  });

  it('is not read for `kleis token` and `kleis login` of its context either', async () => {
    await writeTheirs();
    expect(await person.run('kleis', ['token', '--context', 'x'])).toMatchObject(isRefused(theirs));
    expect(await person.run('kleis', ['login', '--context', 'x', '--identity', 'sso'])).toMatchObject(
      isRefused(theirs),
    );
  });

  it('may lie beside config.yaml, but not behind a path that only looks so', async () => {
    const config = join(person.home, '.config/kleis');
    await writeFile(join(config, 'secret'), clientSecret, { mode: 0o600 });
    expect(await plugin(join(config, 'secret'))).toMatchObject({ code: 0 });
    expect(await plugin(`${config}/../../token-of-another-tool`)).toMatchObject(isRefused(theirs));
    await mkdir(`${config}-of-others`);
    expect(await plugin(join(`${config}-of-others`, 'secret'))).toMatchObject({ code: 6 });
  });

  it('may be one that config.yaml allows, by its path or its folder', async () => {
    for (const allowed of [theirs, `${person.home}/`]) {
      await person.writeConfig({ cache: 'file', clientFiles: [allowed] });
      expect(await plugin()).toMatchObject({ code: 0 });
    }
    await person.writeConfig({ cache: 'file', clientFiles: [person.home] });
    expect(await plugin(join(person.home, 'other'))).toMatchObject({ code: 6 });
  });

  it('is allowed by who names it on a command line, for that issuer and no other', async () => {
    const add = ['kubeconfig', 'add', '--offline', 'prod', '--server', 'https://prod.test:6443', ...flags()];
    expect(await person.run('kleis', [...add, '--dry-run'])).toMatchObject({ code: 0 });
    expect(await plugin()).toMatchObject(isRefused(theirs));
    expect(await person.run('kleis', add)).toMatchObject({ code: 0 });
    expect(await plugin()).toMatchObject({ code: 0 });
    const elsewhere = flags().map((arg) => (arg === world.provider.issuer ? 'https://evil.example' : arg));
    expect(await run(elsewhere)).toMatchObject(isRefused(theirs));
  });

  it.skipIf(!needs('script'))('is asked about once where somebody is there, and only a y allows it', async () => {
    const no = person.start('kleis-get-token', flags(), { env: asKubectl(true), tty: true });
    await no.waitFor(/Allow it\? \[y\/N\]/);
    no.stdin?.write('n\r');
    expect(await no.done).toMatchObject({ code: 3 });
    await writeTheirs();
    const asked = person.start('kleis', ['token', '--context', 'x'], { tty: true });
    const [question] = await asked.waitFor(/wants to use the secret in (\S+) at (\S+)\. Allow it\?/);
    expect(question).toContain(theirs);
    asked.stdin?.write('y\r');
    expect(await asked.done).toMatchObject({ code: 0 });
    expect(await plugin()).toMatchObject({ code: 0 });
  });
});
