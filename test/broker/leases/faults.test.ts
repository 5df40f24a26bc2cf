import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Lease, randomLeaseName } from '../../../broker/leases/lease.ts';
import { freeLease, type LeaseServices, openLease, type Opened } from '../../../broker/leases/lifecycle.ts';
import { revokeLease } from '../../../broker/leases/revocation.ts';
import { startSweeper, sweep, type SweepResult } from '../../../broker/leases/sweep.ts';
import { bundle } from '../../support/bundle.ts';
import type { Fault } from '../../support/stand-in/server.ts';
import { leaseRequest, minute, mintFor, startStateWorld, type StateWorld } from './world.ts';

const key = 'k'.repeat(64);
const secrets = '/api/v1/namespaces/kleis-identities/secrets';
const leases = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases';

let world: StateWorld;
let one: LeaseServices;
let other: LeaseServices;

beforeAll(async () => {
  world = await startStateWorld({ cluster: 'stand-in', memory: false });
  [one, other] = [world.replica(), world.replica()];
});
afterEach(() => {
  world.standIn.fault = undefined;
  world.clock.offset = 0;
});
afterAll(() => world.stop());

const now = () => world.clock.now();

/** Lets the next `times` requests of that kind fail; gives how many there were. */
function fail(method: string, path: RegExp, fault: Fault, times = 1): () => number {
  let met = 0;
  world.standIn.fault = (request) => {
    if (request.method !== method || !path.test(request.path)) return undefined;
    met += 1;
    return met <= times ? fault : undefined;
  };
  return () => met;
}

const answer = (status: number, reason: string, headers = {}): Fault => ({
  kind: 'answer',
  status,
  headers,
  body: { kind: 'Status', status: 'Failure', reason, message: reason, code: status },
});

async function open(services: LeaseServices, more = {}): Promise<Exclude<Opened, { kind: 'replayed' }>> {
  const opened = await openLease(services, leaseRequest(now(), more));
  if (opened.kind === 'replayed') throw new Error('replayed');
  return opened;
}

describe('a lease whose creation got no answer', () => {
  it.each<[string, Fault]>([
    ['though it was made', { kind: 'drop', after: true }],
    ['and was not made', { kind: 'drop' }],
    ['in time, though it was made', { kind: 'hang', after: true }],
    ['in time, and was not made', { kind: 'hang' }],
    ['but an error of etcd, though it was made', answer(500, 'InternalError')],
    ['but one of a proxy', { kind: 'answer', status: 504, body: '<html>' }],
  ])('%s is looked up, and is its own maker’s', async (_, fault) => {
    fail('POST', /leases$/, fault);
    const request = leaseRequest(now());
    expect(await one.store.acquire(request)).toMatchObject({ kind: 'new', lease: { name: request.name, turn: 0 } });
    expect((await other.store.acquire(request)).kind).toBe('replayed');
  });

  it('is not taken for its own by a replica that was overtaken', async () => {
    const request = leaseRequest(now());
    const first = await other.store.acquire(request);
    fail('POST', /leases$/, { kind: 'drop' });
    expect(await one.store.acquire(request)).toMatchObject({ kind: 'replayed', lease: { nonce: first.lease?.nonce } });
  });

  it('is nobody’s when it was revoked before it was looked up', async () => {
    const request = leaseRequest(now());
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let reads = 0;
    world.standIn.fault = ({ method, path }) => {
      if (method === 'POST' && path === leases) return { kind: 'drop', after: true };
      if (method !== 'GET' || !path.endsWith(request.name) || (reads += 1) > 1) return undefined;
      begin();
      return { kind: 'wait', until: held };
    };
    const acquired = one.store.acquire(request);
    await begun;
    await other.store.mark((await other.store.get(request.name)) as Lease, 'revoked', 'x');
    release();
    expect(await acquired).toMatchObject({ kind: 'replayed', lease: { state: 'revoked' } });
  });

  it('stays with the same key when it cannot be looked up either', async () => {
    const request = leaseRequest(now(), { idempotencyHash: key });
    let calls = 0;
    world.standIn.fault = ({ path }) => {
      if (!path.startsWith(leases)) return undefined;
      calls += 1;
      return calls === 1 ? { kind: 'drop', after: true } : answer(503, 'ServiceUnavailable');
    };
    await expect(one.store.acquire(request)).rejects.toMatchObject({ reason: 'unavailable', retryable: true });
    world.standIn.fault = undefined;
    expect((await other.store.acquire({ ...request, idempotencyHash: undefined })).kind).toBe('replayed');
    expect((await other.store.acquire(request)).kind).toBe('retry');
  });
});

