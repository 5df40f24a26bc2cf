import dns from 'node:dns';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createFetch, type FetchOptions } from '../../../shared/net/http.ts';
import { openCluster } from '../../../shared/kube/client.ts';
import { createAuthority, type Authority } from '../../support/certificates.ts';
import { failure } from '../../support/failure.ts';

let authority: Authority;
let other: Authority;
let folder: string;
let server: Server;
let port: number;
/** Requests that came, and handshakes that a client gave up. */
let seen: string[] = [];
let refused = 0;

beforeAll(async () => {
  [authority, other] = await Promise.all([createAuthority(), createAuthority('another')]);
  folder = await mkdtemp(join(tmpdir(), 'kleis-trust-'));
  server = createServer(await authority.issueServer(['localhost', '127.0.0.1']), (request, response) => {
    seen.push(request.method ?? '');
    response.setHeader('connection', 'close').setHeader('content-type', 'application/json').end('{"items":[]}');
  });
  server.on('tlsClientError', () => (refused += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
beforeEach(() => {
  seen = [];
  refused = 0;
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await rm(folder, { recursive: true });
});

async function file(name: string, ...texts: string[]): Promise<string> {
  await writeFile(join(folder, name), texts.join('\n'));
  return join(folder, name);
}

async function folderWith(name: string, pem: string): Promise<string> {
  await mkdir(join(folder, name), { recursive: true });
  await file(join(name, 'mine.pem'), pem);
  // What c_rehash makes, and what nobody can read.
  await symlink('mine.pem', join(folder, name, '12345678.0')).catch(() => undefined);
  await symlink('/nowhere/at/all', join(folder, name, '87654321.0')).catch(() => undefined);
  return join(folder, name);
}

function ask(env: Record<string, string>, more: Partial<FetchOptions> = {}, method = 'GET') {
  return createFetch({ env, now: Date.now, ...more })(`https://localhost:${port}/`, { method });
}

describe('a server that no public authority vouches for', () => {
  test('is not trusted', async () => {
    const error = await failure(ask({}));
    expect(error).toMatchObject({ code: 'provider_unavailable' });
    expect(error.message).toContain('signed by an authority that is not trusted here');
    expect(seen).toEqual([]);
  });

  test('is trusted if SSL_CERT_FILE names its authority, among others and after a damaged one', async () => {
    const damaged = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
    const bundle = await file('bundle.pem', '# ours', other.cert, damaged, authority.cert);
    expect((await ask({ SSL_CERT_FILE: bundle })).status).toBe(200);
    expect((await failure(ask({ SSL_CERT_FILE: await file('other.pem', other.cert) }))).message).toContain(
      'not trusted',
    );
  });

  test('is trusted if a folder of SSL_CERT_DIR holds its authority', async () => {
    const [one, two] = [await folderWith('one', other.cert), await folderWith('two', authority.cert)];
    expect((await ask({ SSL_CERT_DIR: `${one}:/nowhere:${two}` })).status).toBe(200);
    expect((await failure(ask({ SSL_CERT_DIR: one }))).message).toContain('not trusted');
  });

  test.each(['KLEIS_EXTRA_CA_CERTS', 'NODE_EXTRA_CA_CERTS'])('is trusted if %s names its authority', async (name) => {
    expect((await ask({ [name]: await file('extra.pem', authority.cert) })).status).toBe(200);
  });

  test('gets a POST once, although its certificate was judged twice; the second connection knows whom to ask', async () => {
    const env = { SSL_CERT_FILE: await file('bundle.pem', authority.cert) };
    const fetch = createFetch({ env, now: Date.now });
    for (let count = 0; count < 3; count += 1) await fetch(`https://localhost:${port}/`, { method: 'POST' });
    expect(seen).toEqual(['POST', 'POST', 'POST']);
    expect(refused).toBe(1);
  });

  test('is not trusted, whatever the machine trusts, where another authority is named', async () => {
    const env = { SSL_CERT_FILE: await file('bundle.pem', authority.cert) };
    const error = await failure(ask(env, { certificateAuthority: other.cert }));
    expect(error.message).toContain('not trusted');
    expect(seen).toEqual([]);
  });

  test('is not trusted for a name that its certificate does not have', async () => {
    const env = { SSL_CERT_FILE: await file('bundle.pem', authority.cert) };
    const fetch = createFetch({ env, now: Date.now });
    const alias = await failure(fetch(`https://127.0.0.2:${port}/`));
    expect(alias.message).toMatch(/another host|refused/);
    expect(seen).toEqual([]);
  });

  test('hears of a missing SSL_CERT_FILE', async () => {
    const error = await failure(ask({ SSL_CERT_FILE: '/nowhere/ca.pem' }));
    expect(error.hint).toContain('/nowhere/ca.pem');
  });

  test('may be an API server of a kubeconfig without an authority', async () => {
    const credentials = { tokenFile: await file('token', 'a-token') };
    const options = { credentials, server: `https://localhost:${port}`, now: Date.now };
    const env = { SSL_CERT_FILE: await file('bundle.pem', authority.cert) };
    const trusting = openCluster({ ...options, env });
    expect((await trusting.request('GET', '/api')).body).toEqual({ items: [] });
    expect(trusting.connectedAt()).toBeGreaterThan(0);
    await expect(openCluster({ ...options, env: {} }).request('GET', '/api')).rejects.toThrow('not trusted');
  });
});

test('localhost is this machine: no resolver is asked, as one is for any other name', async () => {
  const plain = createHttpServer((_, response) => response.setHeader('connection', 'close').end('plain'));
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
  const at = `http://localhost:${(plain.address() as AddressInfo).port}/`;
  const unknown = (...args: unknown[]): void => {
    const done = args.at(-1) as (error: Error) => void;
    done(Object.assign(new Error('unknown'), { code: 'ENOTFOUND' }));
  };
  const lookup = vi.spyOn(dns, 'lookup').mockImplementation(unknown);
  try {
    const bundle = await file('bundle.pem', authority.cert);
    const env = { SSL_CERT_FILE: bundle };
    expect((await ask(env)).status).toBe(200);
    expect((await createFetch({ env, now: Date.now })(`https://LOCALHOST:${port}/`)).status).toBe(200);
    expect(await (await createFetch({ env, now: Date.now })(at)).text()).toBe('plain');
    plain.close();
    const cluster = openCluster({
      credentials: { tokenFile: await file('token', 'a-token') },
      server: `https://localhost:${port}`,
      now: Date.now,
      env,
    });
    expect((await cluster.request('GET', '/api')).status).toBe(200);
    expect(lookup).not.toHaveBeenCalled();
    // Any other name is asked for.
    const error = await failure(createFetch({ env, now: Date.now })(`https://local.example:${port}/`));
    expect(error.message).toContain('its name is not known');
    expect(lookup).toHaveBeenCalled();
  } finally {
    lookup.mockRestore();
  }
});

test('NODE_TLS_REJECT_UNAUTHORIZED switches nothing off', async () => {
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  try {
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: '0' };
    expect((await failure(ask(env))).message).toContain('not trusted');
    expect((await failure(ask(env, { certificateAuthority: other.cert }))).message).toContain('not trusted');
    const credentials = { tokenFile: await file('token', 'a-token') };
    const cluster = openCluster({ credentials, server: `https://localhost:${port}`, now: Date.now, env });
    await expect(cluster.request('GET', '/api')).rejects.toThrow('not trusted');
    expect(seen).toEqual([]);
  } finally {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
  }
});
