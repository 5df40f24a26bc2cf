import { createHmac, createPublicKey, randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { CompactEncrypt } from 'jose';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createIssuers, type Issuers } from '../../broker/issuers/issuers.ts';
import { KleisError } from '../../shared/errors.ts';
import {
  assemble,
  audience,
  codeOf,
  issuerDeps,
  makeKey,
  manualClock,
  noon,
  refusal,
  sign,
  startIssuer,
  trusted,
  type SigningKey,
  type TestIssuer,
} from '../broker/issuers/fixture.ts';

const second = 1000;
const seconds = noon / second;
let key: SigningKey;
let rsa: SigningKey;
let attackers: SigningKey;
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  [key, rsa, attackers] = await Promise.all([makeKey('k'), makeKey('rsa', 'RS256'), makeKey('k')]);
});
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function running(...args: Parameters<typeof startIssuer>): Promise<TestIssuer> {
  const issuer = await startIssuer(...args);
  stops.push(issuer.stop);
  return issuer;
}

function trusting(issuer: { readonly url: string }, ...more: { readonly url: string }[]): Issuers {
  const others = more.map((other, index) => trusted(other, { name: `other-${index}` }));
  return createIssuers([trusted(issuer), ...others], issuerDeps());
}

const claimsOf = (issuer: { readonly url: string }) => ({
  iss: issuer.url,
  aud: audience,
  iat: seconds,
  exp: seconds + 300,
});

describe('a token cannot make the broker fetch anything', () => {
  it('through iss: what is not configured to the letter is never asked', async () => {
    const issuer = await running([key]);
    const victim = await running([attackers]);
    const issuers = trusting(issuer);
    const host = new URL(victim.url).host;
    const spellings = [
      victim.url,
      `${issuer.url}/`,
      `${issuer.url}#`,
      `${issuer.url}?`,
      `${issuer.url}/.`,
      ` ${issuer.url}`,
      `${issuer.url}\0`,
      `${issuer.url}@${host}`,
      `http://${new URL(issuer.url).host}@${host}/`,
      issuer.url.toUpperCase(),
      issuer.url.replace('127.0.0.1', '127.1'),
      issuer.url.replace('127.0.0.1', '１２７.0.0.1'),
      issuer.url.replace('127', '\u202E127'),
      issuer.url.replace('http', 'ｈttp'),
      issuer.url.replace('.0.0.1', '。0。0。1'),
      `${issuer.url}\u0301`,
      'file:///etc/passwd',
      'toString',
      '__proto__',
      '',
    ];
    for (const iss of spellings) {
      const error = await refusal(issuers.verify(await sign(issuer, { iss }, { key: attackers })));
      expect(error.code).toBe('subject_issuer_unknown');
    }
    for (const iss of [undefined, null, 1, [issuer.url], { url: issuer.url }]) {
      expect(await codeOf(issuers.verify(await sign(issuer, { iss }, { key: attackers })))).toBe('subject_malformed');
    }
    expect(issuer.seen).toEqual([]);
    expect(victim.seen).toEqual([]);
  });

  it('through jku, x5u, or by bringing its own key: such headers are not heard', async () => {
    const issuer = await running([key]);
    const evil = await running([attackers]);
    const issuers = trusting(issuer);
    const header = { jku: `${evil.url}/keys`, x5u: `${evil.url}/keys`, jwk: attackers.jwk, x5c: ['MIIB'] };
    expect(await codeOf(issuers.verify(await sign(issuer, {}, { key: attackers, header })))).toBe('subject_signature');
    expect(
      await codeOf(issuers.verify(await sign(issuer, {}, { key: attackers, header: { ...header, kid: 'x' } }))),
    ).toBe('subject_signature');
    // Nor do they take anything from a token that is genuine.
    expect((await issuers.verify(await sign(issuer, {}, { key, header }))).issuer).toBe('ci');
    expect(evil.seen).toEqual([]);
  });

  it('with a flood of kids: two loads in half a minute, whoever asks, and the rotated key is found thereafter', async () => {
    const issuer = await running([key]);
    const clock = manualClock();
    const issuers = createIssuers([trusted(issuer)], issuerDeps(clock));
    await issuers.verify(await sign(issuer, {}, { key }));
    expect(issuer.count('/keys')).toBe(1);
    const floods = await Promise.all(
      Array.from({ length: 300 }, () => sign(issuer, {}, { key: attackers, header: { kid: randomUUID() } })),
    );
    const codes = await Promise.all(floods.slice(0, 150).map((token) => codeOf(issuers.verify(token))));
    codes.push(...(await Promise.all(floods.slice(150).map((token) => codeOf(issuers.verify(token))))));
    expect(new Set(codes)).toEqual(new Set(['subject_signature', 'issuer_unavailable']));
    expect(issuer.count('/keys')).toBe(2);
    // An honest job in the middle of it: old keys serve as ever, and with a new one it is told to come again.
    await issuers.verify(await sign(issuer, {}, { key }));
    const rotated = await makeKey('rotated');
    issuer.keys = [key, rotated];
    expect(await codeOf(issuers.verify(await sign(issuer, {}, { key: rotated })))).toBe('issuer_unavailable');
    clock.advance(30 * second);
    await issuers.verify(await sign(issuer, {}, { key: rotated }));
    expect(issuer.count('/keys')).toBe(3);
    expect(issuer.count('openid-configuration')).toBe(1);
  });

  it('with one wrong kid again and again: it does not use up the load that a rotation needs', async () => {
    const issuer = await running([key]);
    const clock = manualClock();
    const issuers = createIssuers([trusted(issuer)], issuerDeps(clock));
    await issuers.verify(await sign(issuer, {}, { key }));
    const wrong = await sign(issuer, {}, { key: attackers, header: { kid: 'wrong' } });
    expect(await codeOf(issuers.verify(wrong))).toBe('subject_signature');
    clock.advance(31 * second);
    expect(await codeOf(issuers.verify(wrong))).toBe('subject_signature');
    expect(issuer.count('/keys')).toBe(2);
    const rotated = await makeKey('rotated');
    issuer.keys = [rotated];
    await issuers.verify(await sign(issuer, {}, { key: rotated }));
  });

  it('with a forged signature under a kid that exists: no load but the first, and honest tokens are judged as ever', async () => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    const forged = await sign(issuer, {}, { key: attackers });
    for (let times = 0; times < 20; times += 1) {
      expect(await codeOf(issuers.verify(forged))).toMatch(/^subject_signature$|^issuer_unavailable$/);
      await issuers.verify(await sign(issuer, {}, { key }));
    }
    expect(issuer.count('/keys')).toBe(1);
  });
});

