import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { type AppWorld, type RunningBroker, startAppWorld } from '../broker/routes/world.ts';
import type { Person } from '../support/kleis.ts';
import { freePorts } from '../support/processes.ts';
import { createWorld, said, type World } from './world.ts';

const access = [{ namespace: 'web', role: 'deployer' }];
const mine = {
  issuer: 'sso',
  where: { sub: 'alice', groups: { contains: 'developers' } },
  cluster: 'prod',
  serviceAccount: 'deploy-web',
  access,
};

let world: World;
let app: AppWorld;
let broker: RunningBroker;
let url: string;

beforeAll(async () => {
  world = await createWorld({ refreshTokens: 'always' });
  app = await startAppWorld();
  const [port] = await freePorts(1);
  url = `http://127.0.0.1:${port}`;
  const ca = join(app.folder, 'sso.pem');
  await copyFile((await world.person()).providerCaFile, ca);
  broker = await app.start({
    publicUrl: url,
    listen: { address: `127.0.0.1:${port}` },
    admins: [{ issuer: 'sso', claim: 'sub', value: 'boss' }],
    issuers: {
      sso: {
        url: world.provider.issuer,
        audience: 'kleis',
        certificateAuthority: ca,
        signIn: { scopes: ['email', 'groups', 'offline_access'] },
      },
    },
    grants: {
      view: mine,
      'deploy-web': { ...mine, ttl: { default: '15m', max: '1h' } },
      protected: { ...mine, where: { ...mine.where, groups: { contains: 'admins' } } },
      told: { ...mine, where: { ...mine.where, groups: { contains: 'admins' } }, explain: true },
      secret: { ...mine, where: { sub: 'somebody-else' } },
    },
  });
});
afterEach(() => world.removePeople());
afterAll(async () => {
  await app?.stop();
  await world?.end();
});

async function personNamed(login: string): Promise<Person> {
  const person = await world.person();
  await person.behave({ login });
  return person;
}
const kleis = async (person: Person, ...args: string[]) =>
  said(await person.run('kleis', [...args, '--broker', url, '--yes'], { timeout: 60_000 }));

describe('kleis grants', () => {
  it('lists what is the caller’s and nothing else, with what each gives', async () => {
    const person = await personNamed('alice');
    const { code, stdout } = await kleis(person, 'grants');
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.split(/ {3,}/))).toEqual([
      ['NAME', 'CLUSTER', 'LIVES', 'REVOCABLE', 'ACCESS'],
      ['view', 'prod', expect.any(String), 'yes', 'deployer in web'],
      ['deploy-web', 'prod', '15m, up to 1h', 'yes', 'deployer in web'],
      [''],
    ]);
    expect((await kleis(person, 'grants', '-o', 'name')).stdout).toBe('view\ndeploy-web\n');
    const { grants } = JSON.parse((await kleis(person, 'grants', '-o', 'json')).stdout) as { grants: unknown[] };
    expect(grants).toHaveLength(2);
    expect(await person.windows()).toHaveLength(1);
  });

  it('of a context asks the broker of that context, with its own sign-in', async () => {
    const person = await personNamed('alice');
    await person.run('kleis', ['kubeconfig', 'add', '--from', url, '--grant', 'view', '--yes'], { timeout: 60_000 });
    const listed = said(await person.run('kleis', ['grants', '--context', 'prod-view', '-o', 'name']));
    expect(listed).toMatchObject({ code: 0, stdout: 'view\ndeploy-web\n' });
    expect(await person.windows()).toHaveLength(1);
  });

  it('asks before a broker gets the sign-in; where nobody can be asked it gets none', async () => {
    const person = await personNamed('alice');
    const { code, stderr } = said(await person.run('kleis', ['grants', '--broker', url]));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('would get your sign-in') });
    expect(await person.windows()).toEqual([]);
  });

  it('says so where there is none', async () => {
    const person = await personNamed('carol');
    expect(await kleis(person, 'grants')).toMatchObject({ code: 0, stdout: '', stderr: /has no grant for/ });
  });
});

describe('kleis explain', () => {
  it('shows every claim that an own grant looks at', async () => {
    const { code, stdout } = await kleis(await personNamed('alice'), 'explain', '--grant', 'deploy-web');
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^ok +sub +"alice"$/m) });
    expect(stdout).toMatch(/^ok +groups/m);
    expect(stdout).toContain('allowed: deploy-web on prod, for 15m');
  });

  it('names the claim that does not fit, what was seen, and what to do; the expected only where the grant tells', async () => {
    const person = await personNamed('alice');
    const { code, stdout } = await kleis(person, 'explain', '--grant', 'protected');
    expect(code).toBe(4);
    expect(stdout).toMatch(/^FAILED +groups +.*developers/m);
    expect(stdout).toMatch(/denied: protected\n {2}groups is .*developers.*ask the administrator of your provider/);
    expect(stdout).not.toMatch(/admins/);
    expect((await kleis(person, 'explain', '--grant', 'told')).stdout).toMatch(/is to be .*admins/);
    const json = JSON.parse((await kleis(person, 'explain', '--grant', 'protected', '-o', 'json')).stdout) as unknown;
    expect(json).toMatchObject({
      allowed: false,
      conditions: [{ claim: 'groups', ok: false }],
      claims: { sub: 'alice' },
      advice: [expect.stringContaining('groups')],
    });
  });

  it.each(['secret', 'no-such-grant'])('%s: another’s grant reads as one that is not there', async (grant) => {
    const { code, stderr } = await kleis(await personNamed('alice'), 'explain', '--grant', grant);
    expect(code).toBe(4);
    expect(stderr).toContain('There is no grant of that name for this token.');
    expect(stderr).toContain('Yours are: view, deploy-web.');
  });
});

describe('a mistyped grant', () => {
  const ask = async (person: Person, grant: string) => {
    const flags = [...world.flags, '--certificate-authority', person.providerCaFile];
    return said(await person.run('kleis', ['token', ...flags, '--broker', url, '--grant', grant], { timeout: 60_000 }));
  };

  it('comes with the caller’s own grants and the one that was meant', async () => {
    const { code, stderr } = await ask(await personNamed('alice'), 'deploy-wbe');
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: expect.stringMatching(/next: {2}Yours are: view, deploy-web\. Did you mean deploy-web\?/),
    });
  });

  it('of somebody without a grant tells of none', async () => {
    const { code, stderr } = await ask(await personNamed('carol'), 'deploy-web');
    expect(code).toBe(4);
    expect(stderr).toContain('It has none at all for you');
    expect(stderr).not.toMatch(/view|secret|protected/);
  });
});

it('the version of a broker is for who signs in', async () => {
  const { body } = await broker.call('/.well-known/kleis');
  expect(body).not.toHaveProperty('version');
  expect(JSON.stringify(body)).not.toContain(packageJson.version);
});
