import { watch } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../../../broker/config/load.ts';
import { finish } from '../../../shared/steps.ts';
import {
  compareGrants,
  type ConfigSource,
  type GrantChanges,
  type ReloadState,
  watchConfig,
} from '../../../broker/config/reload.ts';
import { longestTurn } from '../../support/turns.ts';
import { ask, baseDocument, loadDocument } from '../policy/fixture.ts';

let folder: string;
let file: string;
let now: number;
let source: ConfigSource;
let changes: GrantChanges[];
let failures: ReloadState[];

const grant = (more: Record<string, unknown> = {}): Record<string, unknown> => ({
  issuer: 'sso',
  cluster: 'prod',
  serviceAccount: 'deploy',
  where: { team: 'x' },
  ...more,
});
const text = (grants: Record<string, unknown>, parts: Record<string, unknown> = {}): string =>
  stringify(baseDocument({ grants, reload: { maxStale: '1h' }, ...parts }), { aliasDuplicateObjects: false });
const allowed = (team = 'x', name = 'g'): boolean => ask(source.current, { team }, { grant: name, now }).allowed;

async function follow(location: string, interval = 1e9): Promise<void> {
  source = await watchConfig(location, await loadConfig(location), {
    now: () => now,
    interval,
    settle: 5,
    onChange: (_, one) => changes.push(one),
    onFault: (state) => failures.push(state),
  });
}

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'kleis-reload-'));
  file = path.join(folder, 'kleis.yaml');
  now = 1_000_000;
  changes = [];
  failures = [];
  await writeFile(file, text({ g: grant() }));
});

afterEach(async () => {
  source.close();
  await rm(folder, { recursive: true, force: true });
});

describe('a file that changes', () => {
  it('takes effect, and says which grants it no longer covers', async () => {
    await writeFile(file, text({ g: grant(), gone: grant() }));
    await follow(file);
    await writeFile(file, text({ g: grant({ where: { team: 'y' } }), fresh: grant() }));
    now += 10;
    await source.check();
    expect(changes).toEqual([{ dropped: ['gone'], changed: ['g'] }]);
    expect([allowed('x'), allowed('y'), allowed('x', 'fresh')]).toEqual([false, true, true]);
    expect(source.state).toEqual({ lastGoodAt: now, failingSince: undefined, deniesFrom: undefined, faults: [] });
  });

  it('is no news when it means the same', async () => {
    await follow(file);
    const before = source.current;
    await writeFile(file, `# a comment\n${text({ g: grant() })}`);
    await source.check();
    expect(source.current).toBe(before);
    expect(changes).toEqual([]);
  });

  it('leaves the snapshot that a request took as it was', async () => {
    await follow(file);
    const taken = source.current;
    await writeFile(file, text({ g: grant({ where: { team: 'y' } }) }));
    await source.check();
    expect(ask(taken, { team: 'x' }, { now }).allowed).toBe(true);
    expect(allowed('x')).toBe(false);
  });

  it('is not read while it is being written', async () => {
    const whole = text({ g: grant(), h: grant() });
    await writeFile(file, whole);
    source = await watchConfig(file, await loadConfig(file), {
      now: () => now,
      interval: 1e9,
      settle: 500,
      onChange: (_, one) => changes.push(one),
    });
    const pause = (time: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, time));
    await writeFile(file, text({}));
    const checked = source.check();
    await pause(250);
    await writeFile(file, text({ g: grant() }));
    // Past the first time that it had to rest for, and well before the second.
    await pause(500);
    await writeFile(file, whole);
    await checked;
    expect([allowed('x', 'h'), changes]).toEqual([true, []]);
  });

  it('is not looked at for what changes beside it', async () => {
    await follow(file);
    await source.check();
    const { lastGoodAt } = source.state;
    now += 10;
    const told = new Promise((resolve) => {
      const watcher = watch(folder, (_, name) => {
        if (name !== 'audit.jsonl') return;
        watcher.close();
        resolve(undefined);
      });
    });
    await writeFile(path.join(folder, 'audit.jsonl'), '{}');
    await told;
    // Three times as long as it takes until a change is looked at.
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(source.state.lastGoodAt).toBe(lastGoodAt);
  });

  it('is noticed without being asked', async () => {
    await follow(file, 50);
    await writeFile(file, text({ g: grant({ where: { team: 'y' } }) }));
    await vi.waitFor(() => expect(allowed('y')).toBe(true), 5000);
    await writeFile(file, 'nonsense');
    await vi.waitFor(() => expect(source.state.failingSince).toBe(now), 5000);
  });
});