describe("a signature is the issuer's or worth nothing", () => {
  it.each(['none', 'None', 'NONE', 'nOnE', ''])('alg "%s" is refused', async (alg) => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    expect(await codeOf(issuers.verify(assemble({ alg, kid: 'k' }, claimsOf(issuer))))).toBe('subject_algorithm');
    expect(await codeOf(issuers.verify(assemble({ alg, kid: 'k' }, claimsOf(issuer), '')))).toBe('subject_malformed');
  });

  it('HS256 keyed with the public key in any form is refused', async () => {
    const issuer = await running([rsa]);
    const issuers = trusting(issuer);
    const bare = { ...rsa.jwk, alg: undefined };
    const object = createPublicKey({ key: { kty: 'RSA', n: rsa.jwk.n ?? '', e: rsa.jwk.e ?? '' }, format: 'jwk' });
    const secrets = [
      object.export({ type: 'spki', format: 'pem' }),
      object.export({ type: 'spki', format: 'der' }),
      object.export({ type: 'pkcs1', format: 'pem' }),
      JSON.stringify(rsa.jwk),
      Buffer.from(rsa.jwk.n ?? '', 'base64url'),
      '',
    ];
    issuer.keySet = { keys: [rsa.jwk, { ...bare, kid: 'any' }] };
    for (const secret of secrets) {
      for (const kid of ['rsa', 'any', undefined]) {
        const input = assemble({ alg: 'HS256', kid }, claimsOf(issuer)).replace(/\.[^.]*$/, '');
        const token = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
        expect(await codeOf(issuers.verify(token))).toBe('subject_algorithm');
      }
    }
    expect(issuer.seen).toEqual([]);
  });

  it('a symmetric key in the set of the issuer does not open HS256', async () => {
    const issuer = await running([key]);
    issuer.keySet = { keys: [{ kty: 'oct', kid: 'k', alg: 'ES256', k: 'c2VjcmV0' }] };
    expect(await codeOf(trusting(issuer).verify(await sign(issuer, {}, { key })))).toBe('subject_signature');
  });

  it('two issuers with the same kid cannot vouch for each other', async () => {
    const [a, b] = await Promise.all([running([key]), running([attackers])]);
    const issuers = trusting(a, b);
    expect((await issuers.verify(await sign(b, {}, { key: attackers }))).issuer).toBe('other-0');
    expect(await codeOf(issuers.verify(await sign(a, {}, { key: attackers })))).toBe('subject_signature');
    expect(await codeOf(issuers.verify(await sign(b, {}, { key })))).toBe('subject_signature');
  });

  it('a token changed in any one character is another token', async () => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    const token = await sign(issuer, {}, { key });
    await issuers.verify(token);
    const character = fc.constantFrom(...'AQgwZz09-_.=+/ \n\0é'.split(''));
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), character, fc.boolean(), async (at, other, insert) => {
        const changed = token.slice(0, at) + other + token.slice(insert ? at : at + 1);
        fc.pre(changed !== token);
        expect(await codeOf(issuers.verify(changed))).toMatch(/^subject_|^issuer_unavailable$/);
      }),
      { numRuns: 300 },
    );
  });

  it('an encrypted token, one within another and one with an unknown critical header are refused', async () => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    const inner = await sign(issuer, {}, { key });
    const jwe = await new CompactEncrypt(Buffer.from(inner))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', cty: 'JWT' })
      .encrypt(Buffer.alloc(32));
    expect(await codeOf(issuers.verify(jwe))).toBe('subject_malformed');
    expect(await codeOf(issuers.verify(assemble({ alg: 'ES256', kid: 'k', cty: 'JWT' }, inner)))).toBe(
      'subject_malformed',
    );
    expect(await codeOf(issuers.verify(await sign(issuer, {}, { key, header: { cty: 'JWT' } })))).toBe(
      'subject_malformed',
    );
    for (const header of [
      { crit: ['exp'], exp: 1 },
      { crit: [] },
      { b64: false },
      { b64: true },
      { crit: ['b64'], b64: false },
    ]) {
      const token = assemble({ alg: 'ES256', kid: 'k', ...header }, claimsOf(issuer));
      expect(await codeOf(issuers.verify(token))).toBe('subject_malformed');
    }
  });
});

