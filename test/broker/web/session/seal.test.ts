import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSeal } from '../../../../broker/web/session/seal.ts';

const key = (fill: number) => new Uint8Array(32).fill(fill);
const place = ['https://kleis.example.com', 'sso', 'https://login.example.com', 'page'];
const seal = createSeal([key(1)], place);

describe('what is sealed', () => {
  it('comes out as it went in, whatever it holds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (value) => {
        const json = JSON.parse(JSON.stringify(value)) as object;
        expect(await seal.open('session', await seal.seal('session', json))).toEqual(json);
      }),
      { numRuns: 50 },
    );
  });

  it('says nothing to who has no key, and is another text each time', async () => {
    const value = { sub: 'alice', groups: ['developers'] };
    const [one, other] = await Promise.all([seal.seal('session', value), seal.seal('session', value)]);
    expect(one).not.toBe(other);
    expect(Buffer.from(one.split('.')[3]!, 'base64url').toString('latin1')).not.toContain('alice');
  });

  it('opens for no other purpose, broker, provider or client, and by no other key', async () => {
    const text = await seal.seal('session', { a: 1 });
    expect(await seal.open('sign-in', text)).toBeUndefined();
    expect(await createSeal([key(2)], place).open('session', text)).toBeUndefined();
    for (const index of place.keys()) {
      const elsewhere = place.map((part, at) => (at === index ? `${part}x` : part));
      expect(await createSeal([key(1)], elsewhere).open('session', text)).toBeUndefined();
    }
  });

  it('opens by each key of the file, and is sealed by the first', async () => {
    const old = await seal.seal('session', { a: 1 });
    const rotated = createSeal([key(2), key(1)], place);
    expect(await rotated.open('session', old)).toEqual({ a: 1 });
    const next = await rotated.seal('session', { a: 2 });
    expect(await createSeal([key(2)], place).open('session', next)).toEqual({ a: 2 });
    expect(await seal.open('session', next)).toBeUndefined();
  });

  it('does not open when a single character of it is another', async () => {
    const text = await seal.seal('session', { a: 1 });
    await fc.assert(
      fc.asyncProperty(fc.nat(text.length - 1), fc.constantFrom('A', 'b', '_', '.', '0'), async (at, char) => {
        const forged = text.slice(0, at) + char + text.slice(at + 1);
        // The last character of each part may have bits that mean nothing.
        if (forged === text || /[.]|^$/.test(text[at + 1] ?? '')) return;
        expect(await seal.open('session', forged)).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    '',
    '.',
    '....',
    'null',
    'eyJhbGciOiJub25lIn0.e30.',
    'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0....',
    'x'.repeat(1_000_000),
  ])('is nothing where nobody sealed it: %.40s', async (text) => {
    expect(await seal.open('session', text)).toBeUndefined();
  });
});
