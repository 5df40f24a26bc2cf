import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { type AppWorld, type RunningBroker, startAppWorld } from '../broker/routes/world.ts';
import type { Person } from '../support/kleis.ts';
import { startSsoBroker } from './sso-broker.ts';
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
  ({ broker, url } = await startSsoBroker(
    { world, app },
    {
      admins: [{ issuer: 'sso', claim: 'sub', value: 'boss' }],
      grants: {
        view: mine,
        'deploy-web': { ...mine, ttl: { default: '15m', max: '1h' } },
        protected: { ...mine, where: { ...mine.where, groups: { contains: 'admins' } } },
        told: { ...mine, where: { ...mine.where, groups: { contains: 'admins' } }, explain: true },
        secret: { ...mine, where: { sub: 'somebody-else' } },
      },
    },
  ));
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

describe('kleis admin', () => {
  const take = async (person: Person, grant: string): Promise<string> => {
    const flags = [...world.flags, '--certificate-authority', person.providerCaFile, '--broker', url];
    const { stdout } = await person.run('kleis', ['token', ...flags, '--grant', grant, '-o', 'json', '--force']);
    return (JSON.parse(stdout) as { lease: string }).lease;
  };

  it('is for admins: anybody else is told so and nothing more', async () => {
    const alice = await personNamed('alice');
    await take(alice, 'view');
    for (const command of [['leases'], ['revoke', '--all'], ['grants'], ['health']]) {
      const { code, stdout, stderr } = await kleis(alice, 'admin', ...command);
      expect({ code, stdout, stderr }).toEqual({ code: 4, stdout: '', stderr: expect.stringContaining('for admins') });
    }
  });

  it('lists the active leases with who has them, and ends one by the beginning of its id', async () => {
    const [alice, boss] = [await personNamed('alice'), await personNamed('boss')];
    const [first, second] = [await take(alice, 'view'), await take(alice, 'deploy-web')];
    const { code, stdout } = await kleis(boss, 'admin', 'leases', '--subject', 'alice');
    expect(code).toBe(0);
    const [head, ...rows] = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/ {3,}/));
    expect(head).toEqual(['ID', 'GRANT', 'WHO', 'AGE', 'ENDS', 'STATE']);
    expect(rows).toContainEqual([
      second.slice(0, 8),
      'deploy-web',
      'alice',
      expect.stringMatching(/^\d+s$/),
      expect.stringMatching(/^in 1[56]m$/),
      'active',
    ]);
    expect((await kleis(boss, 'admin', 'leases', '--subject', 'ali')).stdout).toBe('');

    const ended = await kleis(boss, 'admin', 'revoke', second.slice(0, 8));
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/deploy-web +alice +dead/) });
    const names = (await kleis(boss, 'admin', 'leases', '-o', 'name')).stdout.split('\n');
    expect(names).toContain(first);
    expect(names).not.toContain(second);
    expect((await kleis(boss, 'admin', 'leases', '--all', '-o', 'wide')).stdout).toMatch(
      new RegExp(`${second}.*revoked.*revoked by an admin`),
    );
    expect((await kleis(boss, 'admin', 'leases', '-o', 'yaml')).stdout).toMatch(/^leases:\n {2}- id: /);

    expect(await kleis(boss, 'admin', 'revoke', '--subject', 'alice')).toMatchObject({ code: 0 });
    expect((await kleis(boss, 'admin', 'leases', '--subject', 'alice', '-o', 'name')).stdout).toBe('');
  });

  it.each([
    [['revoke'], 2, 'in one way, what to revoke'],
    [['revoke', 'abcd', '--all'], 2, 'in one way, what to revoke'],
    [['revoke', 'l'], 2, 'at least 4 characters'],
    [['revoke', 'nothing-here'], 2, 'There is no lease nothing-here'],
    [['leases', '--watch', '-o', 'json'], 2, '--watch prints lines'],
  ])('%j is refused', async (args, code, why) => {
    const boss = await personNamed('boss');
    expect(await kleis(boss, 'admin', ...args)).toMatchObject({
      code,
      stdout: '',
      stderr: expect.stringContaining(why),
    });
  });

  it('asks before it revokes; where nobody can be asked nothing is', async () => {
    const [alice, boss] = [await personNamed('alice'), await personNamed('boss')];
    const lease = await take(alice, 'view');
    await kleis(boss, 'admin', 'health');
    const refused = said(await boss.run('kleis', ['admin', 'revoke', lease, '--broker', url]));
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('Pass --yes') });
    expect((await kleis(boss, 'admin', 'leases', '-o', 'name')).stdout).toContain(lease);
  });

  it('watch prints a lease that comes', async () => {
    const [alice, boss] = [await personNamed('alice'), await personNamed('boss')];
    await kleis(boss, 'admin', 'health');
    const watching = boss.start('kleis', ['admin', 'leases', '--watch', '-o', 'name', '--broker', url]);
    const lease = await take(alice, 'view');
    await watching.waitFor(new RegExp(lease));
    watching.kill('SIGINT');
    expect((await watching.done).code).toBe(130);
  });

  it('shows all grants with when they were used, and the health, checked one by one', async () => {
    const [alice, boss] = [await personNamed('alice'), await personNamed('boss')];
    await take(alice, 'deploy-web');
    const { code, stdout } = await kleis(boss, 'admin', 'grants');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^deploy-web +prod +sso +15m, up to 1h +yes +\d+s +0$/m);
    expect(stdout).toMatch(/^secret +prod +sso .* - +0$/m);
    const health = await kleis(boss, 'admin', 'health');
    expect(health.stdout).toMatch(/^ok +cluster prod$/m);
    expect(health.stdout).toMatch(/^ready$/m);
  });
});

