import { describe, expect, it } from 'vitest';
import { createProvider } from '../../../broker/web/session/provider.ts';
import { leaseRequest } from '../leases/world.ts';
import { newKey, startWebSuite, type Visitor } from './world.ts';

const suite = await startWebSuite();
const { broker, provider, url, visitor, person, world } = suite;

const sessionOf = (who: Visitor) => who.cookies.get('__Host-kleis-session') ?? '';
const isSignedIn = async (who: Visitor) => (await who.get('/ui/access')).status === 200;
const pathOf = (location: URL) => `${location.pathname}${location.search}`;

describe('a session', () => {
  it.each([
    ['forged', () => 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA'],
    ['cut', (text: string) => text.slice(0, -20)],
    [
      'with one character changed',
      (text: string) => `${text.slice(0, 60)}${text[60] === 'A' ? 'B' : 'A'}${text.slice(61)}`,
    ],
    ['given twice', (text: string) => `${text}; __Host-kleis-session=${text}`],
    ['a state in its place', () => ''],
  ])('%s is as if there were none, and no error', async (name, change) => {
    const alice = await person('alice');
    expect(await isSignedIn(alice)).toBe(true);
    let value = change(sessionOf(alice));
    if (name.startsWith('a state')) {
      const { headers } = await alice.get('/ui/sign-in');
      value = new URL(headers.location ?? '').searchParams.get('state') ?? '';
    }
    alice.cookies.set('__Host-kleis-session', value);
    const { status, headers } = await alice.get('/ui/access');
    expect([status, headers.location]).toEqual([303, '/ui/sign-in?back=%2Fui%2Faccess']);
  });

  // Browsers take such a name from any host of the domain, and send it as it is.
  it.each(['\u00a0', '\u0085', '\u00ad'])(
    'under a name with %j before its prefix is none, and ends none',
    async (blank) => {
      const mallory = await person('mallory');
      const tossed = `${blank}__Host-kleis-session=${sessionOf(mallory)}`;
      const victim = await visitor().get('/ui/access', { cookie: tossed });
      expect([victim.status, victim.headers.location]).toEqual([303, '/ui/sign-in?back=%2Fui%2Faccess']);
      const alice = await person('alice');
      const cookie = `${tossed}; __Host-kleis-session=${sessionOf(alice)}`;
      expect((await alice.get('/ui/access', { cookie })).text).toContain('Alice Adams');
    },
  );

  it('of an old key opens as long as the key is in the file', async () => {
    const [old, next] = [newKey(), newKey()];
    await suite.writeKeys(old);
    const alice = await person('alice');
    await suite.writeKeys(next, old);
    expect(await isSignedIn(alice)).toBe(true);
    const later = await person('alice');
    await suite.writeKeys(next);
    expect(await isSignedIn(alice)).toBe(false);
    expect(await isSignedIn(later)).toBe(true);
  });

  it('is another one after each sign-in: nobody can know it before', async () => {
    const alice = await person('alice');
    const [before, csrf] = [sessionOf(alice), await alice.csrf()];
    await alice.signIn('alice');
    expect(sessionOf(alice)).not.toBe(before);
    expect(await alice.csrf()).not.toBe(csrf);
    const forged = await alice.post('/ui/sign-out', { csrf });
    expect([forged.status, forged.text.includes('request_foreign')]).toEqual([403, true]);
  });

  it('with more groups than one cookie takes is divided, and with too many is told what to do', async () => {
    const crowd = await person('crowd');
    expect([...crowd.cookies.keys()]).toContain('__Host-kleis-session-2');
    expect((await crowd.get('/ui/access')).status).toBe(200);
    for (const login of ['throng', 'mob']) {
      const { status, text } = await visitor().signIn(login);
      expect([login, status]).toEqual([login, 400]);
      expect(text).toContain('send fewer groups');
    }
    // A smaller one afterwards leaves nothing of the larger one behind.
    await crowd.signIn('alice');
    expect([...crowd.cookies.keys()]).not.toContain('__Host-kleis-session-2');
    expect(await isSignedIn(crowd)).toBe(true);
  });

  it('of another place than this broker is none, and its end is kept', async () => {
    const short = await person('alice');
    await broker.reconfigure({ web: { ...suite.web, clientId: 'page-post' } });
    expect(await isSignedIn(short)).toBe(false);
    await broker.reconfigure({});
    expect(await isSignedIn(short)).toBe(true);
  });
});

describe('the way back from the provider', () => {
  it('is refused in another browser than the one that began', async () => {
    const location = await visitor().begin('alice');
    for (const other of [visitor(), await person('boss')]) {
      const { status, text } = await other.get(pathOf(location));
      expect(status).toBe(400);
      expect(text).toContain('another browser');
    }
  });

  it('works in several tabs of one browser, each by its own state', async () => {
    const alice = visitor();
    const first = await alice.begin('alice', '/ui/issued');
    const second = await alice.begin('alice');
    expect((await alice.get(pathOf(first))).headers.location).toBe('/ui/issued');
    expect((await alice.get(pathOf(second))).headers.location).toBe('/ui/access');
  });

  it('is refused with the state of another tab, or the code of another session', async () => {
    const alice = visitor();
    const first = await alice.begin('alice');
    const second = await alice.begin('alice');
    first.searchParams.set('state', second.searchParams.get('state') ?? '');
    const mixed = await alice.get(pathOf(first));
    expect(mixed.status).toBe(400);
    expect(mixed.headers['set-cookie']).toBeUndefined();
    const theirs = await visitor().begin('boss');
    second.searchParams.set('code', theirs.searchParams.get('code') ?? '');
    expect((await alice.get(pathOf(second))).status).toBe(400);
  });

  it('works once', async () => {
    const alice = visitor();
    const location = await alice.begin('alice');
    expect((await alice.get(pathOf(location))).status).toBe(303);
    const again = await alice.get(pathOf(location));
    expect(again.status).toBe(400);
    expect(await isSignedIn(alice)).toBe(true);
  });

  it.each([
    '/ui/callback',
    '/ui/callback?code=x',
    '/ui/callback?state=x&code=x',
    '/ui/callback?error=access_denied',
    '/ui/callback?state=a&state=b&code=c',
  ])('%s is a page that says how to go on, and sets nothing', async (path) => {
    const { status, text, headers } = await visitor().get(path);
    expect([status, headers['set-cookie']]).toEqual([400, undefined]);
    expect(text).toContain('/ui/sign-in');
  });

  it.each([
    'https://evil.example/',
    '//evil.example/ui/access',
    '/\\evil.example',
    '\\\\evil.example',
    '/ui/access/../../evil',
    '/ui/sign-in',
    '/ui/callback?code=x',
    'javascript:alert(1)',
    '/healthz',
    'ui/access@evil.example',
    `/ui/access?${'x'.repeat(5000)}`,
    '\r\nLocation: https://evil.example',
  ])('never leads to %j', async (back) => {
    const { headers } = await visitor().signIn('alice', back);
    expect(headers.location).toBe('/ui/access');
  });
});

describe('what was issued', () => {
  it.each([
    ['is longer than a lease keeps', 'a'.repeat(200), `${'a'.repeat(115)}…`],
    ['has what nobody sees', 'bo\u200bb', 'bo b'],
  ])('to somebody whose name %s is nobody else’s', async (_, theirs, mine) => {
    const store = world.state.store();
    const now = Date.now();
    const { lease } = await store.acquire(leaseRequest(now, { holder: `sso ${theirs}`, endsAt: now + 600_000 }));
    const { lease: own } = await store.acquire(leaseRequest(now, { holder: 'sso alice', endsAt: now + 600_000 }));
    const other = await person(mine);
    const { text } = await other.get('/ui/issued');
    expect(text).not.toContain(lease!.name);
    for (const id of [lease!.name, own!.name]) {
      const { status, text: told } = await other.post('/ui/issued/revoke', { lease: id });
      expect([status, told.includes('lease_unknown')]).toEqual([404, true]);
    }
    expect((await store.get(lease!.name))?.state).toBe('active');
    const alice = await person('alice');
    expect((await alice.post('/ui/issued/revoke', { lease: own!.name })).status).toBe(303);
  });
});

describe('a provider that is down', () => {
  it('is asked once, however many people come, and again when they were told to come back', async () => {
    let now = Date.now();
    const asked: string[] = [];
    provider.quirks.before = (_, response, path) => {
      asked.push(path);
      response.writeHead(404).end();
      return true;
    };
    const page = createProvider(
      {
        issuer: { url: provider.issuer },
        web: { issuer: 'sso', clientId: 'page', cookieKeyFile: suite.keyFile, session: 3_600_000 },
        callback: `${url}/ui/callback`,
        signedOut: `${url}/ui/signed-out`,
      },
      { env: {}, now: () => now, readSecret: async () => '' },
    );
    const come = async () => page.authorizationUrl({ nonce: 'n', verifier: 'v'.repeat(43), state: 's' });
    const crowd = async () => (await Promise.allSettled(Array.from({ length: 30 }, come))).map(({ status }) => status);
    const came = await crowd();
    const later = await Promise.allSettled([come()]);
    Reflect.deleteProperty(provider.quirks, 'before');
    expect(new Set([...came, ...later.map(({ status }) => status)])).toEqual(new Set(['rejected']));
    expect(asked).toHaveLength(1);
    now += 2_000;
    const before = provider.count('discovery');
    expect(new Set(await crowd())).toEqual(new Set(['fulfilled']));
    expect(provider.count('discovery')).toBe(before + 1);
  });

  it('in mid-sign-in is told as a page, and the sign-in can be begun anew', async () => {
    const alice = visitor();
    const location = await alice.begin('alice');
    provider.quirks.before = (_, response) => {
      response.writeHead(503).end();
      return true;
    };
    const { status, text, headers } = await alice.get(pathOf(location));
    Reflect.deleteProperty(provider.quirks, 'before');
    expect(status).toBe(503);
    expect(text).toContain('does not answer');
    expect(headers['retry-after']).toBeDefined();
    expect(headers['set-cookie']).toBeUndefined();
    expect((await alice.signIn('alice')).status).toBe(303);
  });

  it('that answers with another token than was asked for signs nobody in', async () => {
    const wrong: Record<string, (claims: Record<string, unknown>) => Record<string, unknown>> = {
      nonce: (claims) => ({ ...claims, nonce: 'another' }),
      audience: (claims) => ({ ...claims, aud: 'kleis' }),
      audiences: (claims) => ({ ...claims, aud: ['page', 'kleis'], azp: 'page' }),
      azp: (claims) => ({ ...claims, azp: 'kleis' }),
      issuer: (claims) => ({ ...claims, iss: 'https://evil.example' }),
      expired: (claims) => ({ ...claims, iat: 1_600_000_000, exp: 1_600_000_300 }),
    };
    for (const [name, alter] of Object.entries(wrong)) {
      provider.quirks.token = (body) => {
        const [, payload = ''] = String(body['id_token']).split('.');
        const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
        return { json: { ...body, id_token: provider.signed(alter(claims)) } };
      };
      const alice = visitor();
      const { status } = await alice.signIn('alice');
      Reflect.deleteProperty(provider.quirks, 'token');
      expect([name, status]).toEqual([name, 400]);
      expect(await isSignedIn(alice)).toBe(false);
    }
  });

  it('whose token somebody else has signed signs nobody in', async () => {
    provider.quirks.token = (body) => {
      const parts = String(body['id_token']).split('.');
      return {
        json: { ...body, id_token: [parts[0], parts[1], Buffer.alloc(256, 7).toString('base64url')].join('.') },
      };
    };
    const alice = visitor();
    expect((await alice.signIn('alice')).status).toBe(400);
    Reflect.deleteProperty(provider.quirks, 'token');
    expect(await isSignedIn(alice)).toBe(false);
  });
});

describe('a form', () => {
  it.each([
    ['of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['of another host of the domain', { 'sec-fetch-site': 'same-site' }],
    [
      'that a browser without Fetch Metadata sends from elsewhere',
      { 'sec-fetch-site': '', origin: 'https://evil.example' },
    ],
    ['of an origin that the browser hides', { origin: 'null' }],
  ])('%s does nothing', async (_, headers) => {
    const alice = await person('alice');
    const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== '')) as Record<
      string,
      string
    >;
    const { status, text } = await alice.post('/ui/sign-out', {}, given);
    expect(status).toBe(403);
    expect(text).toContain('request_foreign');
    expect(await isSignedIn(alice)).toBe(true);
    expect((await broker.audit()).at(-1)).toMatchObject({ event: 'sign_out', outcome: 'denied', subject: 'alice' });
  });

  it('without the token of the session, or with that of another, does nothing', async () => {
    const [alice, boss] = [await person('alice'), await person('boss')];
    for (const csrf of ['', 'x', await boss.csrf()]) {
      expect((await alice.post('/ui/sign-out', { csrf })).status).toBe(403);
    }
    expect(await isSignedIn(alice)).toBe(true);
  });

  it('of nobody is told to sign in, and a GET of it changes nothing', async () => {
    const nobody = await visitor().post('/ui/sign-out', { csrf: 'x' });
    expect([nobody.status, nobody.text.includes('sign_in_needed')]).toEqual([401, true]);
    const alice = await person('alice');
    const got = await alice.get('/ui/sign-out');
    expect([got.status, got.headers['allow']]).toEqual([405, 'POST']);
    expect(await isSignedIn(alice)).toBe(true);
  });
});

