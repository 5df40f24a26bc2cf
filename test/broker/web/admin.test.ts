import { afterEach, describe, expect, it } from 'vitest';
import { leaseRequest } from '../leases/world.ts';
import { grants } from '../routes/world.ts';
import { hostile, startWebSuite, type Visitor, webGrants } from './world.ts';

const { world, broker, person } = await startWebSuite({ grants: { ...webGrants, ...grants } });
const { state } = world;
const boss = await person('boss');
const pages = ['leases', 'leases/revoke', 'leases/revoke-all', 'decisions', 'explain', 'grants', 'health', 'audit'];
const at = (path: string, query: Record<string, string> = {}) =>
  `/ui/admin/${path}?${new URLSearchParams(query).toString()}`;
const look = async (path: string, query?: Record<string, string>, who: Visitor = boss) => who.get(at(path, query));

afterEach(() => {
  state.standIn.fault = undefined;
});

/** A token of a job, and its lease. */
async function mint(claims: Record<string, unknown> = {}, scope = 'deploy-web') {
  const { body } = await broker.exchange(await world.issue(claims), { scope });
  return { token: String(body.access_token), lease: String(body.lease) };
}

/** Where nothing is left of what was asked for, one is led back. */
const isFine = (status: number) => status === 200 || status === 303;

