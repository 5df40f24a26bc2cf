import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  heldBy,
  holderOf,
  isOfSubject,
  issuerOf,
  ownHolder,
  shownHolder,
  subjectOf,
} from '../../../broker/leases/holder.ts';
import { clean, shorten } from '../../../shared/text.ts';

describe('a holder', () => {
  it('is an issuer and a subject, which may have blanks; without a subject it is the issuer alone', () => {
    expect([issuerOf('ci repo:a b'), subjectOf('ci repo:a b')]).toEqual(['ci', 'repo:a b']);
    expect([issuerOf('ci'), subjectOf('ci')]).toEqual(['ci', 'ci']);
  });

  it('that was cut is of every subject that begins like it, so that none is missed', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z:/]{1,300}$/), (subject) =>
        isOfSubject(shorten(`ci ${subject}`, 120), subject),
      ),
    );
  });

  it('is of its subject in a lease, whatever that has in it that nobody sees', () => {
    const odd = fc.string({ unit: fc.constantFrom('a', ' ', ':', '\u200b', '\u0007', '…', 'é'), maxLength: 300 });
    fc.assert(
      fc.property(
        fc.oneof(
          odd,
          fc.nat(600).map((length) => `${'\u200b'.repeat(length)}alice`),
        ),
        (sub) => {
          fc.pre(sub.trim() !== '');
          const holder = shownHolder(holderOf({ issuer: 'ci', claims: { sub } }));
          expect(isOfSubject(holder, sub)).toBe(true);
          expect([issuerOf(holder), holder.length <= 120]).toEqual(['ci', true]);
          // What is kept is not changed again where it is read.
          expect(clean(holder, 120)).toBe(holder);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is somebody’s own if it can be nobody else’s', () => {
    const sub = fc.string({ unit: fc.constantFrom('a', ' ', '\u200b', '…'), maxLength: 8 });
    const near = fc.oneof(
      sub,
      sub.map((text) => `${'a'.repeat(114)}${text}`),
    );
    fc.assert(
      fc.property(near, near, (one, other) => {
        fc.pre(one !== other);
        const lease = { holder: shownHolder(holderOf({ issuer: 'ci', claims: { sub: one } })) };
        expect(heldBy({ issuer: 'ci', claims: { sub: other } })(lease)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
    expect(ownHolder({ issuer: 'ci', claims: { sub: 'alice' } })).toBe('ci alice');
    for (const claims of [{}, { sub: '' }, { sub: 7 }]) expect(ownHolder({ issuer: 'ci', claims })).toBeUndefined();
  });

  it('is made out once for all leases that are looked through', () => {
    let asked = 0;
    const subject = {
      issuer: 'ci',
      get claims() {
        asked += 1;
        return { sub: 'alice' };
      },
    };
    const isOwn = heldBy(subject);
    const before = asked;
    const leases = Array.from({ length: 1_000 }, (_, index) => ({ holder: `ci ${index === 7 ? 'alice' : index}` }));
    expect(leases.filter(isOwn)).toHaveLength(1);
    expect(asked).toBe(before);
  });

  it('is of no subject that ends in the middle of a part', () => {
    expect(isOfSubject('ci repo:acme/web:ref:x', 'repo:acme/web')).toBe(true);
    expect(isOfSubject('ci repo:acme/website', 'repo:acme/web')).toBe(false);
    expect(isOfSubject('ci repo:acme/web', 'ci repo:acme/web')).toBe(false);
  });
});
