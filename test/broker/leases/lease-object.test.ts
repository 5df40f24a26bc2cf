import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge, lastTurn, newLease, nextTurn, placementOf, type Lease } from '../../../broker/leases/lease.ts';
import { fromObject, type LeaseObject, toObject } from '../../../broker/leases/lease-object.ts';
import { leaseRequest, minute } from './world.ts';

const stored = { uid: 'u', resourceVersion: '1' };
const access = ['web', 'api'];
const ephemeral = { bound: 'account' as const, account: { namespace: 'kleis-ephemeral', name: '' }, access };
const request = leaseRequest(Date.UTC(2026, 10, 22));

function lease(): Lease {
  const first = { ...newLease({ ...request, ...ephemeral }), ...stored, state: 'free' as const };
  return { ...nextTurn(first, { ...request, cluster: 'stage' }), ...stored };
}

/** The same with other values somewhere. */
function changed(change: (object: ReturnType<typeof mutable>) => void): LeaseObject {
  const object = mutable();
  change(object);
  return object as unknown as LeaseObject;
}

function mutable() {
  return structuredClone(toObject(lease(), 'kleis-state')) as unknown as {
    metadata: { labels: Record<string, string>; annotations: Record<string, string> };
    spec: Record<string, unknown>;
  };
}