const visible = (text: string) =>
  text
    .replaceAll(/<script[^>]*><\/script>|<[^>]*>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll(/\s+/g, ' ')
    .trim();

describe('the pages for admins', () => {
  it('are for admins: whoever is none sees neither them nor a way to them, and nothing is done for them', async () => {
    const alice = await person('alice');
    for (const path of pages) {
      const { status, text } = await look(path, { id: 'x', grant: 'deploy-web' }, alice);
      expect([path, status, text.includes('admin_only')]).toEqual([path, 403, true]);
      const stranger = await broker.call(at(path));
      expect([stranger.status, stranger.headers.location?.startsWith('/ui/sign-in?back=')]).toEqual([303, true]);
    }
    expect((await alice.get('/ui/access')).text).not.toContain('/ui/admin');
    expect((await boss.get('/ui/access')).text).toContain('/ui/admin/leases');
    const { token, lease } = await mint({ sub: 'kept' });
    for (const [path, fields] of [
      ['leases/revoke', { id: lease }],
      ['leases/revoke-all', { subject: 'kept' }],
      ['explain', { grant: 'deploy-web', subject: '{}' }],
    ] as const) {
      expect((await alice.post(`/ui/admin/${path}`, fields)).status).toBe(403);
      expect((await boss.post(`/ui/admin/${path}`, { ...fields, csrf: 'wrong' })).status).toBe(403);
      expect((await boss.post(`/ui/admin/${path}`, fields, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    }
    expect(await state.ask(token)).toBe(201);
    expect(await broker.audit()).toContainEqual(
      expect.objectContaining({ event: 'revoke', outcome: 'denied', code: 'admin_only', subject: 'alice' }),
    );
  });

  it('show what is from outside as text', async () => {
    await mint({ sub: hostile });
    await broker.exchange(await world.issue({ sub: hostile, ref: hostile, environment: hostile }), { scope: hostile });
    await broker.exchange(await world.issue({ sub: 'odd', environment: hostile }));
    for (const [path, query] of [
      ['leases', { text: hostile, subject: hostile }],
      ['leases', { state: 'any' }],
      ['leases/revoke-all', { subject: hostile }],
      ['decisions', { text: hostile }],
      ['decisions', {}],
      ['grants', { text: hostile, cluster: hostile }],
      ['explain', { grant: hostile }],
    ] as const) {
      const { text, status } = await look(path, query);
      expect([path, status]).toEqual([path, 200]);
      for (const part of ['<img', '<script>', '\u202e', '\u0007']) expect(text).not.toContain(part);
    }
  });

  it('take parameters of any size and kind', async () => {
    const long = 'x'.repeat(10_000);
    for (const path of pages.filter((each) => each !== 'leases/revoke')) {
      for (const value of [long, '0', '-1', '1e9', '__proto__', 'a,b=c', '\u0000']) {
        const query = Object.fromEntries(
          ['text', 'grant', 'subject', 'issuer', 'cluster', 'state', 'sort', 'page', 'only', 'event', 'outcome'].map(
            (name) => [name, value === long && name !== 'text' ? 'x' : value],
          ),
        );
        const { status } = await look(path, query);
        expect([path, value.slice(0, 10), status]).toEqual([path, value.slice(0, 10), expect.toSatisfy(isFine)]);
      }
    }
  });
});

describe('leases', () => {
  it('are found by grant, subject, issuer, state and any text, and sorted', async () => {
    const store = state.store();
    const now = Date.now();
    for (const [index, sub] of ['zeta', 'alpha:x', 'alpha:y', 'beta'].entries()) {
      await store.acquire(
        leaseRequest(now - index * 60_000, { holder: `list ${sub}`, grant: `g${index}`, endsAt: now + 600_000 }),
      );
    }
    const rows = async (query: Record<string, string>) => {
      const { text } = await look('leases', { issuer: 'list', ...query });
      return [...text.matchAll(/<th scope="row"[^>]*>.*?<a [^>]*>([^<]*)<\/a>/g)].map(([, subject]) => subject);
    };
    // The list may be of two seconds ago.
    await expect.poll(() => rows({}), { timeout: 8_000 }).toEqual(['zeta', 'alpha:x', 'alpha:y', 'beta']);
    expect(await rows({ sort: 'created-up' })).toEqual(['beta', 'alpha:y', 'alpha:x', 'zeta']);
    expect(await rows({ sort: 'subject-up' })).toEqual(['alpha:x', 'alpha:y', 'beta', 'zeta']);
    expect(await rows({ sort: 'grant-down' })).toEqual(['beta', 'alpha:y', 'alpha:x', 'zeta']);
    expect(await rows({ subject: 'alpha', sort: 'subject-up' })).toEqual(['alpha:x', 'alpha:y']);
    expect(await rows({ grant: 'g3' })).toEqual(['beta']);
    expect(await rows({ text: 'ALPHA', state: 'live' })).toEqual(['alpha:x', 'alpha:y']);
    expect(await rows({ state: 'revoked' })).toEqual([]);
    expect(await rows({ cluster: 'elsewhere' })).toEqual([]);
  });

  it('are revoked one by one after a confirmation, with who did it; twice does no harm', async () => {
    const { token, lease } = await mint({ sub: 'one-of-them' });
    const asked = await look('leases/revoke', { id: lease });
    expect(visible(asked.text)).toMatch(/Revoke this lease\? .*one-of-them/);
    expect(await state.ask(token)).toBe(201);
    const done = await boss.post('/ui/admin/leases/revoke', { id: lease });
    expect([done.status, visible(done.text)]).toEqual([200, expect.stringContaining('Its token is dead within 10 s.')]);
    expect(await state.ask(token)).toBe(401);
    expect(await broker.audit()).toContainEqual(
      expect.objectContaining({
        event: 'revoke',
        outcome: 'done',
        reason: 'revoked',
        lease,
        subject: 'boss',
        issuer: 'sso',
      }),
    );
    const again = await boss.post('/ui/admin/leases/revoke', { id: lease });
    expect(visible(again.text)).toContain('It was revoked before');
    expect(visible((await look('leases/revoke', { id: lease })).text)).not.toContain('Revoke this lease?');
    const list = async () => visible((await look('leases', { subject: 'one-of-them', state: 'any' })).text);
    await expect.poll(list, { timeout: 8_000 }).toMatch(/one-of-them ci .* revoked/);
    for (const id of ['nothing-here', '../x', '']) {
      expect((await boss.post('/ui/admin/leases/revoke', { id })).status).toBe(404);
      expect((await look('leases/revoke', { id })).status).toBe(404);
    }
  });

  it('of a subject are revoked together, and no others; each leaves an event of its own', async () => {
    const [one, two, other] = [
      await mint({ sub: 'repo:acme/all:ref:a' }),
      await mint({ sub: 'repo:acme/all:ref:b' }, 'open'),
      await mint({ sub: 'repo:acme/allied' }),
    ];
    const asked = visible((await look('leases/revoke-all', { subject: 'repo:acme/all' })).text);
    expect(asked).toContain('There are 2 live leases of these now.');
    const done = await boss.post('/ui/admin/leases/revoke-all', { subject: 'repo:acme/all' });
    expect(visible(done.text)).toContain('2 leases were revoked');
    expect(await Promise.all([one, two, other].map(({ token }) => state.ask(token)))).toEqual([401, 401, 201]);
    const events = await broker.audit();
    for (const { lease } of [one, two]) {
      expect(events.filter((event) => event['event'] === 'revoke' && event['lease'] === lease)).toEqual([
        expect.objectContaining({ outcome: 'done', reason: 'revoked', subject: 'boss' }),
      ]);
    }
    expect(events).toContainEqual(
      expect.objectContaining({ event: 'leases', detail: 'of the subject repo:acme/all; revoked 2, left 0' }),
    );
    const nothing = await boss.post('/ui/admin/leases/revoke-all', { subject: 'repo:acme/all', grant: 'open' });
    expect(visible(nothing.text)).toContain('0 leases were revoked');
  });

  it('are revoked by two admins at once, each of them once', async () => {
    const minted = await Promise.all(Array.from({ length: 6 }, () => mint({ sub: 'contended' })));
    const second = await person('boss');
    const answers = await Promise.all(
      [boss, second].map((who) =>
        who.post('/ui/admin/leases/revoke-all', { subject: 'contended', grant: 'deploy-web' }),
      ),
    );
    expect(answers.map(({ status, text }) => [status, text.includes('could not be ended')])).toEqual([
      [200, false],
      [200, false],
    ]);
    for (const { token } of minted) expect(await state.ask(token)).toBe(401);
  });

  it('that nobody named are not revoked: a form without a wish is refused', async () => {
    const { token } = await mint({ sub: 'spared' });
    for (const fields of [{}, { grant: '' }, { subject: 'x'.repeat(3_000) }] as Record<string, string>[]) {
      expect((await boss.post('/ui/admin/leases/revoke-all', fields)).status).toBe(400);
    }
    const odd = await boss.post('/ui/admin/leases/revoke-all', { grant: 'deploy-web,kleis.dev/cluster=prod' });
    expect(visible(odd.text)).toContain('0 leases were revoked');
    expect(await state.ask(token)).toBe(201);
    expect((await look('leases/revoke-all')).status).toBe(303);
  });

  it('while the state cluster is down are told of plainly, and nothing is lost', async () => {
    const { token, lease } = await mint({ sub: 'in-the-dark' });
    state.standIn.fault = ({ path }) =>
      path.includes('/leases') ? { kind: 'answer', status: 503, body: { message: 'etcd is away' } } : undefined;
    const list = await look('leases');
    expect(list.status).toBe(200);
    const one = await boss.post('/ui/admin/leases/revoke', { id: lease });
    expect([one.status, visible(one.text)]).toEqual([503, expect.stringContaining('The lease is as it was.')]);
    const all = await boss.post('/ui/admin/leases/revoke-all', { subject: 'in-the-dark' });
    expect([all.status, visible(all.text)]).toEqual([503, expect.stringContaining('Nothing was changed.')]);
    for (const path of ['leases/revoke', 'leases/revoke-all']) {
      const { status, text } = await look(path, { id: lease, subject: 'in-the-dark' });
      expect([path, status, text.includes('Nothing was changed.')]).toEqual([path, 503, true]);
    }
    state.standIn.fault = undefined;
    expect(await state.ask(token)).toBe(201);
    expect((await boss.post('/ui/admin/leases/revoke', { id: lease })).status).toBe(200);
    expect(await state.ask(token)).toBe(401);
  });
});

describe('recent decisions', () => {
  it('are told with the claim that did not fit and what was asked of it, and hold no token', async () => {
    const token = await world.issue({ sub: 'somebody-odd', environment: 'staging' });
    await broker.exchange(token);
    const { text } = await look('decisions', { text: 'somebody-odd', outcome: 'denied' });
    const [row = ''] = /somebody-odd.*/.exec(visible(text)) ?? [];
    expect(row).toMatch(
      /claims of the token do not fit; environment is "staging".*has "staging" expected "production"/,
    );
    expect(text).not.toContain(token);
    expect(text).not.toContain(token.split('.')[1]);
    const none = await look('decisions', { text: 'somebody-odd', outcome: 'allowed' });
    expect(visible(none.text)).toContain('No decision fits');
  });

  it('are of this replica since its start, and say so', async () => {
    expect(visible((await look('decisions')).text)).toMatch(/Of this replica alone, since its start at 20\d\d-/);
  });
});

describe('the explain form', () => {
  const explain = async (fields: Record<string, string>) =>
    boss.post('/ui/admin/explain', { grant: 'deploy-web', ...fields });
  const claims = { iss: 'https://ci.example.com', repository_id: '1', environment: 'production', event_name: 'push' };

  it('judges a token by the rules of an exchange, and leaves an event with whose it is and who asked', async () => {
    const good = await explain({ subject: `\n ${await world.issue({ sub: 'judged' })} \n` });
    expect(visible(good.text)).toMatch(/Allowed: deploy-web on prod for 15m\. The token was verified/);
    const bad = await explain({ subject: await world.issue({ sub: 'judged', environment: 'x' }), expires_in: '600' });
    expect(visible(bad.text)).toMatch(/Denied: deploy-web: claims of the token do not fit/);
    expect((await broker.audit()).at(-1)).toMatchObject({
      event: 'explain',
      outcome: 'denied',
      reason: 'claims',
      subject: 'judged',
      asker: { issuer: 'sso', subject: 'boss' },
    });
  });

  it('judges claims as if they were vouched for, and says that nobody verified them', async () => {
    const { text } = await explain({ subject: JSON.stringify(claims) });
    expect(visible(text)).toMatch(/Allowed: deploy-web on prod for 15m\. The claims were believed/);
    const { iss: _, ...unsaid } = claims;
    expect(visible((await explain({ subject: JSON.stringify(unsaid) })).text)).toContain('do not say of which issuer');
    expect(visible((await explain({ subject: JSON.stringify(unsaid), issuer: 'ci' })).text)).toContain('Allowed');
    expect((await broker.audit()).at(-1)).toMatchObject({
      event: 'explain',
      outcome: 'allowed',
      subject: 'boss',
      detail: 'claims that were pasted, and not verified',
    });
  });

  it.each([
    ['nothing', ''],
    ['no JSON', '{"a":'],
    ['a member twice', '{"a":1,"a":2}'],
    ['what is too deep', `{"a":${'['.repeat(40)}${']'.repeat(40)}}`],
    ['__proto__', '{"iss":"https://ci.example.com","__proto__":{"repository_id":"1"}}'],
    ['what is no token', 'hello'],
    ['a token with blanks in it', 'a b.c.d'],
    ['too much', `{"a":"${'x'.repeat(20_000)}"}`],
  ])('says what is wrong with %s above the form, which is empty again', async (_, subject) => {
    const { status, text } = await explain({ subject });
    expect(status).toBe(400);
    expect(text).toMatch(/<textarea[^>]*><\/textarea>/);
    expect((await broker.audit()).at(-1)).toMatchObject({ event: 'explain', outcome: 'denied' });
  });

  it.each(['0', 'soon', '1e3', '-1', '9999999999'])(
    'takes no %s for seconds, as an exchange does not',
    async (seconds) => {
      const { status, text } = await explain({ subject: JSON.stringify(claims), expires_in: seconds });
      expect([status, visible(text)]).toEqual([400, expect.stringContaining('expires_in is not a number of seconds.')]);
    },
  );

  it('keeps what was pasted nowhere: not in the page, the log or the audit, and not in an address', async () => {
    const secret = 'needle-in-the-claims';
    const token = await world.issue({ sub: 'pasted', other: secret });
    const texts = [
      (await explain({ subject: token })).text,
      (await explain({ subject: `${token}x` })).text,
      (await explain({ subject: JSON.stringify({ ...claims, other: secret }) })).text,
    ];
    for (const text of [...texts, broker.output(), JSON.stringify(await broker.audit())]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(token);
    }
    const form = /<form method="post" action="\/ui\/admin\/explain">.*?<\/form>/s.exec(texts[0] ?? '')?.[0] ?? '';
    expect(form).toMatch(/<textarea[^>]* autocomplete="off"/);
    expect((await boss.get(at('explain', { grant: 'deploy-web', subject: token }))).text).not.toContain(token);
  });
});

describe('the other pages', () => {
  it('show of each grant how often it was used here, and what is unwise about it', async () => {
    await mint({ sub: 'user' }, 'open');
    const { text } = await look('grants', { text: 'open' });
    expect(visible(text)).toMatch(
      /1 of 6 grants .* open kleis-identities\/deploy-web on prod for tokens of ci deployer in web/,
    );
    expect(visible((await look('grants', { sort: 'allowed' })).text)).toMatch(/Warnings .*?deploy-web/);
    const warned = visible((await look('grants', { only: 'warned', text: 'other' })).text);
    expect(warned).toMatch(/\d warnings? of other .*foreign-code/);
    expect(visible((await look('grants', { only: 'unused', text: 'open' })).text)).toContain('No grant fits');
  });

  it('show issuers and clusters, and what is not well', async () => {
    const well = visible((await look('health')).text);
    expect(well).toMatch(/ready\..*Issuers.*ci https:\/\/ci\.example\.com well 1 key/);
    expect(well).toMatch(/Clusters.*prod .*missing.*agrees with ours/);
  });

  it('show how the audit stands, and the anchors of all replicas, or why they cannot be read', async () => {
    const events = await broker.audit();
    const { text } = await look('audit');
    expect(visible(text)).toContain('The audit of this replica is written.');
    expect(text).toContain(String(events.at(-1)?.['chain']));
    expect(text).toContain(String(events.at(-1)?.['hash']));
    expect(visible(text)).toMatch(/Anchors in the state cluster.*this replica/);
    state.standIn.fault = () => ({ kind: 'answer', status: 503, body: { message: 'etcd is away' } });
    const down = await look('audit');
    expect([down.status, visible(down.text)]).toEqual([200, expect.stringContaining('The anchors cannot be read now')]);
  });
});
