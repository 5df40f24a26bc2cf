import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTrust } from '../../shared/net/trust.ts';
import { built } from '../support/built.ts';
import { createAuthority } from '../support/certificates.ts';
import { start } from '../support/run.ts';

// Somebody in between has a certificate of their own making, and the environment says that this does not matter.

let dist: string;
let folder: string;
let server: Server;
let origin: string;
const seen: string[] = [];
beforeAll(async () => {
  ({ dist } = await built());
  folder = await mkdtemp(join(tmpdir(), 'kleis-tls-'));
  const [authority, other] = await Promise.all([createAuthority(), createAuthority('another')]);
  await writeFile(join(folder, 'authority.pem'), authority.cert);
  await writeFile(join(folder, 'other.pem'), other.cert);
  server = createServer(await authority.issueServer(['localhost']), (request, response) => {
    seen.push(`${request.method} ${request.url}`);
    response.end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `https://localhost:${(server.address() as AddressInfo).port}`;
  await writeFile(join(folder, 'token'), 'secret-token', { mode: 0o600 });
  // What a module that somebody has loaded into Node may still set.
  await writeFile(join(folder, 'preload.cjs'), 'process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";\n');
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await rm(folder, { recursive: true });
});

/** Of a home of their own: who has just been told of a failure is not told again. */
async function newcomer() {
  const cluster = { server: 'https://api.example.com', config: null };
  const spec = { cluster, interactive: false };
  const info = { apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', spec };
  return {
    PATH: '/usr/bin:/bin',
    HOME: await mkdtemp(join(folder, 'home-')),
    KUBERNETES_EXEC_INFO: JSON.stringify(info),
  };
}

describe.each([
  ['NODE_TLS_REJECT_UNAUTHORIZED', () => ({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })],
  ['NODE_OPTIONS', () => ({ NODE_OPTIONS: `--require ${join(folder, 'preload.cjs')} --insecure-http-parser` })],
])('%s switches the verification of certificates off', (_name, variables) => {
  it.each([
    ['kleis', () => ['kleis.js', 'get-token', '--issuer-url', origin, '--client-id', 'x']],
    ['kleis-get-token', () => ['kleis-get-token.js', '--issuer-url', origin, '--client-id', 'x']],
    ['kleis with a broker', () => ['kleis.js', 'token', '--identity', 'env:TOKEN', '--broker', origin, '--grant', 'g']],
    ['kleis-broker', () => ['kleis-broker.js', 'leases', '--broker', origin, '--token-file', join(folder, 'token')]],
  ])('nowhere in %s', async (_program, words) => {
    const [program = '', ...args] = words();
    const claims = Buffer.from(JSON.stringify({ iss: 'https://a.example', sub: 'job', aud: origin, exp: 4e9 }));
    const token = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${claims.toString('base64url')}.AAAA`;
    const env = { ...(await newcomer()), TOKEN: token, ...variables() };
    const result = await start(process.execPath, [join(dist, program), ...args], { env, timeout: 30_000 }).done;
    expect({ code: result.code, stdout: result.stdout }, result.stderr).toEqual({ code: 5, stdout: '' });
    expect(result.stderr).toContain('signed by an authority that is not trusted here');
    expect(result.stderr).not.toMatch(/makes TLS connections and HTTPS requests insecure/);
    expect(seen).toEqual([]);
  });
});

describe("the launcher has Node use OpenSSL's authorities, for which it need not parse its own", () => {
  /** What the launcher says with that authority, and how it started Node. */
  async function ask(authority: string) {
    const base = await newcomer();
    await writeFile(
      join(base.HOME, 'node'),
      `#!/bin/sh\necho "$@" >>"$HOME/started"\nexec '${process.execPath}' "$@"\n`,
      {
        mode: 0o755,
      },
    );
    // Where OpenSSL looks for authorities: the server's is there.
    const env = { ...base, PATH: `${base.HOME}:${base.PATH}`, SSL_CERT_FILE: join(folder, 'authority.pem') };
    const args = ['--issuer-url', origin, '--client-id', 'x', '--certificate-authority', join(folder, authority)];
    const { code, stderr } = await start(join(dist, 'kleis-credential'), args, { env, timeout: 30_000 }).done;
    return { code, stderr, started: await readFile(join(base.HOME, 'started'), 'utf8') };
  }

  it('but they vouch for nobody where another is named', async () => {
    const refused = await ask('other.pem');
    expect(refused.started).toMatch(/^--use-openssl-ca \/.*kleis-get-token\.js --issuer-url/);
    expect(refused).toMatchObject({ code: 5, stderr: expect.stringContaining('that is not trusted here') });
    expect(seen).toEqual([]);
    // The same with the right one gets as far as the server.
    expect((await ask('authority.pem')).stderr).not.toContain('not trusted');
    expect(seen).toEqual(['GET /.well-known/openid-configuration']);
  });

  it("nor where nobody is named: then it is Node's own list, by its name", () => {
    expect(createTrust({}, {}).context).toBeUndefined();
    const named = createTrust({}, { KLEIS_NODE_AUTHORITIES: 'openssl' });
    expect(named.context).toBeDefined();
    expect(named.hasOthers).toBe(true);
  });
});
