import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseForm } from '../../../broker/http/form.ts';
import { failure } from '../../support/failure.ts';

const parse = (text: string) => parseForm(Buffer.from(text, 'latin1'));

describe('a form', () => {
  it('is read as URLSearchParams reads it, whatever was put into it', () => {
    const text = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(text, text), { maxLength: 20, selector: ([name]) => name }), (pairs) => {
        const encoded = new URLSearchParams(pairs).toString();
        const expected = [...new URLSearchParams(encoded)].filter(([, value]) => value !== '');
        expect([...parse(encoded)]).toEqual(expected);
      }),
    );
  });

  it('of visible ASCII is either refused or read as URLSearchParams reads it', () => {
    const unit = fc.constantFrom(
      'a',
      'b',
      '=',
      '&',
      '+',
      '%',
      '%41',
      '%2B',
      '%C3%A9',
      '%e2%82%ac',
      '%ff',
      '%c3',
      '%ED%A0%80',
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 30 }), (encoded) => {
        let form;
        try {
          form = parse(encoded);
        } catch {
          return;
        }
        const expected = [...new URLSearchParams(encoded)].filter(([, value]) => value !== '');
        expect([...form]).toEqual(expected);
        expect(JSON.stringify([...form])).not.toContain('\uFFFD');
      }),
    );
  });

  it.each([
    ['a=1&a=2', 'more than once'],
    ['a=%', 'encodes nothing'],
    ['a=%4', 'encodes nothing'],
    ['a=%zz', 'encodes nothing'],
    ['a=%ff', 'not UTF-8'],
    ['%c3=1', 'not UTF-8'],
    // Overlong, half a pair, and a character that a parameter's end cuts in two.
    ['a=%c0%80', 'not UTF-8'],
    ['a=%ed%a0%80', 'not UTF-8'],
    ['a=%c3&b=%a9', 'not UTF-8'],
    ['a=b c', 'must be encoded'],
    ['a=\u00e9', 'must be encoded'],
    ['a=1\r\n', 'must be encoded'],
    [`${'a'.repeat(257)}=1`, 'too long'],
    [Array.from({ length: 33 }, (_, index) => `p${index}=`).join('&'), 'more than 32'],
  ])('%j is refused', async (text, message) => {
    const refusal = await failure((async () => parse(text))());
    expect(refusal).toMatchObject({ code: 'request_malformed', message: expect.stringContaining(message) });
  });
});
