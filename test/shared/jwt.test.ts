import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeUnverified, JwtFault, tokenHash } from '../../shared/jwt.ts';

const part = (value: string | Uint8Array) => Buffer.from(value).toString('base64url');
const token = (payload: string | Uint8Array, header: string | Uint8Array = '{"alg":"ES256"}') =>
  `${part(header)}.${part(payload)}.c2ln`;

/** Why a text is refused; undefined if it is not. */
function faultOf(text: unknown, limits?: { maxLength: number }): string | undefined {
  try {
    decodeUnverified(text, limits);
    return undefined;
  } catch (error) {
    if (error instanceof JwtFault) return error.message;
    throw error;
  }
}

function rewrite(text: string): string {
  const parts = text.split('.').map((one) => Buffer.from(one, 'base64url'));
  return parts.length === 3 ? parts.map(part).join('.') : 'not three parts';
}

describe('decodeUnverified', () => {
  it('gives header, claims, signing input and signature as sent', () => {
    const text = token('{"sub":"x","nested":{"list":[1,{"a":"é:\\"{"}]}}');
    const jwt = decodeUnverified(text);
    expect(jwt.header).toEqual({ alg: 'ES256' });
    expect(jwt.claims).toEqual({ sub: 'x', nested: { list: [1, { a: 'é:"{' }] } });
    expect(jwt.signingInput).toBe(text.slice(0, text.lastIndexOf('.')));
    expect(Buffer.from(jwt.signature).toString()).toBe('sig');
  });

  it('freezes claims to their depth', () => {
    const { claims } = decodeUnverified(token('{"a":{"b":[{"c":1}]}}'));
    expect(Object.isFrozen(claims) && Object.isFrozen(claims['a'])).toBe(true);
    expect(() => Object.assign(claims['a'] ?? {}, { b: 2 })).toThrow(TypeError);
  });

  it.each([
    ['nothing', undefined, /no token/],
    ['an object', { toString: () => token('{}') }, /no token/],
    ['an empty text', '', /no token/],
    ['two parts', 'e30.e30', /three parts/],
    ['four parts', 'e30.e30.c2ln.c2ln', /three parts/],
    ['very many parts', '.'.repeat(5000), /three parts/],
    ['an encrypted token', 'e30.c2ln.c2ln.c2ln.c2ln', /encrypted/],
    ['no signature', 'e30.e30.', /signature of the token is empty/],
    ['no header', '.e30.c2ln', /header of the token is empty/],
    ['padding', 'e30=.e30.c2ln', /header of the token is not base64url/],
    ['a blank', 'e30.e30 .c2ln', /payload of the token is not base64url/],
    ['a line break at the end', 'e30.e30.c2ln\n', /signature of the token is not base64url/],
    ['plain base64', `e30.${Buffer.from('{"a":"???"}').toString('base64').replaceAll('=', '')}.c2ln`, /payload/],
    ['left-over bits', 'e30.e31.c2ln', /payload of the token is not base64url/],
    ['one character too many', 'e30.e30aa.c2ln', /payload of the token is not/],
    ['a byte order mark', token('\uFEFF{}'), /not JSON/],
    ['bytes that are not UTF-8', token(Buffer.from('{"a":"\xff"}', 'latin1')), /not UTF-8/],
    ['an overlong slash', token(Buffer.from('{"a":"\xc0\xaf"}', 'latin1')), /not UTF-8/],
    ['a surrogate in UTF-8', token(Buffer.from('{"a":"\xed\xa0\x80"}', 'latin1')), /not UTF-8/],
    ['half of a surrogate pair', token('{"a":"\\ud800"}'), /not Unicode/],
    ['half of a pair in a name', token('{"\\udfff":1}'), /not Unicode/],
    ['a list', token('[]'), /not a JSON object/],
    ['null', token('null'), /not a JSON object/],
    ['a text', token('"{}"'), /not a JSON object/],
    ['half an object', token('{"a":'), /not JSON/],
    ['two objects', token('{}{}'), /not JSON/],
    ['a comment', token('{}//'), /not JSON/],
    ['a name twice', token('{"sub":"a","sub":"b"}'), /member twice/],
    ['a name twice, spelled differently', token('{"sub":"a","s\\u0075b":"b"}'), /member twice/],
    ['a name twice far inside', token('{"a":[{"b":{"c":1,"c":1}}]}'), /member twice/],
    ['an alg twice', token('{}', '{"alg":"ES256","alg":"none"}'), /header of the token has a member twice/],
    ['__proto__', token('{"__proto__":{"admin":true}}'), /forbidden name/],
    ['__proto__ inside', token('{"a":[{"\\u005f_proto__":1}]}'), /forbidden name/],
    ['depth', token(`{"a":${'['.repeat(17)}${']'.repeat(17)}}`), /nested too deeply/],
    ['a depth that ends a stack', token(`{"a":${'['.repeat(10_000)}`), /nested too deeply/],
  ])('refuses %s', (_what, text, reason) => {
    expect(faultOf(text)).toMatch(reason);
  });

  it('is not misled by colons, quotes and brackets within strings', () => {
    const claims = { 'a:b': ':', c: '\\', d: '\\":{[', e: '"', '"f":': [':{', '}'], g: {} };
    expect(decodeUnverified(token(JSON.stringify(claims))).claims).toEqual(claims);
    expect(faultOf(token(String.raw`{"a":"\":"}`))).toBeUndefined();
    expect(faultOf(token(String.raw`{"a":"\\","a":1}`))).toMatch(/member twice/);
    expect(decodeUnverified(token(` { "a" : [ "${'['.repeat(100)}" ] } `)).claims).toEqual({ a: ['['.repeat(100)] });
  });

  it('measures before it works', () => {
    expect(faultOf('x'.repeat(16_385))).toMatch(/longer than 16384/);
    expect(faultOf(token('{}'), { maxLength: 10 })).toMatch(/longer than 10/);
    const filler = token(JSON.stringify({ a: 'x'.repeat(12_000) }));
    expect(decodeUnverified(filler).claims['a']).toHaveLength(12_000);
  });

  it('never throws anything but its own fault, and quotes nothing', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.uint8Array().map(part),
      fc.json().map(part),
      fc.string({ unit: 'binary' }).map(part),
      fc.constantFrom('e30', '', '=', 'e30='),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        const text = pieces.join('.');
        const fault = faultOf(text);
        // What is accepted is canonical: taken apart and written anew it is the same text.
        expect(fault === undefined ? rewrite(text) : text).toBe(text);
        expect(fault ?? 'The text is a token.').toMatch(/^The(re)? [\w ():;,.-]+\.$/);
      }),
      { numRuns: 2000 },
    );
  });

  it('reads every claim set that JSON can write', () => {
    const name = fc.string({ unit: 'grapheme' }).filter((text) => text !== '__proto__');
    const value = fc.letrec((tie) => ({
      leaf: fc.oneof(
        fc.string({ unit: 'grapheme' }),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        fc.constant(null),
      ),
      any: fc.oneof(
        { depthSize: 'small' },
        tie('leaf'),
        fc.array(tie('any'), { maxLength: 4 }),
        fc.dictionary(name, tie('any'), { maxKeys: 4 }),
      ),
    })).any;
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 6 }), fc.constantFrom(0, 1), (claims, indent) => {
        const text = JSON.stringify(claims, undefined, indent);
        fc.pre(text.length < 8000);
        expect(decodeUnverified(token(text)).claims).toEqual(JSON.parse(text));
      }),
    );
  });
});

it('tokenHash is the SHA-256 of the text in hex', () => {
  expect(tokenHash('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
