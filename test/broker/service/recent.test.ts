import { describe, expect, it } from 'vitest';
import type { AuditEvent } from '../../../broker/audit/event.ts';
import { seal, startOfChain } from '../../../broker/audit/chain.ts';
import { createRecent, type RecentBounds } from '../../../broker/service/recent.ts';

function world(bounds?: RecentBounds) {
  const recent = createRecent(1_000, bounds);
  let head = startOfChain('a');
  let time = 1_000;
  return {
    recent,
    tell: (event: AuditEvent): void => {
      time += 1_000;
      const sealed = seal(head, event, time);
      ({ head } = sealed);
      recent.note(event, sealed.line, time);
    },
  };
}

const minted = (grant: string, more: Partial<AuditEvent> = {}): AuditEvent => ({
  event: 'exchange',
  outcome: 'allowed',
  grant,
  cluster: 'prod',
  ...more,
});

describe('what this replica decided lately', () => {
  it('is told as the audit tells it, the latest first, without looks and what the broker says of itself', () => {
    const { recent, tell } = world();
    for (const event of ['started', 'leases', 'grants'] as const) tell({ event, outcome: 'done' });
    tell(minted('one'));
    tell({ event: 'revoke', outcome: 'denied', code: 'lease_unknown' });
    expect(recent.decisions()).toEqual([
      expect.objectContaining({ event: 'revoke', code: 'lease_unknown', seq: 5, chain: 'a' }),
      expect.objectContaining({ event: 'exchange', grant: 'one', time: '1970-01-01T00:00:05.000Z' }),
    ]);
    expect(recent.since).toBe(1_000);
  });

  it('is bounded in lines and in size, however many there were', () => {
    const { recent, tell } = world({ lines: 10, size: 100_000 });
    for (let index = 0; index < 1_000; index += 1) tell(minted(`g${index}`));
    expect(recent.decisions().map(({ grant }) => grant)).toEqual(
      Array.from({ length: 10 }, (_, index) => `g${999 - index}`),
    );
    const small = world({ lines: 1_000, size: 3_000 });
    for (let index = 0; index < 100; index += 1) small.tell(minted(`g${index}`, { detail: 'x'.repeat(500) }));
    const kept = small.recent.decisions();
    expect(kept.length).toBeGreaterThan(1);
    expect(JSON.stringify(kept).length).toBeLessThan(3_100);
    expect(kept[0]).toMatchObject({ grant: 'g99' });
    small.tell(minted('huge', { detail: 'x'.repeat(9_000) }));
    expect(small.recent.decisions()).toEqual([]);
  });

  it('counts the use of each grant: what was minted and what was denied, and not what failed', () => {
    const { recent, tell } = world();
    tell(minted('one'));
    tell(minted('one', { outcome: 'denied' }));
    tell(minted('one'));
    tell(minted('one', { outcome: 'failed' }));
    expect(recent.use('one')).toEqual({ allowed: 2, denied: 1, lastAt: 4_000 });
    expect(recent.use('two')).toBeUndefined();
  });

  it('names that callers made up are no grants, and old ones make room', () => {
    const { recent, tell } = world({ grants: 3 });
    tell({ event: 'exchange', outcome: 'denied', grant: 'made-up' });
    expect(recent.use('made-up')).toBeUndefined();
    for (const grant of ['a', 'b', 'c', 'a', 'd']) tell(minted(grant));
    expect(recent.use('b')).toBeUndefined();
    expect(recent.use('a')).toMatchObject({ allowed: 2 });
  });
});