describe('a token is used up under one name', () => {
  // The order of P-256 (SEC 2 section 2.4.2).
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

  it.each([
    ['with a jti', {}],
    ['without', { jti: undefined }],
  ])('%s: an ECDSA signature that was rewritten without the key makes no new token', async (_what, claims) => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    const token = await sign(issuer, claims, { key });
    const at = token.lastIndexOf('.') + 1;
    const signature = Buffer.from(token.slice(at), 'base64url');
    const s = BigInt(`0x${signature.subarray(32).toString('hex')}`);
    const other = Buffer.from((order - s).toString(16).padStart(64, '0'), 'hex');
    const twin = token.slice(0, at) + Buffer.concat([signature.subarray(0, 32), other]).toString('base64url');
    const [one, two] = await Promise.all([issuers.verify(token), issuers.verify(twin)]);
    expect(one.tokenHash).not.toBe(two.tokenHash);
    expect(one.replayKey).toBe(two.replayKey);
  });

  it('that the same jti at another issuer does not share', async () => {
    const [a, b] = await Promise.all([running([key]), running([key])]);
    const issuers = trusting(a, b);
    const [one, two] = await Promise.all(
      [a, b].map(async (issuer) => issuers.verify(await sign(issuer, { jti: 'x' }, { key }))),
    );
    expect(one?.replayKey).not.toBe(two?.replayKey);
  });
});

describe('an issuer that misbehaves', () => {
  it('and hangs delays no other, and its own callers for a bounded time', async () => {
    const [dead, alive] = await Promise.all([running([attackers]), running([key])]);
    dead.before = () => true;
    const issuers = createIssuers(
      [trusted(dead, { name: 'dead' }), trusted(alive, { name: 'alive' })],
      issuerDeps(manualClock(), 2_500),
    );
    issuers.start();
    let over = false;
    const waiting = codeOf(issuers.verify(await sign(dead, {}, { key: attackers }))).finally(() => {
      over = true;
    });
    expect((await issuers.verify(await sign(alive, {}, { key }))).issuer).toBe('alive');
    expect(over).toBe(false);
    expect(await waiting).toBe('issuer_unavailable');
    // Thereafter nobody waits: the back-off answers, without asking.
    const asked = dead.seen.length;
    expect(await codeOf(issuers.verify(await sign(dead, {}, { key: attackers })))).toBe('issuer_unavailable');
    expect(dead.seen.length).toBe(asked);
    issuers.close();
    expect(issuers.health()).toMatchObject({ alive: { ok: true }, dead: { ok: false, keys: 0 } });
  });

  it.each<[string, (issuer: TestIssuer, other: TestIssuer) => void, RegExp]>([
    [
      'claims to be another',
      (issuer, other) => void (issuer.discovery = (document) => ({ ...document, issuer: other.url })),
      /another issuer/,
    ],
    [
      'sends 2 MiB',
      (issuer) => void (issuer.keySet = { keys: [key.jwk], filler: 'x'.repeat(2 ** 21) }),
      /more than 1048576 bytes/,
    ],
    [
      'sends 101 keys',
      (issuer) => void (issuer.keySet = { keys: Array.from({ length: 101 }, () => key.jwk) }),
      /more than 100 keys/,
    ],
    ['sends a page', (issuer) => void (issuer.keySet = '<html>'), /not JSON/],
    [
      'sends us elsewhere for the document',
      (issuer, other) => {
        issuer.before = (_request, response) =>
          response.writeHead(302, { location: `${other.url}/.well-known/openid-configuration` }).end() !== undefined;
      },
      /HTTP 302/,
    ],
    [
      'sends us elsewhere for the keys',
      (issuer, other) => {
        issuer.before = (request, response) =>
          request.url === '/keys' && response.writeHead(307, { location: `${other.url}/keys` }).end() !== undefined;
      },
      /HTTP 307/,
    ],
  ])('and %s vouches for nobody, and what it says reaches no caller', async (_what, misbehave, reason) => {
    const [issuer, other] = await Promise.all([running([key]), running([key])]);
    misbehave(issuer, other);
    const issuers = trusting(issuer);
    const error = await refusal(issuers.verify(await sign(issuer, {}, { key })));
    expect(error.code).toBe('issuer_unavailable');
    expect(error.detail).toMatch(reason);
    expect(error.message).toBe("The keys of the token's issuer cannot be had at the moment.");
    expect(issuers.health()['ci']?.lastError).toMatch(reason);
    expect(other.seen).toEqual([]);
  });
});

