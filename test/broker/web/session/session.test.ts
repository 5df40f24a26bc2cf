import { describe, expect, it } from 'vitest';
import type { Subject } from '../../../../broker/issuers/issuers.ts';
import { readCookies } from '../../../../broker/web/session/cookies.ts';
import { beginSignIn, openPending } from '../../../../broker/web/session/pending.ts';
import { createSeal } from '../../../../broker/web/session/seal.ts';
import { openSession, startSession } from '../../../../broker/web/session/session.ts';

const seal = createSeal([new Uint8Array(32).fill(1)], ['here']);
const issuer = { name: 'sso', leeway: 30_000, singleUse: false, tenantClaim: 'org' } as Parameters<
  typeof openSession
>[2];
const admins = [{ issuer: 'sso', claim: 'groups', value: 'platform' }];
const begun = Date.UTC(2026, 10, 26);
const subject: Subject = {
  issuer: 'sso',
  claims: { sub: 'alice', org: 'acme', groups: ['platform'], nonce: 'n', at_hash: 'h', exp: 1 },
  tokenHash: 'ab',
  replayKey: 'r1',
  expiresAt: begun + 60_000,
  tenant: 'acme',
  singleUse: false,
};

const hour = 3_600_000;
const at = (now: number, rules = admins, session = hour) =>
  ({ loaded: { config: { admins: rules, web: { session } } }, clock: { now: () => now } }) as unknown as Parameters<
    typeof openSession
  >[3];
const cookiesOf = (set: readonly string[]) => readCookies(set.map((each) => each.split(';')[0]).join('; '));

describe('a session', () => {
  it('is who the provider said it was, and holds nothing that is of the token alone', async () => {
    const set = await startSession(subject, { seal, now: begun, length: 3_600_000 });
    const session = await openSession(cookiesOf(set), seal, issuer, at(begun));
    expect(session).toMatchObject({ admin: true, name: 'alice', endsAt: begun + 3_600_000 });
    expect(session?.subject).toMatchObject({ issuer: 'sso', tokenHash: 'ab', tenant: 'acme', replayKey: '' });
    expect(session?.subject.claims).toEqual({ sub: 'alice', org: 'acme', groups: ['platform'], exp: 1 });
  });

  it('ends to the millisecond, and is none before it began', async () => {
    const cookies = cookiesOf(await startSession(subject, { seal, now: begun, length: 3_600_000 }));
    const isOpen = async (now: number) => (await openSession(cookies, seal, issuer, at(now))) !== undefined;
    expect(await isOpen(begun + 3_599_999)).toBe(true);
    expect(await isOpen(begun + 3_600_000)).toBe(false);
    expect(await isOpen(begun - 30_000)).toBe(true);
    expect(await isOpen(begun - 30_001)).toBe(false);
  });

  it('lasts as long as the configuration in force says, and never longer than it was begun for', async () => {
    const cookies = cookiesOf(await startSession(subject, { seal, now: begun, length: hour }));
    const endOf = async (age: number, length: number) =>
      (await openSession(cookies, seal, issuer, at(begun + age, admins, length)))?.endsAt;
    expect(await endOf(hour / 2 - 1, hour / 2)).toBe(begun + hour / 2);
    expect(await endOf(hour / 2, hour / 2)).toBeUndefined();
    expect(await endOf(hour - 1, 10 * hour)).toBe(begun + hour);
    expect(await endOf(hour, 10 * hour)).toBeUndefined();
  });

  it('is judged by the rules that hold now: who is no admin any more is none at once', async () => {
    const cookies = cookiesOf(await startSession(subject, { seal, now: begun, length: 3_600_000 }));
    expect((await openSession(cookies, seal, issuer, at(begun, [])))?.admin).toBe(false);
  });
});

describe('a sign-in that was begun', () => {
  it('is good in its browser for a quarter of an hour, and in no other', async () => {
    const { state, cookie, nonce } = await beginSignIn('/ui/access', new Map(), { seal, now: begun });
    const cookies = cookiesOf([cookie]);
    expect(await openPending(state, cookies, { seal, now: begun + 899_999 })).toMatchObject({
      nonce,
      back: '/ui/access',
    });
    expect(await openPending(state, cookies, { seal, now: begun + 900_000 })).toBeUndefined();
    expect(await openPending(state, new Map(), { seal, now: begun })).toBeUndefined();
    const other = await beginSignIn('/ui/access', new Map(), { seal, now: begun });
    expect(await openPending(state, cookiesOf([other.cookie]), { seal, now: begun })).toBeUndefined();
  });
});