describe('a stored lease', () => {
  it('is read as it was written, with where its earlier turns are', () => {
    const written = lease();
    const read = fromObject(toObject(written, 'kleis-state'));
    expect(read).toEqual(written);
    expect(placementOf(read!, 0)).toEqual({ cluster: 'prod', bound: 'account', namespace: 'kleis-ephemeral', access });
    expect(placementOf(read!)).toEqual({
      cluster: 'stage',
      bound: 'secret',
      namespace: 'kleis-identities',
      access: [],
    });
  });

  it('says nothing that nobody reads: each byte is written, stored and watched', () => {
    const { metadata, spec } = toObject(newLease(request), 'kleis-state');
    expect(Object.keys({ ...metadata.labels, ...metadata.annotations, ...spec }).toSorted()).toEqual([
      'acquireTime',
      'holderIdentity',
      'kleis.dev/account',
      'kleis.dev/bound',
      'kleis.dev/cluster',
      'kleis.dev/grant',
      'kleis.dev/nonce',
      'kleis.dev/until',
      'leaseDurationSeconds',
      'renewTime',
    ]);
  });

  it('of the version before is read, and a request is judged by it as before', () => {
    const key = 'k'.repeat(43);
    const now = Date.UTC(2026, 10, 22);
    const retry = { ...request, now, idempotencyHash: key };
    const old = (note: Record<string, string>): LeaseObject => ({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: 'a1',
        namespace: 'kleis-state',
        ...stored,
        labels: {
          'kleis.dev/until': '29600000',
          'kleis.dev/grant': request.grant,
          'kleis.dev/cluster': request.cluster,
        },
        annotations: {
          'kleis.dev/account': `${request.account.namespace}/${request.account.name}`,
          'kleis.dev/bound': request.bound,
          'kleis.dev/subject': request.subjectHash,
          'kleis.dev/nonce': 'n',
          ...note,
        },
      },
      spec: {
        holderIdentity: 'https://ci.example job',
        leaseDurationSeconds: 600,
        acquireTime: '2026-11-22T00:00:00.000000Z',
        renewTime: '2026-11-22T00:00:00.000000Z',
        leaseTransitions: 0,
      },
    });
    const [plain, keyed] = [fromObject(old({}))!, fromObject(old({ 'kleis.dev/key': key }))!];
    expect(plain).toMatchObject({ name: 'a1', turn: 0, state: 'active', subjectHash: request.subjectHash });
    expect(judge(plain, retry)).toBe('replayed');
    expect(judge(keyed, retry)).toBe('retry');
    expect(judge(keyed, { ...retry, subjectHash: 'b'.repeat(64) })).toBe('replayed');
    expect(fromObject(toObject(keyed, 'kleis-state'))).toEqual(keyed);
  });

  it.each<[string, (object: ReturnType<typeof mutable>) => void]>([
    ['two billion turns', ({ spec }) => (spec['leaseTransitions'] = 2_147_483_647)],
    ['less than no turns', ({ spec }) => (spec['leaseTransitions'] = -1)],
    ['a part of a turn', ({ spec }) => (spec['leaseTransitions'] = 1.5)],
    ['a life of 68 years', ({ spec }) => (spec['leaseDurationSeconds'] = 2_147_483_647)],
    ['no length', ({ spec }) => delete spec['leaseDurationSeconds']],
    ['a life that is over before it begins', ({ spec }) => (spec['leaseDurationSeconds'] = -5)],
    ['a time after all times', ({ spec }) => (spec['renewTime'] = '+275760-09-13T00:00:00Z')],
    ['a time before all times', ({ spec }) => (spec['acquireTime'] = '-000001-01-01T00:00:00Z')],
    ['no time', ({ spec }) => delete spec['renewTime']],
    ['an end that is no number', ({ metadata }) => (metadata.labels['kleis.dev/until'] = '1e999')],
    ['an end after all ends', ({ metadata }) => (metadata.labels['kleis.dev/until'] = '9007199254740991')],
    ['ten thousand namespaces', ({ metadata }) => (metadata.annotations['kleis.dev/access'] = 'a,'.repeat(10_000))],
    [
      'more turns than it can have with so many namespaces',
      ({ metadata, spec }) => {
        metadata.annotations['kleis.dev/access'] = 'a,'.repeat(1000);
        spec['leaseTransitions'] = lastTurn;
      },
    ],
    ['a namespace that none can have', ({ metadata }) => (metadata.annotations['kleis.dev/access'] = '../x')],
    ['an account that none can have', ({ metadata }) => (metadata.annotations['kleis.dev/account'] = 'a/b?c')],
    ['earlier turns that are no list', ({ metadata }) => (metadata.annotations['kleis.dev/earlier'] = '{"length":9}')],
    [
      'more earlier turns than there can be',
      ({ metadata }) => {
        const [one] = JSON.parse(metadata.annotations['kleis.dev/earlier']!) as object[];
        metadata.annotations['kleis.dev/earlier'] = JSON.stringify(Array.from({ length: 1000 }, () => one));
      },
    ],
    ['a state that there is not', ({ metadata }) => (metadata.labels['kleis.dev/state'] = 'immortal')],
  ])('with %s is none of ours', (_, change) => {
    expect(fromObject(changed(change))).toBeUndefined();
  });

  it('that is ours is bounded, whatever stands in it', () => {
    const anything = fc.oneof(fc.integer(), fc.double(), fc.string(), fc.constant(undefined), fc.constant(2 ** 31 - 1));
    const texts = fc.oneof(
      fc.string({ maxLength: 400 }),
      fc.json({ maxDepth: 2 }),
      fc.constantFrom('active', 'a/b', '1'),
    );
    const fields = Object.keys(mutable().spec);
    const notes = Object.keys(mutable().metadata.annotations);
    const labels = Object.keys(mutable().metadata.labels);
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...fields), anything),
        fc.dictionary(fc.constantFrom(...notes), texts),
        fc.dictionary(fc.constantFrom(...labels), texts),
        (spec, note, label) => {
          const read = fromObject(
            changed((object) => {
              Object.assign(object.spec, spec);
              Object.assign(object.metadata.annotations, note);
              Object.assign(object.metadata.labels, label);
            }),
          );
          if (read === undefined) return;
          expect(read.turn).toBeLessThanOrEqual(lastTurn);
          expect(read.turn).toBeGreaterThanOrEqual(0);
          expect(read.holder.length).toBeLessThanOrEqual(120);
          expect(read.endsAt - read.renewedAt).toBeLessThanOrEqual(48 * 60 * minute);
          for (const time of [read.acquiredAt, read.renewedAt, read.endsAt, read.until * minute]) {
            expect(() => new Date(time).toISOString()).not.toThrow();
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
