import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { audience, issuerUrl, startSuite } from './world.ts';

const { world, broker } = await startSuite();

describe('GET /kubeconfig', () => {
  it('is a kubeconfig for what is theirs, without a token in it', async () => {
    const token = await world.issue();
    const { status, text } = await broker.call('/kubeconfig', { headers: { authorization: `Bearer ${token}` } });
    expect(status).toBe(200);
    expect(text).not.toContain(token.split('.')[2]);
    const kubeconfig = parse(text);
    expect(kubeconfig.contexts.map(({ name }: { name: string }) => name)).toEqual([
      'prod-deploy-web',
      'prod-plain',
      'prod-open',
    ]);
    const [user] = kubeconfig.users;
    expect(user.user.exec).toMatchObject({ command: 'kleis-credential', provideClusterInfo: true });
    expect(user.user.exec.args).toEqual([
      '--issuer-url',
      issuerUrl,
      '--client-id',
      audience,
      '--broker',
      audience,
      '--grant',
      'deploy-web',
    ]);
    expect((await broker.call('/kubeconfig')).status).toBe(401);
  });

  it.each([
    ['', 'kleis-credential'],
    ['?platform=posix', 'kleis-credential'],
    // What `kleis kubeconfig add` writes there: the launcher is a shell script.
    ['?platform=windows', 'kleis-get-token'],
  ])('with %j names a program that kubectl can run there', async (query, command) => {
    const headers = { authorization: `Bearer ${await world.issue()}` };
    const { text } = await broker.call(`/kubeconfig${query}`, { headers });
    const commands = parse(text).users.map(({ user }: { user: { exec: { command: string } } }) => user.exec.command);
    expect(new Set(commands)).toEqual(new Set([command]));
  });

  it.each(['?platform=win32', '?platform=constructor', '?platform=posix&platform=windows'])(
    'with %s, which names no platform, is refused',
    async (query) => {
      const headers = { authorization: `Bearer ${await world.issue()}` };
      const { status, body } = await broker.call(`/kubeconfig${query}`, { headers });
      expect([status, body.code]).toEqual([400, 'request_malformed']);
      expect(body.message).toContain('windows');
    },
  );
});