it('the version of a broker is for who signs in', async () => {
  const told = await kleis(await personNamed('alice'), 'version', '-o', 'json');
  expect(JSON.parse(told.stdout)).toMatchObject({
    version: packageJson.version,
    broker: { url, version: packageJson.version },
  });
  const { body } = await broker.call('/.well-known/kleis');
  expect(body).not.toHaveProperty('version');
  expect(JSON.stringify(body)).not.toContain(packageJson.version);
});

describe('kleis token', () => {
  it('--force renews without a window, --sign-in opens one', async () => {
    const person = await personNamed('alice');
    const flags = [...world.flags, '--certificate-authority', person.providerCaFile];
    const token = async (...more: string[]) => (await person.run('kleis', ['token', ...flags, ...more])).stdout;
    const first = await token();
    expect(await token()).toBe(first);
    // Tokens of one second can be the same.
    const refreshes = () => world.provider.seen.filter(({ params }) => params['grant_type'] === 'refresh_token').length;
    const before = refreshes();
    expect(await token('--force')).toMatch(/^eyJ/);
    expect(refreshes()).toBe(before + 1);
    expect(await person.windows()).toHaveLength(1);
    await token('--sign-in');
    expect(await person.windows()).toHaveLength(2);
  });
});

/** What the Tab key offers. */
async function completed(person: Person, ...words: string[]) {
  const { code, stdout, stderr } = await person.run('kleis', ['__complete', '--shell', 'zsh', '--', ...words]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => line.split('\t')).map(([value = '', description = '']) => ({ value, description }));
}