it('a change among many grants is read in steps, between which others have their turn', async () => {
  const many = (team: string) =>
    text(Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`g${index}`, grant({ where: { team } })])));
  await writeFile(file, many('x'));
  await follow(file);
  // Once before, so that nothing is compiled for the first time.
  await source.check();
  await writeFile(file, many('y'));
  expect(await longestTurn(async () => source.check())).toBeLessThan(0.15);
  expect(allowed('y', 'g1999')).toBe(true);
});

describe('a file that cannot be used', () => {
  it.each([
    ['broken', () => writeFile(file, 'grants: [')],
    ['with a fault', () => writeFile(file, text({ g: grant({ issuer: 'nope' }) }))],
  ])('%s: the last good one holds until maxStale, then nothing does', async (_, spoil) => {
    await follow(file);
    now += 100;
    await source.check();
    const good = now;
    await spoil();
    now += 100;
    await source.check();
    expect(source.state).toMatchObject({ lastGoodAt: good, failingSince: now, deniesFrom: now + 3_600_000 });
    expect(source.state.faults.length).toBeGreaterThan(0);
    expect(failures).toHaveLength(1);
    expect(allowed()).toBe(true);

    now += 3_599_999;
    await source.check();
    expect(failures).toHaveLength(1);
    expect(allowed()).toBe(true);
    now += 1;
    expect(allowed()).toBe(false);
    expect(ask(source.current, { team: 'x' }, { now })).toMatchObject({ reason: 'policy_not_in_force' });

    await writeFile(file, text({ g: grant() }));
    await source.check();
    expect(allowed()).toBe(true);
    expect(source.state).toEqual({ lastGoodAt: now, failingSince: undefined, deniesFrom: undefined, faults: [] });
    expect(changes.flatMap((change) => [...change.dropped, ...change.changed])).toEqual([]);
  });

  it.each([
    ['deleted', () => rm(file)],
    ['emptied', () => writeFile(file, '')],
    ['left with comments', () => writeFile(file, '# nothing\n')],
  ])('%s: everything is denied at once, no lease is revoked, and it allows again when it is back', async (_, spoil) => {
    await follow(file);
    await spoil();
    await source.check();
    expect(allowed()).toBe(false);
    expect(source.state.deniesFrom).toBe(now);
    await writeFile(file, text({ g: grant() }));
    await source.check();
    expect(allowed()).toBe(true);
    expect(changes.flatMap((change) => [...change.dropped, ...change.changed])).toEqual([]);
  });

  it('is not taken for deleted while it is replaced', async () => {
    source = await watchConfig(file, await loadConfig(file), { now: () => now, interval: 1e9, settle: 300 });
    await rm(file);
    const checked = source.check();
    await new Promise((resolve) => void setTimeout(resolve, 50));
    await writeFile(file, text({ g: grant() }));
    await checked;
    expect([allowed(), source.state.deniesFrom]).toEqual([true, undefined]);
  });

  it('tells each new fault once', async () => {
    await follow(file);
    for (const spoilt of ['grants: [', 'grants: [', text({ g: grant({ issuer: 'nope' }) })]) {
      // Whole at once: a look at a half-written file would be another fault.
      await writeFile(`${file}.new`, spoilt);
      await rename(`${file}.new`, file);
      await source.check();
    }
    expect(failures).toHaveLength(2);
  });
});

describe('a file that cannot be used', () => {
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`g${index}`, grant()]));

  it('costs the broker a small part of its processor, however long it stays so', async () => {
    await follow(file, 1);
    await writeFile(`${file}.new`, text({ ...many, last: grant({ issuer: 'nope' }) }));
    await rename(`${file}.new`, file);
    await vi.waitUntil(() => failures.length > 0, { timeout: 30_000 });
    const [before, began] = [process.cpuUsage(), performance.now()];
    await new Promise((resolve) => void setTimeout(resolve, 1500));
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000 / (performance.now() - began)).toBeLessThan(0.5);
  });

  it('is taken at once when it is mended', async () => {
    await follow(file, 1);
    const replace = async (content: string) => {
      await writeFile(`${file}.new`, content);
      await rename(`${file}.new`, file);
    };
    await replace(text({ ...many, last: grant({ issuer: 'nope' }) }));
    await vi.waitUntil(() => failures.length > 0, { timeout: 30_000 });
    await replace(text({ g: grant(), h: grant() }));
    await vi.waitUntil(() => changes.length > 0, { timeout: 30_000 });
    expect([allowed('x', 'h'), source.state.failingSince]).toEqual([true, undefined]);
  });
});

