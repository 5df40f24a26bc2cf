import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Person } from '../support/kleis.ts';
import { createWorld, type World } from './world.ts';

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterEach(() => world.removePeople());
afterAll(() => world?.end());

const prod = 'https://prod.example.com:6443';
const info = {
  kind: 'ExecCredential',
  apiVersion: 'client.authentication.k8s.io/v1',
  spec: { cluster: { server: prod, config: { audience: 'kleis' } }, interactive: false },
};

async function ask(person: Person, program: string, more: readonly string[], log: string) {
  const flags = [...world.flags, '--certificate-authority', person.providerCaFile, '--auth-param', 'hint=hidden-word'];
  return person.run('/bin/sh', ['-c', '"$@"; exit $?', 'kubectl', program, ...flags, ...more], {
    env: { KUBERNETES_EXEC_INFO: JSON.stringify(info), KLEIS_LOG: log },
    timeout: 30_000,
  });
}

/** Whatever may be secret in what was issued so far. */
async function secrets(person: Person, stdout: string): Promise<string[]> {
  const folder = join(person.home, '.local/state/kleis/sessions');
  const [name = ''] = (await readdir(folder)).filter((each) => each.endsWith('.json'));
  const session = JSON.parse(await readFile(join(folder, name), 'utf8')) as { secrets: Record<string, unknown> };
  const codes = world.provider.seen.flatMap(({ params }) => [params['code'], params['code_verifier']]);
  const { status } = JSON.parse(stdout) as { status: { token: string } };
  const all = [status.token, ...Object.values(session.secrets), ...codes];
  return all.filter((text): text is string => typeof text === 'string' && text.length > 8);
}

async function expire(person: Person): Promise<void> {
  const folder = join(person.home, '.local/state/kleis/sessions');
  const [name = ''] = (await readdir(folder)).filter((each) => each.endsWith('.json'));
  const session = JSON.parse(await readFile(join(folder, name), 'utf8')) as Record<string, unknown>;
  const past = Date.now() - 1000;
  const ended = { ...session, issuedAt: past - 60_000, idTokenExpiresAt: past, accessTokenExpiresAt: past };
  await writeFile(join(folder, name), `${JSON.stringify(ended)}\n`);
}

describe.each([
  ['KLEIS_LOG=debug', 'kleis-credential', [], 'debug'],
  ['--verbose', 'kleis-get-token', ['--verbose'], ''],
] as const)('%s', (_how, program, more, log) => {
  it('says on each path what is read, why, what is asked of whom and what is kept, and never a secret', async () => {
    const person = await world.person();
    const first = await ask(person, program, more, log);
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toMatch(/debug: Settings: .*issuerUrl https:\/\/localhost:\d+ \(flag\)/);
    expect(first.stderr).toMatch(/audience kleis \(the cluster\).*browserCommand .* \(.*config\.yaml:\d+\)/);
    expect(first.stderr).toMatch(/debug: No credential is kept for this call in .*\/run\/kleis/);
    expect(first.stderr).toMatch(/debug: There is no session [0-9a-f]{12}\./);
    expect(first.stderr).toMatch(/debug: GET localhost:\d+: HTTP 200 after \d+ ms\./);
    expect(first.stderr).toMatch(/debug: POST localhost:\d+: HTTP 200 after \d+ ms\./);
    expect(first.stderr).toMatch(/debug: The session [0-9a-f]{12} was stored \(file, generation 1\)\./);
    expect(first.stderr).toMatch(/debug: The credential \S+ was stored; it is fresh until 20/);

    const second = await ask(person, program, more, log);
    expect(second).toMatchObject({ code: 0, stdout: first.stdout });
    expect(second.stderr).toMatch(/debug: The credential \S+ is fresh/);

    const before = await secrets(person, first.stdout);
    await expire(person);
    await person.run('/bin/sh', ['-c', 'rm -f run/kleis/*']);
    const third = await ask(person, program, more, log);
    expect(third.code, third.stderr).toBe(0);
    expect(third.stderr).toMatch(
      /debug: The session \w+ \(file, generation \d+\) has a token that is fresh until 20\S+, and a refresh token\./,
    );
    expect(third.stderr).toMatch(/debug: POST localhost:\d+: HTTP 200 after/);

    const all = [first, second, third].map(({ stderr }) => stderr).join('\n');
    const known = [...before, ...(await secrets(person, third.stdout))];
    expect(known.length).toBeGreaterThan(6);
    for (const secret of known) expect(all).not.toContain(secret);
    expect(all).not.toMatch(/eyJ|hidden-word/);
  });

  it('names a server that does not answer', async () => {
    const person = await world.person();
    const { stderr } = await ask(person, program, [...more, '--issuer-url', 'http://127.0.0.1:9'], log);
    expect(stderr).toMatch(/debug: GET 127\.0\.0\.1:9: ECONNREFUSED after \d+ ms\./);
  });
});

it('without either nothing of that is said, and the sign-in names the cluster that it is for', async () => {
  const person = await world.person();
  const { code, stderr } = await ask(person, 'kleis-credential', [], '');
  expect(code, stderr).toBe(0);
  expect(stderr).not.toContain('debug:');
  expect(stderr).toMatch(/ sign in at \S+ for the cluster https:\/\/prod\.example\.com:6443/);
});
