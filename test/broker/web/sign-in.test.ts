import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startWebSuite } from './world.ts';

const { broker, provider, url, visitor, person, web, world } = await startWebSuite();

const isPage = (text: string) => text.startsWith('<!doctype html>');

describe('a sign-in', () => {
  it('leads to the page that was asked for, with a session in cookies of this host alone', async () => {
    const alice = visitor();
    const asked = await alice.get('/ui/issued?x=1');
    expect([asked.status, asked.headers.location]).toEqual([303, '/ui/sign-in?back=%2Fui%2Fissued%3Fx%3D1']);
    const back = await alice.signIn('alice', '/ui/issued?x=1');
    expect([back.status, back.headers.location]).toEqual([303, '/ui/issued?x=1']);
    for (const cookie of back.headers['set-cookie'] ?? []) {
      expect(cookie).toMatch(/^__Host-kleis-[\w-]+=[\w.-]*; Max-Age=\d+; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
    }
    const page = await alice.get('/ui/access');
    expect(page.status).toBe(200);
    expect(page.text).toContain('Alice Adams');
    expect(page.text).toContain('deployer in web');
  });

  it('uses PKCE, state and nonce, and asks for no refresh token', async () => {
    const { headers } = await visitor().get('/ui/sign-in');
    const { searchParams, origin } = new URL(headers.location ?? '');
    expect(origin).toBe(provider.url.origin);
    expect(Object.fromEntries(searchParams)).toMatchObject({
      response_type: 'code',
      client_id: 'page',
      redirect_uri: `${url}/ui/callback`,
      code_challenge_method: 'S256',
      scope: 'openid groups profile email',
    });
    for (const name of ['state', 'nonce', 'code_challenge']) expect(searchParams.get(name)).toMatch(/^[\w.-]{40,}$/);
  });

  it('leaves an event with who it was, and a sign-out too', async () => {
    const alice = await person('alice');
    const { headers, status } = await alice.post('/ui/sign-out');
    expect([status, headers.location]).toEqual([303, '/ui/signed-out']);
    const events = (await broker.audit()).slice(-2);
    expect(events.map(({ event, outcome, issuer, subject }) => [event, outcome, issuer, subject])).toEqual([
      ['sign_in', 'allowed', 'sso', 'alice'],
      ['sign_out', 'done', 'sso', 'alice'],
    ]);
    expect((await alice.get('/ui/access')).status).toBe(303);
  });

  it('is told as a page when the provider refuses it, and leaves an event', async () => {
    const alice = visitor();
    const { headers } = await alice.get('/ui/sign-in');
    const { location } = await provider.browser({ refuse: true }).visit(headers.location ?? '');
    const { status, text } = await alice.get(`${location?.pathname}${location?.search}`);
    expect(status).toBe(403);
    expect(isPage(text)).toBe(true);
    expect(text).toContain('refused the sign-in');
    expect((await broker.audit()).at(-1)).toMatchObject({
      event: 'sign_in',
      outcome: 'denied',
      code: 'sign_in_refused',
    });
  });
});

describe('the client of the page', () => {
  it.each(['page-post', 'page-public'])('%s signs people in, whatever way it proves itself by', async (clientId) => {
    const secret = clientId === 'page-public' ? { clientSecretFile: undefined } : {};
    await broker.reconfigure({ web: { ...web, clientId, ...secret } });
    expect((await visitor().signIn('alice')).status).toBe(303);
  });

  it('that the provider refuses is the fault of who runs the broker, and the page says so', async () => {
    const wrong = join(world.folder, 'wrong-secret');
    await writeFile(wrong, 'another', { mode: 0o600 });
    await broker.reconfigure({ web: { ...web, clientSecretFile: wrong } });
    const { status, text } = await visitor().signIn('alice');
    expect([status, text.includes('client_refused')]).toEqual([502, true]);
    expect(text).not.toContain('another');
    // A file that is not there any more, too: what is wrong with it is told in the log alone.
    await broker.reconfigure({ web: { ...web, cookieKeyFile: join(world.folder, 'gone') } });
    const gone = await visitor().get('/ui/access');
    expect([gone.status, gone.headers['content-type']]).toEqual([500, 'text/html; charset=utf-8']);
    expect(gone.text).not.toContain('gone');
    expect(broker.output()).toContain('does not exist');
    await broker.reconfigure({});
    expect((await visitor().signIn('alice')).status).toBe(303);
  });
});