describe('a folder that changes', () => {
  it('denies what was in a file that was taken out of it', async () => {
    const more = path.join(folder, 'more.yaml');
    await writeFile(more, stringify({ apiVersion: 'kleis.dev/v1', kind: 'BrokerConfig', grants: { h: grant() } }));
    await follow(folder);
    expect(allowed('x', 'h')).toBe(true);
    await rm(more);
    await source.check();
    expect([allowed('x', 'h'), allowed()]).toEqual([false, true]);
    expect(changes).toEqual([{ dropped: ['h'], changed: [] }]);
  });

  it('denies everything at once when it is emptied, and allows again when it is filled', async () => {
    await follow(folder);
    await rm(file);
    await source.check();
    expect(allowed()).toBe(false);
    expect(source.state.deniesFrom).toBe(now);
    await writeFile(file, text({ g: grant() }));
    await source.check();
    expect(allowed()).toBe(true);
  });

  it('of a ConfigMap follows the swap of ..data', async () => {
    const mount = path.join(folder, 'mount');
    for (const [name, team] of [
      ['..1', 'x'],
      ['..2', 'y'],
    ] as const) {
      await mkdir(path.join(mount, name), { recursive: true });
      await writeFile(path.join(mount, name, 'kleis.yaml'), text({ g: grant({ where: { team } }) }));
      // As kubelet's may: only the link tells the two apart.
      await utimes(path.join(mount, name, 'kleis.yaml'), 1, 1);
    }
    await symlink('..1', path.join(mount, '..data'));
    await symlink('..data/kleis.yaml', path.join(mount, 'kleis.yaml'));
    for (const location of [mount, path.join(mount, 'kleis.yaml')]) {
      await follow(location);
      expect([allowed('x'), allowed('y')]).toEqual([true, false]);
      await symlink('..2', path.join(mount, '..data_tmp'));
      await rename(path.join(mount, '..data_tmp'), path.join(mount, '..data'));
      await source.check();
      expect([allowed('x'), allowed('y')]).toEqual([false, true]);
      source.close();
      await rm(path.join(mount, '..data'));
      await symlink('..1', path.join(mount, '..data'));
    }
  });
});

describe('a material change of a grant', () => {
  const { config } = loadDocument({ grants: { g: grant() } });
  const after = (more: Record<string, unknown>, parts: Record<string, unknown> = {}): GrantChanges =>
    finish(compareGrants(config, loadDocument({ grants: { g: grant(more) }, ...parts }).config));

  it.each([
    ['where', { where: { team: 'y' } }],
    ['condition', { condition: 'claims.a == 1' }],
    ['account', { serviceAccount: 'other' }],
    ['access', { access: [{ namespace: 'web', role: 'r' }] }],
    ['issuer', { issuer: 'gitlab' }],
  ])('is one of its %s', (_, more) => {
    expect(after(more)).toEqual({ dropped: [], changed: ['g'] });
  });

  it('is one of what its cluster or issuer names stand for', () => {
    const issuers = { sso: { url: 'https://other.example.com', audience: 'kleis' } };
    expect(after({}, { issuers })).toEqual({ dropped: [], changed: ['g'] });
    const clusters = { prod: { server: 'https://10.0.0.9:6443', credentials: { inCluster: true } } };
    expect(after({}, { clusters })).toEqual({ dropped: [], changed: ['g'] });
    const of = (server: string) => {
      const credentials = { inCluster: true };
      const ci = { server, credentials };
      const own = { sso: { cluster: 'ci', audience: 'kleis' } };
      return loadDocument({ grants: { g: grant() }, issuers: own, clusters: { prod: { credentials }, ci } }).config;
    };
    expect(finish(compareGrants(of('https://10.0.0.1'), of('https://10.0.0.2')))).toEqual({
      dropped: [],
      changed: ['g'],
    });
  });

  it('is none of how long tokens live or what is explained', () => {
    expect(after({ ttl: { max: '2h' }, explain: true })).toEqual({ dropped: [], changed: [] });
  });
});