describe('a lease that could not be written', () => {
  it.each([
    [answer(429, 'TooManyRequests', { 'retry-after': '30' }), { retryable: true, retryAfter: 30, ambiguous: false }],
    [answer(403, 'Forbidden'), { reason: 'forbidden', ambiguous: false }],
    [answer(422, 'Invalid'), { reason: 'invalid', retryable: false, ambiguous: false }],
    [answer(409, 'Conflict'), { ambiguous: false }],
    [answer(500, 'InternalError'), { reason: 'unavailable', retryable: true, ambiguous: true }],
  ])('is told with what may be done about it: %j', async (fault, expected) => {
    fail('POST', /leases$/, fault, 99);
    await expect(one.store.acquire(leaseRequest(now()))).rejects.toMatchObject(expected);
  });

  it('again, though it was, is found to be', async () => {
    const request = leaseRequest(now(), { idempotencyHash: key });
    await one.store.acquire(request);
    fail('PUT', /leases/, { kind: 'drop', after: true });
    expect(await other.store.acquire(request)).toMatchObject({ kind: 'retry', lease: { turn: 1 } });
    const lease = (await one.store.get(request.name)) as Lease;
    fail('PUT', /leases/, { kind: 'drop', after: true });
    expect(await one.store.mark(lease, 'revoking', 'x')).toMatchObject({ state: 'revoking' });
    fail('PUT', /leases/, { kind: 'drop' });
    const marked = (await one.store.get(request.name)) as Lease;
    await expect(one.store.mark(marked, 'revoked')).rejects.toMatchObject({ ambiguous: true, retryable: true });
  });
});

describe('what a token depends on', () => {
  it('that certainly was not made leaves the subject token unused', async () => {
    const request = leaseRequest(now());
    fail('POST', /secrets$/, answer(403, 'Forbidden'));
    await expect(openLease(one, request)).rejects.toMatchObject({ reason: 'forbidden', ambiguous: false });
    expect((await openLease(other, request)).kind).toBe('new');
  });

  it.each<[string, Fault]>([
    ['in time, though it was made', { kind: 'hang', after: true }],
    ['though it was made', { kind: 'drop', after: true }],
    ['but an error of etcd', answer(500, 'InternalError')],
  ])('that got no answer %s leaves the subject token unused: no mint was asked for', async (_, fault) => {
    const request = leaseRequest(now());
    fail('POST', /secrets$/, fault);
    await expect(openLease(one, request)).rejects.toMatchObject({ ambiguous: true, retryable: true });
    const again = await openLease(other, request);
    expect(again).toMatchObject({ kind: 'new', lease: { turn: 1 } });
    expect(await world.ask((await mintFor(other, again)).token.reveal())).toBe(201);
  });

  it('that may have been made and cannot be removed leaves it to the same key', async () => {
    const request = leaseRequest(now(), { idempotencyHash: key });
    world.standIn.fault = ({ method, path }) =>
      path.startsWith(secrets) ? (method === 'POST' ? { kind: 'drop', after: true } : answer(503, 'x')) : undefined;
    await expect(openLease(one, request)).rejects.toMatchObject({ ambiguous: true, retryable: true });
    world.standIn.fault = undefined;
    expect((await openLease(other, { ...request, idempotencyHash: undefined })).kind).toBe('replayed');
    expect((await openLease(other, request)).kind).toBe('retry');
  });

  it('that could not be removed keeps a retry from minting, until one can', async () => {
    const request = leaseRequest(now(), { idempotencyHash: key });
    const first = await mintFor(one, await openLease(one, request));
    fail('DELETE', /secrets/, answer(503, 'ServiceUnavailable'), 99);
    await expect(openLease(other, request)).rejects.toMatchObject({ retryable: true });
    expect(await world.ask(first.token.reveal())).toBe(201);
    world.standIn.fault = undefined;
    const again = await openLease(other, request);
    expect(again).toMatchObject({ kind: 'retry', lease: { turn: 2 } });
    expect(await world.ask(first.token.reveal())).toBe(401);
  });

  it('that could not be removed after a failed mint leaves the lease to the same key', async () => {
    const opened = await open(one);
    fail('DELETE', /secrets/, answer(503, 'ServiceUnavailable'), 99);
    await expect(freeLease(one, opened)).rejects.toMatchObject({ retryable: true });
    expect(await one.store.get(opened.lease.name)).toMatchObject({ state: 'active' });
  });

  it('that could not be removed by a revocation is removed by the next sweep', async () => {
    await sweep(one);
    const opened = await open(one);
    const token = (await mintFor(one, opened)).token.reveal();
    fail('DELETE', /secrets/, answer(503, 'ServiceUnavailable'), 99);
    await expect(revokeLease(one, opened.lease.name, 'x')).rejects.toMatchObject({ reason: 'unavailable' });
    expect(await world.ask(token)).toBe(201);
    world.standIn.fault = undefined;
    expect((await sweep(other)).finished).toBe(1);
    expect(await world.ask(token)).toBe(401);
    expect(await one.store.get(opened.lease.name)).toMatchObject({ state: 'revoked', why: 'x' });
  });
});

