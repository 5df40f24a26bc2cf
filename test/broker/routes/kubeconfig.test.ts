import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { createAuthority } from '../../support/certificates.ts';
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
    expect(user.user.exec.args).toEqual(['--identity=github', `--broker=${audience}`, '--grant=deploy-web']);
    expect((await broker.call('/kubeconfig')).status).toBe(401);
  });

  it('lets a person sign in with the client, scopes and authority of the issuer', async () => {
    const ca = join(world.folder, 'sso.pem');
    const { cert } = await createAuthority();
    await writeFile(ca, cert);
    const { issuers } = world.document() as { issuers: { ci: object } };
    const signIn = { clientId: 'kleis-cli', scopes: ['groups'], certificateAuthority: ca };
    const other = await world.start({ issuers: { ...issuers, ci: { ...issuers.ci, signIn } } });
    const headers = { authorization: `Bearer ${await world.issue()}` };
    const [user] = parse((await other.call('/kubeconfig', { headers })).text).users;
    expect(user.user.exec.args).toEqual([
      `--issuer-url=${issuerUrl}`,
      '--client-id=kleis-cli',
      `--certificate-authority-data=${Buffer.from(cert).toString('base64')}`,
      '--scope=groups',
      `--broker=${audience}`,
      '--grant=deploy-web',
    ]);
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
      expect(body.message).toMatch(
        /^platform is one of posix, windows\.$|^The parameter platform is there more than once\.$/,
      );
    },
  );
});
