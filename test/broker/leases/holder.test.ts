import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isOfSubject, issuerOf, subjectOf } from '../../../broker/leases/holder.ts';
import { shorten } from '../../../shared/text.ts';

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

  it('is of no subject that ends in the middle of a part', () => {
    expect(isOfSubject('ci repo:acme/web:ref:x', 'repo:acme/web')).toBe(true);
    expect(isOfSubject('ci repo:acme/website', 'repo:acme/web')).toBe(false);
    expect(isOfSubject('ci repo:acme/web', 'ci repo:acme/web')).toBe(false);
  });
});