describe('a token whose end got no answer', () => {
  const gone: Fault = { kind: 'drop', after: true };

  it('the first time may be taken for ten seconds yet, though there is nothing left to remove', async () => {
    const opened = await open(one);
    expect(await world.ask((await mintFor(one, opened)).token.reveal())).toBe(201);
    const deletes = fail('DELETE', /secrets/, gone);
    expect(await revokeLease(one, opened.lease.name, 'x')).toMatchObject({ outcome: 'revoked', deadWithin: 10 });
    expect(deletes()).toBe(2);
  });

  it('and is asked for again may be taken for ten seconds yet', async () => {
    const opened = await open(one);
    expect(await world.ask((await mintFor(one, opened)).token.reveal())).toBe(201);
    fail('DELETE', /secrets/, { kind: 'hang', after: true }, 99);
    await expect(revokeLease(one, opened.lease.name, 'x')).rejects.toMatchObject({ reason: 'unavailable' });
    world.standIn.fault = undefined;
    expect(await revokeLease(other, opened.lease.name, 'x')).toMatchObject({ outcome: 'revoked', deadWithin: 10 });
  });
});

describe('an account that was made too late', () => {
  it('for a lease that another grant took meanwhile goes with the lease', async () => {
    const request = leaseRequest(now());
    const accounts = '/api/v1/namespaces/kleis-ephemeral/serviceaccounts';
    fail('POST', /kleis-ephemeral.serviceaccounts$/, { kind: 'hang' });
    const ephemeral = { bound: 'account' as const, account: { namespace: 'kleis-ephemeral', name: '' } };
    const access = [{ kind: 'Role', namespace: 'web', name: 'deployer' }] as const;
    await expect(openLease(one, { ...request, ...ephemeral }, access)).rejects.toMatchObject({ ambiguous: true });
    const taken = await openLease(other, request);
    expect(taken).toMatchObject({ kind: 'new', lease: { turn: 1, bound: 'secret' } });
    const { token } = await mintFor(other, taken);
    // Only now the API server comes to it.
    const metadata = { name: `kleis-${request.name}-0`, namespace: 'kleis-ephemeral' };
    await world.cluster.request('POST', accounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    // Where it is must not be forgotten by a third turn either.
    await freeLease(other, taken as Exclude<Opened, { kind: 'replayed' }>);
    expect(await openLease(one, request)).toMatchObject({ kind: 'new', lease: { turn: 2, bound: 'secret' } });
    await world.later(60 * minute, () => sweep(one));
    expect(await one.store.get(request.name)).toBeUndefined();
    expect(await world.names(accounts)).not.toContain(`kleis-${request.name}-0`);
    expect(await world.ask(token.reveal())).toBe(401);
  }, 20_000);
});

describe('the sweep', () => {
  beforeEach(async () => {
    world.clock.offset = 24 * 60 * minute;
    await sweep(one);
    world.clock.offset = 0;
  });

  it('leaves alone what it cannot reach, and comes back to it', async () => {
    const [opened, none] = [await open(one), await open(one, { bound: 'none' })];
    for (let index = 0; index < 10; index += 1) await open(one);
    world.clock.offset = 60 * minute;
    const deletes = fail('DELETE', /secrets/, { kind: 'answer', status: 503, body: '' }, 99);
    const result = await sweep(one);
    expect(result.failed).toBeGreaterThan(0);
    expect(result.fault?.message).toContain('HTTP 503');
    expect(await one.store.get(opened.lease.name)).toBeDefined();
    // What is known to be down is not asked for each lease: a few at a time, each three times.
    expect(deletes()).toBeLessThanOrEqual(4 * 3);
    world.standIn.fault = undefined;
    expect(await sweep(one)).toMatchObject({ failed: 0, fault: undefined });
    for (const { lease } of [opened, none]) expect(await one.store.get(lease.name)).toBeUndefined();
  });

  it('starts over when the list can no longer be continued', async () => {
    for (let index = 0; index < 6; index += 1) await open(one);
    world.clock.offset = 60 * minute;
    world.standIn.fault = ({ method }) => {
      if (method === 'DELETE') world.standIn.compact();
      return undefined;
    };
    const first = await sweep(one, { pageSize: 2 });
    expect(first).toMatchObject({ more: true, failed: 0 });
    world.standIn.fault = undefined;
    const second = await sweep(one, { pageSize: 2 });
    expect(first.removed + second.removed).toBe(6);
  });

  it('does a bounded part at a time', async () => {
    for (let index = 0; index < 5; index += 1) await open(one, { bound: 'none' });
    world.clock.offset = 60 * minute;
    expect(await sweep(one, { pageSize: 2, pages: 1 })).toMatchObject({ removed: 2, more: true });
    const rounds: (SweepResult | Error)[] = [];
    const sweeper = startSweeper(one, {
      interval: 10,
      pageSize: 2,
      pages: 1,
      onRound: (result) => void rounds.push(result),
    });
    await expect.poll(() => world.names(leases), { timeout: 5_000 }).toEqual([]);
    await sweeper.stop();
    const count = rounds.length;
    expect(count).toBeGreaterThan(1);
    expect(rounds.filter((round) => round instanceof Error)).toEqual([]);
  });

  it('takes few connections for a lease that somebody changed so that it is much work', async () => {
    const { lease } = await open(one, { bound: 'account', account: { namespace: 'kleis-ephemeral', name: '' } });
    const access = Array.from({ length: 300 }, (_, index) => `n${index}`).join(',');
    await world.cluster.request('PATCH', `${leases}/${lease.name}`, {
      metadata: {
        labels: { 'kleis.dev/state': 'revoking' },
        annotations: {
          'kleis.dev/access': access,
          'kleis.dev/account': `kleis-ephemeral/kleis-${lease.name}-9`,
        },
      },
      spec: { leaseTransitions: 9 },
    });
    let [underWay, most] = [0, 0];
    const { kube } = one.clusters.get('prod')!;
    const counted: typeof kube = {
      ...kube,
      async request(...args) {
        underWay += 1;
        most = Math.max(most, underWay);
        try {
          return await kube.request(...args);
        } finally {
          underWay -= 1;
        }
      },
    };
    const clusters = { ...one.clusters, get: (name: string) => ({ ...one.clusters.get(name)!, kube: counted }) };
    expect(await sweep({ ...one, clusters })).toMatchObject({ finished: 1, failed: 0 });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThan(32);
  });

  it('tells when the leases cannot be read', async () => {
    fail('GET', /leases$/, answer(403, 'Forbidden'), 99);
    await expect(sweep(one)).rejects.toMatchObject({ reason: 'forbidden' });
  });

  it('cleans up after brokers that were killed at any moment', async () => {
    const program = await bundle('test/broker/leases/killed-program.ts');
    const kubeconfig = world.cluster.adminKubeconfig;
    const run = async (bound: string, killAt: number) => {
      const child = spawn(process.execPath, [program, kubeconfig, bound, String(killAt)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
      return signal ?? said.trim();
    };
    const moments: [string, number][] = [
      ...Array.from({ length: 8 }, (_, index): [string, number] => ['secret', index + 1]),
      ...Array.from({ length: 12 }, (_, index): [string, number] => ['account', index + 1]),
    ];
    const queue = [...moments];
    const ends: string[] = [];
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) ends.push(await run(...next));
    };
    await Promise.all([worker(), worker(), worker()]);
    const survived = ends.filter((end) => end !== 'SIGKILL');
    expect(survived.every((end) => end.startsWith('not killed'))).toBe(true);
    expect(survived.length).toBeLessThan(4);

    const places = [
      leases,
      secrets,
      '/api/v1/namespaces/kleis-ephemeral/serviceaccounts',
      ...['web', 'api'].map((space) => `/apis/rbac.authorization.k8s.io/v1/namespaces/${space}/rolebindings`),
    ];
    const left = async () => (await Promise.all(places.map((place) => world.names(place)))).map(({ length }) => length);
    const before = await left();
    expect(before[0]).toBe(moments.length);
    expect(Math.min(...before)).toBeGreaterThan(0);
    world.clock.offset = 60 * minute;
    expect(await sweep(one)).toMatchObject({ removed: moments.length, failed: 0 });
    expect(await left()).toEqual([0, 0, 0, 0, 0]);
  }, 60_000);
});

it('gives every lease a name of its own', () => {
  expect(randomLeaseName()).not.toBe(randomLeaseName());
  expect(randomLeaseName()).toMatch(/^[a-z0-9]{33}$/);
});
