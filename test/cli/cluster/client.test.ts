import { createServer, type Server } from 'node:https';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCluster } from '../../../cli/cluster/client.ts';
import { readVersion, whoAmI } from '../../../cli/cluster/questions.ts';
import { Secret } from '../../../shared/secret.ts';
import { createAuthority } from '../../support/certificates.ts';
import { failure } from '../../support/failure.ts';

let server: Server;
let caPem: string;
let answer: RequestListener;
const received: string[] = [];

beforeAll(async () => {
  const authority = await createAuthority();
  caPem = authority.cert;
  server = createServer(await authority.issueServer(['api.example.com']), (request, response) => {
    received.push(`${request.method} ${request.url} ${request.headers.authorization ?? '-'}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

const say = { level: 'silent', setLevel() {}, info() {}, warn() {}, waiting() {}, debug() {}, error() {} } as const;
const deps = {
  env: {},
  report: say,
  clock: { now: Date.now, sleep: async () => undefined },
  signal: new AbortController().signal,
};
const entry = (more: object = {}) => ({
  server: `https://127.0.0.1:${(server.address() as AddressInfo).port}/base/`,
  'certificate-authority-data': Buffer.from(caPem).toString('base64'),
  'tls-server-name': 'api.example.com',
  ...more,
});
const token = new Secret('canary-token');

describe('the client for an API server', () => {
  it('checks the name that the entry gives, and that of the URL where it gives none', async () => {
    answer = (_, response) => void response.end('{"minor":"31","gitVersion":"v1.31.0"}');
    const { body } = await openCluster(entry(), deps).ask({ method: 'GET', path: '/version' });
    expect(readVersion(body)).toEqual({ text: 'v1.31.0', minor: 31 });
    expect(received.at(-1)).toBe('GET /base/version -');
    const other = openCluster(entry({ 'tls-server-name': undefined }), deps);
    const error = await failure(other.ask({ method: 'GET', path: '/version', token }));
    expect(error).toMatchObject({ code: 'cluster_unavailable', message: expect.stringContaining('another host') });
  });

  it('shows its certificate and its token where they are its own, and neither where it has none', async () => {
    const authority = await createAuthority();
    const { cert, key } = await authority.issueClient('alice');
    const seen: unknown[] = [];
    const asking = createServer(
      {
        ...(await authority.issueServer(['127.0.0.1'])),
        ca: authority.cert,
        requestCert: true,
        rejectUnauthorized: false,
      },
      (request, response) => {
        const { subject } = (request.socket as TLSSocket).getPeerCertificate();
        seen.push([subject?.CN, request.headers.authorization, request.headers.accept]);
        response.end('{}');
      },
    );
    await new Promise<void>((resolve) => asking.listen(0, '127.0.0.1', resolve));
    try {
      const place = {
        server: `https://127.0.0.1:${(asking.address() as AddressInfo).port}`,
        'certificate-authority-data': Buffer.from(authority.cert).toString('base64'),
      };
      const own = openCluster(place, deps, { credential: { token, certificate: { cert, key: new Secret(key) } } });
      await own.ask({ method: 'GET', path: '/', accept: 'text/plain' });
      await own.ask({ method: 'GET', path: '/', token: new Secret('another') });
      await openCluster(place, deps).ask({ method: 'GET', path: '/' });
    } finally {
      asking.close();
      asking.closeAllConnections();
    }
    expect(seen).toEqual([
      ['alice', 'Bearer canary-token', 'text/plain'],
      ['alice', 'Bearer another', 'application/json'],
      [undefined, undefined, 'application/json'],
    ]);
  });

  it('takes a token nowhere else: not to where a redirect leads, nor to whom nobody vouches for', async () => {
    answer = (request, response) => {
      if (request.url === '/base/x') response.writeHead(302, { location: '/base/stolen' });
      response.end();
    };
    const before = received.length;
    expect(await openCluster(entry(), deps).ask({ method: 'GET', path: '/x', token })).toMatchObject({ status: 302 });
    expect(received.slice(before)).toEqual(['GET /base/x Bearer canary-token']);
    expect(() => openCluster(entry({ 'insecure-skip-tls-verify': true }), deps)).toThrow(/whoever answers/);
    expect(() => openCluster(entry({ server: 'http://127.0.0.1' }), deps)).toThrow(/https/);
  });

  it('reads no more than it wants to, and what is no JSON is no answer', async () => {
    answer = (_, response) => void response.end('x'.repeat(5 * 1024 * 1024));
    const error = await failure(openCluster(entry(), deps).ask({ method: 'GET', path: '/version' }));
    expect(error).toMatchObject({ code: 'cluster_unavailable', message: expect.stringContaining('more than') });
    answer = (_, response) => void response.end('<html>');
    expect((await openCluster(entry(), deps).ask({ method: 'GET', path: '/version' })).body).toBeUndefined();
  });

  it('asks an older server in its own version, and none that is too old for more', async () => {
    answer = (request, response) => {
      const known = request.url?.includes('/v1beta1/') === true;
      response.statusCode = known ? 201 : 404;
      response.end(known ? '{"status":{"userInfo":{"username":"alice\\u001b[2J","groups":["dev",5]}}}' : '{}');
    };
    expect(await whoAmI(openCluster(entry(), deps), token)).toEqual({
      kind: 'known',
      user: { username: 'alice [2J', groups: ['dev'] },
    });
    answer = (_, response) => void response.writeHead(404).end('{}');
    expect(await whoAmI(openCluster(entry(), deps), token)).toEqual({ kind: 'silent' });
    answer = (_, response) => void response.writeHead(401).end('{}');
    expect(await whoAmI(openCluster(entry(), deps), token)).toEqual({ kind: 'unknown' });
  });
});
