import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { createAuthority } from '../../support/certificates.ts';
import { createWorld, type World } from '../../flow/world.ts';
import type { Person } from '../../support/kleis.ts';

// Whoever names a context means what kubectl would run there: its flags, and its environment.

let world: World;
let person: Person;

beforeAll(async () => {
  world = await createWorld();
});
afterAll(async () => world?.end());

beforeEach(async () => {
  person = await world.person();
  const caFile = join(person.home, 'ca.crt');
  await writeFile(caFile, (await createAuthority()).cert);
  const provider = [...world.flags, '--certificate-authority', person.providerCaFile];
  await person.addContext('prod', { server: 'https://prod.test:6443', caFile }, provider);
});
afterEach(async () => world.removePeople());

interface Kubeconfig {
  readonly users: { user: { exec: { args: string[]; env?: unknown } } }[];
}

/** As somebody who edits the kubeconfig. */
async function edit(change: (exec: Kubeconfig['users'][0]['user']['exec']) => void): Promise<void> {
  const kubeconfig = parse(await readFile(person.kubeconfig, 'utf8')) as Kubeconfig;
  for (const { user } of kubeconfig.users) change(user.exec);
  await writeFile(person.kubeconfig, JSON.stringify(kubeconfig));
}

const setting = (env: Readonly<Record<string, string>>) =>
  edit((exec) => {
    exec.env = Object.entries(env).map(([name, value]) => ({ name, value }));
  });
const sessions = async (env: Readonly<Record<string, string>> = {}) => {
  const { stdout } = await person.run('kleis', ['status', '-o', 'json'], { env });
  return (JSON.parse(stdout) as { sessions: unknown[] }).sessions.length;
};

describe('the environment of the entry is that of the command', () => {
  it.each(['KLEIS_STATE_DIR', 'XDG_STATE_HOME', 'HOME'])(
    '%s: a session is where kubectl would find it',
    async (name) => {
      const there = { [name]: join(person.home, 'there') };
      await mkdir(join(person.home, 'there'), { mode: 0o700 });
      // Where it is HOME, config.yaml is another one too.
      await cp(join(person.home, '.config'), join(person.home, 'there/.config'), { recursive: true });
      await setting(there);
      expect(await person.run('kleis', ['login', '--context', 'prod'])).toMatchObject({ code: 0 });
      expect([await sessions(there), await sessions()]).toEqual([1, 0]);
      const token = await person.run('kleis', ['token', '--context', 'prod']);
      expect(token).toMatchObject({ code: 0, stdout: expect.stringMatching(/^eyJ/) });
      expect(await person.windows()).toHaveLength(1);
      const out = await person.run('kleis', ['logout', '--context', 'prod']);
      expect(out).toMatchObject({ code: 0, stderr: expect.stringContaining('Signed out') });
      expect(await sessions(there)).toBe(0);
    },
  );

  it.each([['login'], ['token'], ['logout']])('the proxy: %s goes through it', async (command) => {
    await setting({ HTTPS_PROXY: 'http://127.0.0.1:9' });
    await edit((exec) => {
      exec.args = exec.args.map((arg) =>
        arg.startsWith('--issuer-url=') ? '--issuer-url=https://login.example.com' : arg,
      );
    });
    const { code, stderr } = await person.run('kleis', [command, '--context', 'prod']);
    // Nobody is signed in there, so a logout asks nobody.
    if (command === 'logout') expect(code).toBe(0);
    else expect({ code, stderr }).toMatchObject({ code: 5, stderr: expect.stringContaining('127.0.0.1:9') });
  });

  it('its config.yaml is read where the entry says', async () => {
    const config = join(person.home, 'theirs');
    await mkdir(join(config, 'kleis'), { recursive: true, mode: 0o755 });
    await writeFile(join(config, 'kleis/config.yaml'), 'login: carrier-pigeon\n', { mode: 0o644 });
    await setting({ XDG_CONFIG_HOME: config });
    for (const command of ['login', 'token', 'logout', 'revoke']) {
      const { code, stderr } = await person.run('kleis', [command, '--context', 'prod']);
      expect(code, command).toBe(6);
      expect(stderr).toContain(`${config}/kleis/config.yaml:1:8`);
    }
  });
});
