import { describe, expect, it } from 'vitest';
import { startWebSuite } from './world.ts';

const { broker, provider, person, world, web: settings } = await startWebSuite();

async function issue(sub: string, grant = 'deploy-web'): Promise<{ token: string; lease: string }> {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: provider.issuer, aud: 'kleis', sub, groups: ['developers'], iat: now, exp: now + 600 };
  const { status, body } = await broker.exchange(provider.signed(claims), { scope: grant });
  expect(status).toBe(200);
  return { token: body.access_token, lease: body.lease };
}

describe('what was issued', () => {
  it('and is gone by now is not asked for at each look', async () => {
    const store = world.state.store();
    const { lease: name } = await issue('alice');
    const lease = await store.get(name);
    expect(await store.remove(lease!)).toBe(true);
    const alice = await person('alice');
    // The list is read at the first look.
    await alice.get('/ui/issued');
    const asked = () => world.state.standIn.requests.filter(({ uri }) => uri.includes(name)).length;
    const before = asked();
    const { text } = await alice.get('/ui/issued');
    expect(text).not.toContain(name);
    expect(asked()).toBe(before);
  });

  it('is shown to who has it, with from where, and to nobody else', async () => {
    const { lease } = await issue('alice');
    const alice = await person('alice');
    const { text } = await alice.get('/ui/issued');
    expect(text).toContain(lease);
    expect(text).toContain('127.0.0.1');
    const boss = await person('boss');
    expect((await boss.get('/ui/issued')).text).not.toContain(lease);
  });

  it('is revoked by who has it, which leaves an event with who it was', async () => {
    const { lease } = await issue('alice');
    const alice = await person('alice');
    const { status, headers } = await alice.post('/ui/issued/revoke', { lease });
    expect([status, headers.location]).toEqual([303, expect.stringMatching(/^\/ui\/issued\?done=revoked&within=\d+$/)]);
    expect((await broker.audit()).at(-1)).toMatchObject({
      event: 'revoke',
      outcome: 'done',
      reason: 'revoked',
      subject: 'alice',
      lease,
      grant: 'deploy-web',
    });
    // Two at once: the second finds it done.
    const again = await alice.post('/ui/issued/revoke', { lease });
    expect(again.headers.location).toContain('done=already');
  });

  it('of others is as if it were not there', async () => {
    const { lease } = await issue('boss');
    const alice = await person('alice');
    const answers = [];
    for (const id of [lease, 'l00000000000000000000000000000000', '../secrets/x', '<b>', '']) {
      const { status, text } = await alice.post('/ui/issued/revoke', { lease: id });
      answers.push([status, /<code>(\w+)<\/code>/.exec(text)?.[1]]);
    }
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(new Set(['[404,"lease_unknown"]']));
    const boss = await person('boss');
    expect((await boss.get('/ui/issued')).text).toContain(lease);
  });

  it('to a name that is cut in a lease is nobody’s own', async () => {
    const long = `x${'y'.repeat(200)}`;
    const { lease } = await issue(long);
    const somebody = await person(long);
    const { text } = await somebody.get('/ui/issued');
    expect(text).toContain('Ask an admin');
    expect(text).not.toContain(lease);
    expect((await somebody.post('/ui/issued/revoke', { lease })).status).toBe(404);
  });
});

describe('a kubeconfig', () => {
  it('is a file without a token, for the platform that was asked for, and leaves an event', async () => {
    const alice = await person('alice');
    const { status, headers, text } = await alice.get('/ui/kubeconfig?platform=windows');
    expect([status, headers['content-disposition']]).toEqual([200, 'attachment; filename="kleis.yaml"']);
    expect(text).toContain('kleis-get-token');
    expect(text).toContain(`--issuer-url=${provider.issuer}`);
    expect((await broker.audit()).at(-1)).toMatchObject({ event: 'kubeconfig', outcome: 'allowed', subject: 'alice' });
    const odd = await alice.get('/ui/kubeconfig?platform=amiga');
    expect([odd.status, odd.headers['content-type']]).toEqual([400, 'text/html; charset=utf-8']);
  });
});

describe('somebody whom no grant is for', () => {
  it('reads whom to ask, and what to tell them', async () => {
    const stranger = await person('stranger');
    const { text } = await stranger.get('/ui/access');
    expect(text).toContain('Nothing is yours yet');
    expect(text).toContain('Subject: stranger');
  });

  it.each([
    ['https://chat.example.com/x', '<a href="https://chat.example.com/x">'],
    ['mailto:platform@example.com', '<a href="mailto:platform@example.com">platform@example.com</a>'],
    ['javascript:alert(1)', '<p>javascript:alert(1)</p>'],
    ['<b>#platform</b>', '&lt;b>#platform&lt;/b>'],
  ])('reads the contact %s as what it is, after a reload too', async (contact, expected) => {
    await broker.reconfigure({ web: { ...settings, contact } });
    const stranger = await person('stranger');
    expect((await stranger.get('/ui/access')).text).toContain(expected);
  });

  it('finds no page any more when the configuration takes it away', async () => {
    await broker.reconfigure({ web: undefined });
    const { status, body } = await broker.call('/ui/access');
    expect([status, body.code]).toEqual([404, 'route_unknown']);
    expect((await broker.call('/')).text).toContain('This is a Kleis broker');
    await broker.reconfigure({});
    expect((await broker.call('/ui/access')).status).toBe(303);
  });
});
