import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOfAddress } from '../../../broker/http/limits.ts';
import { type AppWorld, exchangeForm, formType, grants, startAppWorld } from '../routes/world.ts';

let world: AppWorld;

beforeAll(async () => {
  world = await startAppWorld();
});
afterAll(() => world.stop());

describe('limits', () => {
  it('hold for an address before anything is verified, with one event a minute', async () => {
    const narrow = await world.start({ limits: { perAddress: 3 } });
    const answers = [];
    for (let index = 0; index < 6; index += 1) answers.push(await narrow.exchange('x.y.z'));
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 429, 429, 429]);
    expect(Number(answers[5]!.headers['retry-after'])).toBeGreaterThan(0);
    expect(answers[5]!.body.code).toBe('rate_limited');
    expect((await narrow.audit()).filter(({ event }) => event === 'limited')).toHaveLength(1);
    // A header is no address, unless a proxy that is trusted sends it.
    const forged = await narrow.exchange('x.y.z', {}, { 'x-forwarded-for': '203.0.113.9' });
    expect(forged.status).toBe(429);
    expect((await narrow.call('/healthz')).status).toBe(200);
  });

  it('count by the right-most address that no trusted proxy has, whatever is to the left of it', async () => {
    const proxied = await world.start({ limits: { perAddress: 1 }, trustedProxies: ['loopback', '10.0.0.0/8'] });
    const from = async (forwarded: string) =>
      (await proxied.exchange('x.y.z', {}, { 'x-forwarded-for': forwarded })).status;
    expect(await from('203.0.113.1')).toBe(400);
    expect(await from('198.51.100.7, 203.0.113.1')).toBe(429);
    expect(await from('203.0.113.2, 10.1.2.3')).toBe(400);
    expect(await from('203.0.113.2')).toBe(429);
    // Some proxies add the port.
    expect(await from('203.0.113.2:4711')).toBe(429);
    expect(await from('9.9.9.9:1234, 10.1.2.3:443')).toBe(400);
    expect(await from('9.9.9.9:1235')).toBe(429);
    expect(await from('[2001:db8::1]:4711')).toBe(400);
    expect(await from('[2001:db8::1]:4712')).toBe(429);
    const events = await proxied.audit();
    for (const one of ['203.0.113.2', '9.9.9.9', '2001:db8::1']) {
      expect(events.some(({ address }) => address === one)).toBe(true);
    }
  });

  it('go by what the proxy appended also after 1500 headers of the caller', async () => {
    const proxied = await world.start({ trustedProxies: ['loopback'] });
    const padding = Array.from({ length: 1500 }, (_, index): [string, string] => [`x${index}`, '1']);
    const headers = { ...Object.fromEntries(padding), 'x-forwarded-for': '203.0.113.77' };
    expect((await proxied.exchange('x.y.z', {}, headers)).status).toBe(400);
    expect((await proxied.audit()).at(-1)).toMatchObject({ address: '203.0.113.77' });
  });

  it('hold for a tenant and an issuer after verification, never by what nobody verified', async () => {
    // Each is known by the id claim of its grant, and denied.
    const places = ['1', '2', '3', '4', '5'];
    const of = (id: string) => ({ ...grants['once'], where: { repository_id: id, ref: 'none' } });
    const narrow = await world.start({
      limits: { perTenant: 2, perIssuer: 5 },
      grants: Object.fromEntries(places.map((id) => [`of-${id}`, of(id)])),
    });
    const token = async (id: string) => world.issue({ iss: 'https://github.example.com', repository_id: id });
    const go = async (id: string) => (await narrow.exchange(await token(id), { scope: `of-${id}` })).status;
    const forged = `${(await token('1')).slice(0, -8)}AAAAAAAA`;
    for (let index = 0; index < 5; index += 1) await narrow.exchange(forged);
    expect([await go('1'), await go('1'), await go('1')]).toEqual([400, 400, 429]);
    expect([await go('2'), await go('3'), await go('4'), await go('5')]).toEqual([400, 400, 400, 429]);
  });

  it('hold for live tokens of a subject, which one token cannot get more of, until one is revoked', async () => {
    const narrow = await world.start({ limits: { leases: { perSubject: 2 } } });
    const token = await world.issue({ sub: 'eager' });
    const given = [await narrow.exchange(token), await narrow.exchange(token)];
    expect(given.map(({ status }) => status)).toEqual([200, 200]);
    const { status, body, headers } = await narrow.exchange(token);
    expect([status, body.code, body.error]).toEqual([429, 'rate_limited', 'temporarily_unavailable']);
    // Until the first of them ends.
    expect(Number(headers['retry-after'])).toBeGreaterThan(800);
    expect((await narrow.exchange(await world.issue({ sub: 'patient' }))).status).toBe(200);
    await narrow.post('/revoke', { token: given[0]!.body.access_token });
    expect((await narrow.exchange(token)).status).toBe(200);
  });

  it('of strangers are their own: they use up nobody else’s, and learn no names of grants', async () => {
    const narrow = await world.start({ limits: { perTenant: 100, perIssuer: 3 } });
    const stranger = async () => world.issue({ repository_id: '666' });
    const asStranger = async (scope: string) => (await narrow.exchange(await stranger(), { scope })).status;
    const body = exchangeForm(await stranger());
    const answers = [
      await asStranger('deploy-web'),
      (await narrow.call('/explain', { method: 'POST', headers: formType, body })).status,
      (await narrow.call('/.well-known/kleis', { headers: { authorization: `Bearer ${await stranger()}` } })).status,
      await asStranger('deploy-web'),
      await asStranger('not-there'),
    ];
    expect(answers).toEqual([400, 400, 200, 429, 429]);
    expect((await narrow.exchange(await world.issue())).status).toBe(200);
  });
});