describe('refusals', () => {
  it('say nothing of audience or time to one whose signature is not proved', async () => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    for (const claims of [{ exp: 1, iat: 0 }, { aud: 'other' }, { iat: seconds + 9999 }, { exp: undefined }]) {
      const code = await codeOf(issuers.verify(await sign(issuer, claims, { key: attackers })));
      expect(code).toMatch(/^subject_signature$|^issuer_unavailable$/);
    }
  });

  it('hold no part of the token and nothing that forges a line of a log', async () => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    const bad = '\n{"forged":"line"}\u001B[31m\u202E\u2028';
    const tokens = await Promise.all([
      sign(issuer, { iss: bad.repeat(50) }, { key }),
      sign(issuer, { aud: [bad, bad.repeat(100)] }, { key }),
      sign(issuer, {}, { key, header: { kid: bad } }),
      sign(issuer, { exp: bad }, { key }),
      sign(issuer, { jti: bad, exp: 1, iat: 0 }, { key }),
      sign(issuer, {}, { key: attackers }),
      sign(issuer, {}, { key, header: { typ: bad } }),
    ]);
    tokens.push(assemble({ alg: bad, kid: 'k' }, claimsOf(issuer)));
    for (const token of tokens) {
      const { message, hint, detail = '' } = await refusal(issuers.verify(token));
      for (const text of [message, hint, detail]) {
        expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(text.length).toBeLessThan(500);
        for (const part of token.split('.')) expect(text).not.toContain(part.slice(0, 20));
      }
    }
  });

  it('are the only way in which garbage can end', async () => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    const anything = fc.oneof(
      fc.json(),
      fc
        .record({ alg: fc.anything(), kid: fc.anything(), typ: fc.anything() }, { requiredKeys: [] })
        .map((value) => JSON.stringify(value, (_name, one: unknown) => (typeof one === 'bigint' ? String(one) : one))),
      fc.constant(JSON.stringify({ alg: 'ES256', kid: 'k' })),
      fc.constant(JSON.stringify(claimsOf(issuer))),
    );
    await fc.assert(
      fc.asyncProperty(
        anything,
        anything,
        fc.uint8Array({ minLength: 1, maxLength: 80 }),
        async (header, payload, signature) => {
          const outcome = await issuers.verify(assemble(header, payload, signature)).catch((error: unknown) => error);
          expect(outcome).toBeInstanceOf(KleisError);
        },
      ),
      { numRuns: 500 },
    );
    for (const odd of [undefined, null, 1, {}, [], 'a.b.c', 'x'.repeat(100_000), '\uD800.e30.e30']) {
      expect(await codeOf(issuers.verify(odd as string))).toBe('subject_malformed');
    }
  });

  it('end a token whose members would reach beyond it', async () => {
    const issuer = await running([key]);
    const issuers = trusting(issuer);
    const payload = JSON.stringify(claimsOf(issuer));
    for (const more of ['"__proto__":{"admin":true}', '"iss":"https://evil.example"', '"a":{"__proto__":null}']) {
      const token = assemble({ alg: 'ES256', kid: 'k' }, payload.replace(/\}$/, `,${more}}`));
      expect(await codeOf(issuers.verify(token))).toBe('subject_malformed');
    }
    // Names that are awkward in JavaScript and legal in JSON are claims like any other.
    const { claims } = await issuers.verify(
      await sign(issuer, { constructor: 'a', toString: 'b', hasOwnProperty: 1 }, { key }),
    );
    expect(Object.hasOwn(claims, 'constructor')).toBe(true);
    expect(Reflect.get({}, 'admin')).toBeUndefined();
  });
});
