import { describe, expect, test } from 'vitest';
import { readAnswer } from '../../../cli/provider/answer.ts';
import { isPassing, refreshRefusal, signInRefusal } from '../../../cli/provider/refusals.ts';

const asker = { authenticates: false, unlistedScopes: [] };

async function answer(status: number, body: unknown, sent: Record<string, string> = {}) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return readAnswer(new Response(text, { status }), {
    host: 'login.example.com',
    sent: new URLSearchParams(sent),
    now: 0,
  });
}

describe('errors of other shapes than RFC 6749 has', () => {
  test.each<[string, unknown, string | undefined, string | undefined]>([
    ['an envelope of an API', { error: { code: 'invalid_grant', message: 'gone' } }, 'invalid_grant', 'gone'],
    ['one with a type', { error: { type: 'invalid_client', detail: 'who?' } }, 'invalid_client', 'who?'],
    ['a list', { errors: [{ code: 'invalid_grant', message: 'gone' }] }, 'invalid_grant', 'gone'],
    ['capitals', { error: 'INVALID_GRANT' }, 'invalid_grant', undefined],
    ['the code beside the text', { code: 'invalid_grant', message: 'gone' }, 'invalid_grant', 'gone'],
    ['Okta', { errorCode: 'invalid_client', errorSummary: 'Invalid value' }, 'invalid_client', 'Invalid value'],
    ['problem details (RFC 9457)', { title: 'Forbidden', status: 403, detail: 'no' }, undefined, 'no'],
    ['a gateway', { fault: { faultstring: 'Quota' } }, undefined, 'Quota'],
    ['a form', 'error=invalid_grant&error_description=gone+for+good', 'invalid_grant', 'gone for good'],
    ['a code of its own', { error: 'E1234', error_description: 'x' }, 'E1234', 'x'],
    ['a number', { error: 17 }, undefined, undefined],
    ['nothing', {}, undefined, undefined],
  ])('%s', async (_what, body, error, description) => {
    expect(await answer(400, body)).toMatchObject({ error, description });
  });

  test('a refusal in an envelope ends the session; what a firewall answers in one does not', async () => {
    const refused = await answer(403, { error: { code: 'invalid_grant', message: 'gone' } });
    expect(refreshRefusal(refused, asker)).toMatchObject({
      code: 'sign_in_needed',
      message: 'The session has ended: login.example.com answers invalid_grant (gone).',
    });
    const firewall = await answer(403, { message: 'Forbidden' });
    expect(isPassing(firewall)).toBe(true);
    expect(refreshRefusal(firewall, asker).message).toContain('HTTP 403 (Forbidden)');
  });

  test('what was sent is not repeated, in whatever shape it comes back', async () => {
    const sent = { refresh_token: 'the-refresh-token' };
    for (const body of [
      { error: 'bad the-refresh-token', error_description: 'the-refresh-token?' },
      { error: { code: 'invalid_grant', message: 'no the-refresh-token' } },
      '{"error":"invalid_grant","error_description":"the\\u002drefresh-token"}',
    ]) {
      const { message, hint } = refreshRefusal(await answer(400, body, sent), asker);
      expect(`${message}${hint}`).not.toContain('the-refresh-token');
    }
  });
});

describe('what leads on', () => {
  test.each([
    [
      'Keycloak',
      401,
      { error: 'unauthorized_client', error_description: 'Invalid client or Invalid client credentials' },
    ],
    ['Google', 400, { error: 'invalid_request', error_description: 'client_secret is missing.' }],
    ['Entra ID', 401, { error: 'invalid_client', error_description: 'AADSTS7000218: The request body must contain …' }],
    ['Keycloak', 401, { error: 'invalid_client', error_description: 'Invalid client credentials' }],
  ])(
    'a client that has a secret and was used without it: --client-secret-file (%s), at a sign-in and at a refresh',
    async (_who, status, body) => {
      for (const refusal of [signInRefusal, refreshRefusal]) {
        const error = refusal(await answer(status, body), asker);
        expect(error).toMatchObject({ code: 'client_refused', exitCode: 6 });
        expect(error.hint).toContain('--client-secret-file');
        expect(refusal(await answer(status, body), { ...asker, authenticates: true }).hint).not.toContain('-file');
      }
    },
  );

  test('Entra ID: how a client does without a secret', async () => {
    const body = { error: 'invalid_client', error_description: 'AADSTS7000218: …' };
    expect(signInRefusal(await answer(401, body), asker).hint).toContain('Allow public client flows');
  });

  test('a scope that the provider does not list is named when it refuses', async () => {
    const body = { error: 'invalid_scope', error_description: 'Invalid scopes: openid email groups' };
    const error = signInRefusal(await answer(400, body), { ...asker, unlistedScopes: ['groups'] });
    expect(error).toMatchObject({ code: 'token_unusable' });
    expect(error.hint).toContain('does not list groups');
  });
});

describe('what is said of the session', () => {
  test.each([
    [500, 'nothing was lost'],
    [429, 'nothing was lost'],
    [502, 'the session is kept'],
    [504, 'the session is kept'],
  ])('HTTP %s: %s', async (status, comfort) => {
    expect(refreshRefusal(await answer(status, ''), asker).hint).toContain(comfort);
  });
});
