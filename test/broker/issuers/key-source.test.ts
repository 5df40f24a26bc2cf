import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createIssuers, type Issuers } from '../../../broker/issuers/issuers.ts';
import {
  codeOf,
  issuerDeps,
  makeKey,
  manualClock,
  refusal,
  sign,
  startIssuer,
  trusted,
  type ManualClock,
  type SigningKey,
  type TestIssuer,
} from './fixture.ts';

const second = 1000;
const hour = 3600 * second;
let first: SigningKey;
let next: SigningKey;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  [first, next] = await Promise.all([makeKey('first'), makeKey('next')]);
});
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
});

/** Polls; the deadline is for a machine that is busy with other things. */
const eventually = (assertion: () => void) => vi.waitFor(assertion, { timeout: 10_000 });

interface Scene {
  readonly issuer: TestIssuer;
  readonly clock: ManualClock;
  readonly issuers: Issuers;
  /** The code of the refusal, or `accepted`. */
  readonly verify: (key: SigningKey, claims?: Record<string, unknown>) => Promise<string>;
}

async function scene(keys = [first]): Promise<Scene> {
  const issuer = await startIssuer(keys);
  ends.push(issuer.stop);
  const clock = manualClock();
  const issuers = createIssuers([trusted(issuer)], issuerDeps(clock));
  ends.push(() => issuers.close());
  return {
    issuer,
    clock,
    issuers,
    verify: async (key, claims = {}) => {
      const token = await sign(issuer, claims, { key, now: clock.now() });
      return issuers.verify(token).then(
        () => 'accepted',
        (error: { code: string }) => error.code,
      );
    },
  };
}

const down: TestIssuer['before'] = (_request, response) => {
  response.writeHead(501).end();
  return true;
};