describe('completion', () => {
  const values = async (person: Person, ...words: string[]) =>
    (await completed(person, ...words)).map(({ value }) => value);
  /** A broker has little time to answer, and this machine may be busy. */
  const sooner = async (expected: unknown, ask: () => Promise<unknown>) =>
    expect.poll(ask, { timeout: 30_000 }).toEqual(expected);

  it('asks a broker with the token that is kept: own grants, clusters, and as an admin leases by their beginning', async () => {
    const [alice, boss] = [await personNamed('alice'), await personNamed('boss')];
    await alice.run('kleis', ['kubeconfig', 'add', '--from', url, '--grant', 'view', '--yes'], { timeout: 60_000 });
    await sooner(['view', 'deploy-web'], () => values(alice, 'explain', '--broker', url, '--grant', ''));
    await sooner(['deploy-web'], () => values(alice, 'explain', '--grant', 'dep'));
    await sooner(['prod'], () => values(alice, 'kubeconfig', 'add', '--from', url, '--cluster', ''));
    expect(await values(alice, 'grants', '--broker', '')).toEqual([url]);
    expect(await values(alice, 'login', '--issuer-url', '')).toEqual([world.provider.issuer]);
    const taken = JSON.parse((await alice.run('kleis', ['token', '-o', 'json'])).stdout) as { lease: string };

    await kleis(boss, 'admin', 'health');
    await sooner(expect.arrayContaining(['secret']), () =>
      values(boss, 'admin', 'leases', '--broker', url, '--grant', ''),
    );
    const lease = { value: taken.lease.slice(0, 8), description: 'view, alice' };
    await sooner(expect.arrayContaining([lease]), () => completed(boss, 'admin', 'revoke', '--broker', url, ''));
    const more = taken.lease.slice(0, 10);
    await sooner([taken.lease], () => values(boss, 'admin', 'revoke', '--broker', url, more));
    // Who is no admin is told of no lease, and nobody signs in for it.
    expect(await values(alice, 'admin', 'revoke', '--broker', url, '')).toEqual([]);
    expect(await alice.windows()).toHaveLength(1);
  });

  it('signs nobody in, asks no broker without a token for it, and waits for none', async () => {
    const person = await personNamed('alice');
    // A session that was at a broker which does not answer any more.
    const silent = createServer(() => undefined);
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    let connections = 0;
    silent.on('connection', () => (connections += 1));
    try {
      expect(await values(person, 'explain', '--broker', address, '--grant', '')).toEqual([]);
      expect({ windows: await person.windows(), connections }).toEqual({ windows: [], connections: 0 });
      const other = ['--issuer-url', world.provider.issuer, '--certificate-authority', person.providerCaFile];
      const token = person.start('kleis', ['token', ...other, '--broker', address, '--grant', 'x']);
      const [socket] = (await once(silent, 'connection')) as [Socket];
      token.kill('SIGINT');
      await token.done;
      socket.destroy();
      const began = once(silent, 'connection').then(() => performance.now());
      const offered = person.start('kleis', [
        '__complete',
        '--shell',
        'zsh',
        '--',
        'explain',
        '--broker',
        address,
        '--grant',
        '',
      ]);
      const at = await began;
      expect(await offered.done).toMatchObject({ code: 0, stdout: '', stderr: '' });
      expect(performance.now() - at).toBeLessThan(3_000);
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });
});

describe('kleis status', () => {
  it('has a row for each context and each session without one, and tells sessions apart that differ by scope', async () => {
    const person = await personNamed('alice');
    await person.run('kleis', ['kubeconfig', 'add', '--from', url, '--grant', 'view', '--yes'], { timeout: 60_000 });
    const quiet = ['status', '--quiet'];
    expect(said(await person.run('kleis', quiet))).toEqual({ code: 0, stdout: '', stderr: '' });
    const other = ['--issuer-url', world.provider.issuer, '--certificate-authority', person.providerCaFile];
    await person.run('kleis', ['login', ...other, '--scope', 'email'], { timeout: 60_000 });
    const { code, stdout } = said(await person.run('kleis', ['status']));
    expect(code).toBe(0);
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/ {3,}/));
    expect(rows[0]).toEqual(['CONTEXT', 'ACCOUNT', 'VIA', 'TOKEN', 'SESSION', 'KEPT']);
    expect(rows[1]?.[0]).toMatch(/^prod/);
    expect(rows[1]?.[1]).toBe('alice@example.com (scopes email groups offline_access)');
    expect(rows[2]).toEqual([
      '-',
      'alice@example.com (scopes email)',
      expect.any(String),
      expect.any(String),
      expect.any(String),
      'file',
    ]);
    const asked = said(await person.run('kleis', ['logout']));
    expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining('(scopes email)') });
    const [, id = ''] = /^ {2}([0-9a-f]{12}) {2}.*\(scopes email\)$/m.exec(asked.stderr) ?? [];
    expect((await completed(person, 'logout', '--session', '')).find(({ value }) => value === id)).toMatchObject({
      description: expect.stringContaining('(scopes email)'),
    });
    expect(said(await person.run('kleis', ['logout', '--session', '0x']))).toMatchObject({ code: 2, stdout: '' });
    const one = said(await person.run('kleis', ['logout', '--session', id.slice(0, 6)]));
    expect(one).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Signed out: alice.*\(scopes email\)\.$/m) });
    const { stdout: left } = await person.run('kleis', ['status', '-o', 'json']);
    expect(JSON.parse(left)).toMatchObject({ sessions: [{ scopes: ['openid', 'email', 'groups', 'offline_access'] }] });
    await person.run('kleis', ['logout', '--all']);
    expect(await person.run('kleis', quiet)).toMatchObject({ code: 3, stdout: '', stderr: '' });
  });
});