describe('every page', () => {
  it('runs no script but its own, is framed by nobody, and is kept by no cache', async () => {
    const alice = await person('alice');
    for (const path of ['/', '/ui/access', '/ui/issued', '/ui/nowhere', '/ui/signed-out']) {
      const { headers } = await (path === '/' ? visitor() : alice).get(path);
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['referrer-policy']).toBe('same-origin');
      expect(headers['x-frame-options']).toBe('DENY');
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['cross-origin-opener-policy']).toBe('same-origin');
      const policy = headers['content-security-policy'];
      expect(policy).toMatch(
        /^default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'/,
      );
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain('unsafe');
    }
  });

  it('takes names, groups and addresses for text', async () => {
    const mallory = await person('mallory');
    for (const path of [
      '/ui/access',
      '/ui/issued?done=<script>&within=<script>',
      '/ui/access?q=%3Cscript%3E',
      '/ui/<script>alert(1)</script>',
    ]) {
      const { text } = await mallory.get(encodeURI(path));
      expect(text).not.toMatch(/<script>|<img|\u202e/);
      expect(text).toContain('&lt;script');
    }
  });

  it('stays a page with an address of 10 kB, and with parameters that come twice', async () => {
    const alice = await person('alice');
    const long = await alice.get(`/ui/access?q=${'x'.repeat(10_000)}`);
    expect(long.status).toBe(200);
    expect((await alice.get('/ui/access?q=a&q=b&page=-1')).status).toBe(200);
    expect((await alice.get('/ui/access?page=999999999')).status).toBe(200);
  });

  it('tells a fault as HTML there, and as JSON everywhere else', async () => {
    const page = await visitor().get('/ui/nowhere');
    expect([page.status, page.headers['content-type']]).toEqual([404, 'text/html; charset=utf-8']);
    const api = await visitor().get('/nowhere');
    expect([api.status, api.body.code]).toEqual([404, 'route_unknown']);
  });

  it('has its style and script at addresses that never change what they are', async () => {
    const { text } = await visitor().get('/');
    const found = [...text.matchAll(/(?:href|src)="(\/ui\/assets\/[^"]+)"/g)].map(([, path]) => path ?? '');
    expect(found).toHaveLength(3);
    for (const path of found) {
      const { status, headers } = await visitor().get(path);
      expect([status, headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable']);
    }
    // A page of another version asks for its own: it gets ours, which no cache may take for that.
    const other = await visitor().get('/ui/assets/page-0000000000000000.css');
    expect([other.status, other.headers['cache-control']]).toEqual([200, 'no-store']);
  });

  it('names no other host', async () => {
    const alice = await person('alice');
    const { text } = await alice.get('/ui/access');
    const hosts = [...text.matchAll(/(?:href|src|action)="(?:https?:)?\/\/([^/"]+)/g)].map(([, host]) => host);
    expect(hosts.filter((host) => host !== new URL(url).host)).toEqual([]);
  });
});