describe('keys of an issuer', () => {
  it('are fetched once for 20 verifications at a time', async () => {
    const { issuer, verify } = await scene();
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => verify(first)));
    expect(new Set(outcomes)).toEqual(new Set(['accepted']));
    expect(issuer.seen).toEqual(['/.well-known/openid-configuration', '/keys']);
    await verify(first);
    expect(issuer.count('/keys')).toBe(1);
  });

  it('are looked up again for a new kid, so that a rotation fails nobody', async () => {
    const { issuer, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    issuer.keys = [first, next];
    expect(await Promise.all([verify(next), verify(next), verify(first)])).toEqual([
      'accepted',
      'accepted',
      'accepted',
    ]);
    expect(issuer.count('/keys')).toBe(2);
  });

  it.each(['ES256', 'RS256'])('are looked up again for a new key of %s under a kid that is known', async (alg) => {
    const { issuer, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    const again = await makeKey('first', alg);
    issuer.keys = [again];
    expect(await Promise.all([verify(again), verify(again)])).toEqual(['accepted', 'accepted']);
    expect(issuer.count('/keys')).toBe(2);
    expect(await verify(first)).toMatch(/^issuer_unavailable$|^subject_algorithm$/);
  });

  it('are looked up in vain at most once a cool-down, and who comes when Retry-After says is the one for whom', async () => {
    const { issuer, clock, issuers, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    const again = await makeKey('first');
    const token = async (key: SigningKey) => sign(issuer, {}, { key, now: clock.now() });
    expect(await verify(again)).toBe('subject_signature');
    issuer.keys = [again];
    const { code, retryAfter = 0, hint } = await refusal(issuers.verify(await token(again)));
    expect([code, hint]).toEqual(['issuer_unavailable', expect.stringContaining(`${retryAfter} s`)]);
    expect(issuer.count('/keys')).toBe(2);
    clock.advance(retryAfter * second - 1);
    expect(await refusal(issuers.verify(await token(again)))).toMatchObject({ retryAfter: 1 });
    clock.advance(1);
    expect(await verify(again)).toBe('accepted');
    expect(issuer.count('/keys')).toBe(3);
  });

  it('under a kid that is known cause no more loads than under unknown ones, however many tokens are forged', async () => {
    const { issuer, clock, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    const forgers = await Promise.all([
      makeKey('first'),
      makeKey('first'),
      makeKey('unknown'),
      makeKey('first', 'RS256'),
    ]);
    for (let passed = 0; passed < 240; passed += 5) {
      const outcomes = await Promise.all(forgers.map(async (key) => verify(key)));
      expect(outcomes).not.toContain('accepted');
      clock.advance(5 * second);
    }
    expect(issuer.count('/keys')).toBeLessThanOrEqual(1 + 240 / 30);
  });

  it('that a first token does not find are not loaded twice for it', async () => {
    const { issuer, verify } = await scene();
    expect(await verify(next)).toBe('subject_signature');
    expect(issuer.count('/keys')).toBe(1);
  });

  it('that are absent are remembered up to a number: 500 kids, not what memory can hold', async () => {
    const { issuer, issuers } = await scene();
    const kids = Array.from({ length: 501 }, (_value, index) => `kid-${index}`);
    const tokens = await Promise.all(kids.map((kid) => sign(issuer, {}, { key: next, header: { kid } })));
    await Promise.all(tokens.map((token) => codeOf(issuers.verify(token))));
    expect(issuer.count('/keys')).toBe(1);
    await codeOf(issuers.verify(tokens.at(-1) ?? ''));
    expect(issuer.count('/keys')).toBe(1);
    await codeOf(issuers.verify(tokens[0] ?? ''));
    expect(issuer.count('/keys')).toBe(2);
  });

  it('that were withdrawn are forgotten when their age is over', async () => {
    const { issuer, clock, verify } = await scene([first, next]);
    expect(await verify(first)).toBe('accepted');
    issuer.keys = [next];
    clock.advance(10 * 60 * second);
    expect(await verify(first)).toBe('subject_signature');
    expect(await verify(next)).toBe('accepted');
  });

  it('that were all withdrawn vouch for nothing: an empty set is an answer, not a failure', async () => {
    const { issuer, clock, issuers, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    issuer.keys = [];
    clock.advance(10 * 60 * second);
    expect(await verify(first)).toBe('subject_signature');
    expect(issuers.health()['ci']).toMatchObject({ ok: false, keys: 0 });
  });

  it('are renewed in the background before their age is over: nobody waits', async () => {
    const { issuer, clock, verify } = await scene();
    await verify(first);
    clock.advance(9 * 60 * second);
    let hanging = true;
    issuer.before = () => hanging;
    expect(await verify(first)).toBe('accepted');
    hanging = false;
    await eventually(() => expect(issuer.count('/keys')).toBe(2));
  });

  it('stay good while newer ones cannot be had, for a day and no longer', async () => {
    const { issuer, clock, issuers, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    issuer.before = down;
    clock.advance(hour);
    expect(await verify(first)).toBe('accepted');
    await eventually(() => expect(issuers.health()['ci']).toMatchObject({ ok: false, keys: 1 }));
    clock.advance(22 * hour);
    expect(await verify(first)).toBe('accepted');
    clock.advance(hour);
    expect(await verify(first)).toBe('issuer_unavailable');
    expect(issuers.health()['ci']).toMatchObject({ ok: false, keys: 0 });
    issuer.before = undefined;
    clock.advance(hour);
    expect(await verify(first)).toBe('accepted');
    expect(issuers.health()['ci']).toMatchObject({ ok: true, keys: 1, lastError: undefined });
  });

  it('make nobody wait for a server that failed before, as long as old ones serve', async () => {
    const { issuer, clock, issuers, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    issuer.before = down;
    clock.advance(hour);
    expect(await verify(first)).toBe('accepted');
    await eventually(() => expect(issuers.health()['ci']?.ok).toBe(false));
    issuer.before = () => true;
    const asked = issuer.seen.length;
    clock.advance(hour);
    expect(await verify(first)).toBe('accepted');
    // It is being asked meanwhile, and has not answered: nobody waited for that.
    await eventually(() => expect(issuer.seen.length).toBeGreaterThan(asked));
    expect(issuers.health()['ci']?.lastError).toMatch(/HTTP 501/);
  });

  it('that cannot be had are asked for ever less often, however many ask', async () => {
    const { issuer, clock, verify } = await scene();
    issuer.before = down;
    const attempts: number[] = [];
    for (let passed = 0; passed < 300; passed += 1) {
      const before = issuer.seen.length;
      await Promise.all([verify(first), verify(next)]);
      if (issuer.seen.length > before) attempts.push(passed);
      clock.advance(second);
    }
    const gaps = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
    expect(attempts.length).toBeLessThan(13);
    expect(attempts.length).toBeGreaterThan(7);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(76);
    expect(gaps.slice(-2).every((gap) => gap >= 45)).toBe(true);
    issuer.before = undefined;
    clock.advance(76 * second);
    expect(await verify(first)).toBe('accepted');
  });

  it('that cannot be had: Retry-After is what is left of the back-off, and who comes then is the first to ask', async () => {
    const { issuer, clock, issuers } = await scene();
    issuer.before = down;
    const ask = async () => refusal(issuers.verify(await sign(issuer, {}, { key: first, now: clock.now() })));
    const waits: number[] = [];
    for (let times = 0; times < 10; times += 1) {
      const { code, retryAfter = 0 } = await ask();
      expect(code).toBe('issuer_unavailable');
      waits.push(retryAfter);
      const asked = issuer.seen.length;
      clock.advance((retryAfter - 1) * second);
      if (retryAfter > 1) expect((await ask()).retryAfter).toBe(1);
      expect(issuer.seen.length).toBe(asked);
      clock.advance(second);
      if (times === 9) issuer.before = undefined;
      else continue;
      await issuers.verify(await sign(issuer, {}, { key: first, now: clock.now() }));
    }
    expect(Math.max(...waits)).toBeGreaterThan(44);
    expect(Math.max(...waits)).toBeLessThanOrEqual(75);
  });

  it('are judged by kid and algorithm together: two of one kid do not stand for each other', async () => {
    const rsa = await makeKey('shared', 'RS256');
    const ec = await makeKey('shared', 'ES256');
    const stranger = await makeKey('shared', 'ES256');
    const { clock, verify } = await scene([rsa, ec]);
    expect(await verify(rsa)).toBe('accepted');
    expect(await verify(ec)).toBe('accepted');
    expect(await verify(stranger)).toBe('subject_signature');
    clock.advance(30 * second);
    expect(await verify(await makeKey('shared', 'ES384'))).toBe('subject_algorithm');
  });

  it('are found without a kid only where one key alone fits the algorithm', async () => {
    const nameless = await makeKey(undefined, 'ES256');
    const { issuer, verify, clock } = await scene([
      { ...nameless, jwk: { ...nameless.jwk, kid: 'named' } },
      await makeKey('rsa', 'RS256'),
    ]);
    expect(await verify(nameless)).toBe('accepted');
    expect(await verify(await makeKey(undefined, 'ES256'))).toBe('subject_signature');
    issuer.keys = [nameless, first];
    clock.advance(hour);
    expect(await verify(nameless)).toBe('subject_signature');
  });

  it('without a kid are looked up again when the one that fits did not sign', async () => {
    const [old, fresh] = await Promise.all([makeKey(undefined), makeKey(undefined)]);
    const { issuer, verify } = await scene([old]);
    expect(await verify(old)).toBe('accepted');
    issuer.keys = [fresh];
    expect(await verify(fresh)).toBe('accepted');
    expect(await verify(old)).toBe('issuer_unavailable');
    expect(issuer.count('/keys')).toBe(2);
  });

  it('survive a clock that is set back', async () => {
    const { issuer, clock, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    expect(await verify(await makeKey('stranger'))).toBe('subject_signature');
    clock.advance(-48 * hour);
    issuer.keys = [next];
    expect(await verify(next)).toBe('accepted');
  });

  it('outlive a reload of the configuration while their issuer is down', async () => {
    const { issuer, clock, issuers, verify } = await scene();
    expect(await verify(first)).toBe('accepted');
    await issuer.stop();
    const after = createIssuers([trusted(issuer, { audience: 'new' })], issuerDeps(clock), issuers);
    issuers.close();
    await after.verify(await sign(issuer, { aud: 'new' }, { key: first }));
    const moved = createIssuers([trusted(issuer, { certificateAuthority: '/nowhere' })], issuerDeps(clock), after);
    expect(await codeOf(moved.verify(await sign(issuer, {}, { key: first })))).toBe('issuer_unavailable');
  });
});

describe('start', () => {
  it('fetches the keys before anybody asks, and renews them in time until it is closed', async () => {
    const { issuer, clock, issuers } = await scene();
    issuers.start();
    issuers.start();
    await eventually(() =>
      expect(issuers.health()['ci']).toMatchObject({ ok: true, keys: 1, lastFetched: clock.now() }),
    );
    clock.advance(8 * 60 * second);
    await eventually(() => expect(issuer.count('/keys')).toBe(2));
    await eventually(() => expect(issuers.health()['ci']?.lastFetched).toBe(clock.now()));
    issuers.close();
    clock.advance(hour);
    await new Promise(setImmediate);
    expect(issuer.count('/keys')).toBe(2);
  });

  it('comes back to an issuer that was down', async () => {
    const { issuer, clock, issuers } = await scene();
    issuer.before = down;
    issuers.start();
    await eventually(() => expect(issuers.health()['ci']?.lastError).toMatch(/HTTP 501/));
    issuer.before = undefined;
    await eventually(() => {
      clock.advance(second);
      expect(issuers.health()['ci']?.ok).toBe(true);
    });
    expect(issuers.health()['ci']?.since).toBeGreaterThan(0);
  });
});

describe('a file of keys', () => {
  it('serves an issuer that is never asked, follows its changes and survives a bad one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kleis-subject-'));
    ends.push(() => rm(folder, { recursive: true }));
    const jwks = join(folder, 'jwks.json');
    await writeFile(jwks, JSON.stringify({ keys: [first.jwk] }));
    const clock = manualClock();
    const issuer = { url: 'https://unreachable.example.com' };
    const issuers = createIssuers([trusted(issuer, { jwks })], {
      clock,
      fetchFor: () => () => Promise.reject(new Error('asked')),
    });
    const token = (key: SigningKey) => sign(issuer, {}, { key, now: clock.now() });
    await issuers.verify(await token(first));
    await writeFile(jwks, JSON.stringify({ keys: [first.jwk, next.jwk] }));
    await issuers.verify(await token(next));
    await writeFile(jwks, 'no');
    clock.advance(10 * second);
    await issuers.verify(await token(next));
    await issuers.verify(await token(next));
    expect(issuers.health()['ci']).toMatchObject({ ok: false, keys: 2, lastError: 'the key set is not JSON' });
    const error = await refusal(issuers.verify(await token(await makeKey('other'))));
    expect(error.code).toBe('issuer_unavailable');
    expect(error.message + error.hint).not.toContain(folder);
  });
});
