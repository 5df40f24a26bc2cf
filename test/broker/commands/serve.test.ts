import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../broker/program.ts';
import { until } from '../../support/wait.ts';
import { type Answer, type AppWorld, grants, secrets, startAppWorld, testDeps } from '../routes/world.ts';

let world: AppWorld;

beforeAll(async () => {
  world = await startAppWorld();
});
afterAll(() => world.stop());

describe('a configuration', () => {
  it('that drops a grant revokes its leases, and no others', async () => {
    const own = await world.start();
    const dropped = await own.exchange(await world.issue({ repository_id: '2' }), { scope: 'other' });
    const kept = await own.exchange(await world.issue());
    const { other: _, ...rest } = grants;
    await own.reconfigure({ grants: rest });
    await until('it is revoked', async () =>
      (await world.state.ask(dropped.body.access_token)) === 401 ? true : undefined,
    );
    expect(await world.state.ask(kept.body.access_token)).toBe(201);
    const event = await until('the event', async () =>
      (await own.audit()).find(({ reason, lease }) => reason === 'grant_dropped' && lease === dropped.body.lease),
    );
    expect(event).toMatchObject({ event: 'revoke', outcome: 'done', grant: 'other' });
  });

  it('that drops a grant lets out no token that was being minted for it', async () => {
    const own = await world.start();
    const before = await world.state.names(secrets);
    const { standIn } = world.state;
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    standIn.fault = ({ method, path }) => {
      if (method !== 'POST' || !path.endsWith('/leases')) return undefined;
      begin();
      return { kind: 'wait', until: held };
    };
    try {
      const call = own.exchange(await world.issue({ repository_id: '2' }), { scope: 'other' });
      await begun;
      const { other: _, ...rest } = grants;
      const seen = standIn.requests.length;
      await own.reconfigure({ grants: rest });
      // Whoever looks for leases of the dropped grant finds none yet.
      await until('the look', () => standIn.requests.slice(seen).find(({ uri }) => uri.includes('labelSelector')));
      release();
      const { status, body } = await call;
      expect([status, body.code, body.access_token]).toEqual([503, 'broker_not_ready', undefined]);
      await until('its Secret is gone', async () =>
        (await world.state.names(secrets)).every((name) => before.includes(name)) ? true : undefined,
      );
    } finally {
      release();
      standIn.fault = undefined;
    }
  });

  it('that is new is told by what is different in it, without the values', async () => {
    const own = await world.start();
    const { other: _, open, ...rest } = grants;
    const { ci, github } = world.document()['issuers'] as Record<string, object>;
    const { prod } = world.document()['clusters'] as Record<string, object>;
    await own.reconfigure({
      grants: { ...rest, open: { ...open, ttl: { default: '20m' } }, newer: grants['plain'] },
      issuers: { ci, github: { ...github, leeway: '10s' }, more: { ...ci, url: 'https://more.example.com' } },
      clusters: { prod: { ...prod, audiences: ['https://api.example.com'] }, edge: prod },
      limits: { perAddress: 7 },
    });
    const line = await until('the line', () => own.lines().find(({ msg }) => msg === 'new configuration'));
    expect(line).toMatchObject({
      grants: { added: ['newer'], dropped: ['other'], changed: ['open'] },
      issuers: { added: ['more'], changed: ['github'] },
      clusters: { added: ['edge'], changed: ['prod'] },
      settings: ['limits'],
      material: [],
    });
    expect(JSON.stringify(line)).not.toContain('example.com');
  });

  it('that cannot be used leaves the last good one in force, and is told at once', async () => {
    const own = await world.start();
    await own.reconfigure({ grants: { bad: { issuer: 'nobody' } } });
    expect((await own.exchange(await world.issue())).status).toBe(200);
    const { body } = await own.call('/readyz', { headers: await world.admin() });
    expect(body.checks).toContainEqual(expect.objectContaining({ name: 'configuration', ok: false }));
    expect((await own.call('/metrics', { headers: await world.admin() })).text).toContain('kleis_broker_config_ok 0');
  });

  it('with faults ends `serve` with 6 and each of them on a line', async () => {
    const file = join(world.folder, 'faulty.yaml');
    await writeFile(file, 'apiVersion: kleis.dev/v1\nkind: BrokerConfig\nlisten: { address: x }\n');
    const { deps, output } = testDeps();
    expect(await run(['serve', '--config', file], deps)).toBe(6);
    const lines = output().trim().split('\n');
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines) expect(line).toMatch(/^\S+faulty\.yaml:\d+:\d+: \S/);
  });
});

describe('without TLS', () => {
  it.each(['127.0.0.1:0', 'localhost:0', '[::1]:0', '127.8.9.10:0', '[::ffff:127.0.0.1]:0'])(
    '%s is loopback: who calls from there is served',
    async (address) => {
      const own = await world.start({ listen: { address } });
      expect((await own.exchange(await world.issue())).status).toBe(200);
      expect((await own.call('/metrics', { headers: await world.admin() })).status).toBe(200);
    },
  );
});