describe('the key of an address', () => {
  const group = fc.integer({ min: 0, max: 0xffff });
  const groups = fc.array(fc.oneof(fc.constant(0), group), { minLength: 8, maxLength: 8 });
  const plain = (parts: readonly number[]) => parts.map((part) => part.toString(16)).join(':');
  /** RFC 5952, as sockets say it. */
  const short = (parts: readonly number[]) => new URL(`http://[${plain(parts)}]`).hostname.slice(1, -1);
  const dotted = (parts: readonly number[]) => {
    const [a, b, c, d] = [parts[6]! >> 8, parts[6]! & 0xff, parts[7]! >> 8, parts[7]! & 0xff];
    return `${plain(parts.slice(0, 6))}:${a}.${b}.${c}.${d}`;
  };

  it('is the same for one IPv6 network, however an address of it is spelled', () => {
    fc.assert(
      fc.property(groups, fc.array(group, { minLength: 4, maxLength: 4 }), fc.nat(0xff), (parts, others, low) => {
        const network = [...parts.slice(0, 3), parts[3]! & 0xff00];
        const neighbour = [...parts.slice(0, 3), (parts[3]! & 0xff00) | low, ...others];
        const spelled = [plain(parts), plain(parts).toUpperCase(), short(parts), dotted(parts), `${plain(parts)}%eth0`];
        const keys = [...spelled, plain(neighbour), short(neighbour)].map(keyOfAddress);
        expect(new Set(keys)).toEqual(new Set([plain(network)]));
      }),
    );
  });

  it('is another for another network, and an IPv4 address is its own', () => {
    fc.assert(
      fc.property(groups, fc.nat(55), (parts, bit) => {
        const other = parts.map((part, index) => (index === bit >> 4 ? part ^ (0x8000 >> (bit & 15)) : part));
        expect(keyOfAddress(plain(other))).not.toBe(keyOfAddress(plain(parts)));
      }),
    );
    fc.assert(fc.property(fc.ipV4(), (address) => keyOfAddress(address) === address));
  });
});