describe('an audit that cannot be written', () => {
  it.each<[string, (path: string) => Promise<string>, RegExp]>([
    ['in a folder that is not there', async (path) => join(path, 'none', 'audit.jsonl'), /it does not exist/],
    ['where a folder is', async (path) => path, /there is a folder in its place|EISDIR/],
    ['on a device that is full', async () => '/dev/full', /no space is left/],
    [
      'to a pipe that nobody reads',
      async (path) => {
        execFileSync('mkfifo', [join(path, 'pipe')]);
        return join(path, 'pipe');
      },
      /nobody reads/,
    ],
  ])('%s ends `serve` with 6, its path and the reason', async (_, make, reason) => {
    const path = await make(await mkdtemp(join(world.folder, 'audit-')));
    const config = join(world.folder, 'unwritable.yaml');
    await writeFile(config, stringify(world.document({ audit: { file: path } }), { aliasDuplicateObjects: false }));
    const { deps, output } = testDeps();
    expect(await run(['serve', '--config', config], deps)).toBe(6);
    expect(output()).toContain(`error: The audit cannot be written to ${path}: `);
    expect(output()).toMatch(reason);
  });

  it('lets no token out, and goes on where it stopped', async () => {
    const own = await world.start();
    const before = await world.state.names(secrets);
    const given: string[] = [];
    const exchange = async (): Promise<Answer> => {
      const answered = await own.exchange(await world.issue());
      if (answered.status === 200) given.push(`kleis-${answered.body.lease}-0`);
      return answered;
    };
    await exchange();
    await rename(own.auditFile, `${own.auditFile}.1`);
    await mkdir(own.auditFile);
    const refused = await until('it is noticed', async () => {
      const answered = await exchange();
      return answered.status === 503 ? answered : undefined;
    });
    expect(refused.body).toMatchObject({ code: 'audit_unavailable', error: 'temporarily_unavailable' });
    expect(refused.text).not.toContain('access_token');
    expect((await own.call('/readyz')).status).toBe(503);
    await until('its withdrawal could not be written', () => own.lines().find(({ what }) => what === 'withdraw'));
    await rmdir(own.auditFile);
    await until('it is there again', async () => ((await exchange()).status === 200 ? true : undefined));
    // What was minted and could not be recorded is dead.
    await until('only what was given out is left', async () => {
      const there = await world.state.names(secrets);
      const left = there.filter((name) => !before.includes(name)).toSorted();
      return left.join() === given.toSorted().join() ? true : undefined;
    });
    await own.stop();
    const withdrawn = (await own.audit()).filter(({ event }) => event === 'withdrawn');
    const first = new Map(withdrawn.map(({ jti, outcome }) => [jti, outcome]));
    expect(withdrawn.length).toBeGreaterThan(0);
    for (const { jti, outcome } of withdrawn) expect(outcome).toBe(first.get(jti));
    const { deps, output } = testDeps();
    const files = [`${own.auditFile}.1`, own.auditFile];
    // Without anchors: whole, and vouched for by nobody.
    expect(await run(['audit', 'verify', ...files], deps)).toBe(5);
    expect(output()).toContain('NOT VERIFIED: the lines hang together');
  });
});

describe('SIGTERM', () => {
  it('ends what is under way first, takes nothing new, and leaves an anchored audit', async () => {
    const own = await world.start();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    world.state.standIn.fault = ({ method, path }) => {
      if (method !== 'POST' || !path.endsWith('/token')) return undefined;
      begin();
      return { kind: 'wait', until: held };
    };
    const underWay = own.exchange(await world.issue());
    await begun;
    const stopped = own.stop();
    await until('it takes nothing new', async () =>
      own.call('/healthz').then(
        () => undefined,
        () => true as const,
      ),
    );
    release();
    world.state.standIn.fault = undefined;
    expect((await underWay).status).toBe(200);
    expect(await stopped).toBe(0);
    const text = await readFile(own.auditFile, 'utf8');
    expect(JSON.parse(text.trim().split('\n').at(-1)!)).toMatchObject({ event: 'stopped' });
    const { deps, output } = testDeps();
    const config = join(world.folder, 'broker-1.yaml');
    await run(['audit', 'verify', own.auditFile, '--config', config, '-o', 'json', '--partial'], deps);
    const report = JSON.parse(output());
    expect(report.faults).toEqual([]);
    expect(report.chains[0].anchored).toBe(report.chains[0].last);
    const whole = testDeps();
    expect(await run(['audit', 'verify', own.auditFile, '--config', config, '--partial'], whole.deps)).toBe(0);
    expect(whole.output()).toContain('verified: anchors vouch for every line');
    world.state.standIn.fault = () => ({ kind: 'answer', status: 503 });
    const blind = testDeps();
    const verify = ['audit', 'verify', own.auditFile, '--partial', '--config', config];
    expect(await run(verify, blind.deps)).toBe(5);
    expect(blind.output()).toMatch(/the anchors cannot be read[^]*NOT VERIFIED/);
    world.state.standIn.fault = undefined;
    await writeFile(own.auditFile, `${text.trim().split('\n').slice(0, -1).join('\n')}\n`);
    const cut = testDeps();
    expect(await run(['audit', 'verify', own.auditFile, '--config', config], cut.deps)).toBe(1);
    expect(cut.output()).toMatch(/cut: ends with line \d+/);
  });
});
