import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { run } from '../../../broker/program.ts';
import { createAuthority } from '../../support/certificates.ts';
import { testDeps } from '../routes/world.ts';
import https from 'node:https';

// What `kleis-broker leases` and `revoke` make of what answers at --broker; with a real one in test/broker/routes/leases.test.ts.

type Reply = (request: IncomingMessage, response: ServerResponse) => void;

let folder: string;
let url: string;
let replies: Reply[];
let seen: string[];
const server = createServer((request, response) => {
  seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
  response.setHeader('content-type', 'application/json');
  (replies.length > 1 ? replies.shift() : replies[0])?.(request, response);
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-leases-'));
  await writeFile(join(folder, 'token'), '\uFEFFthe-token \r\n');
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  replies = [];
  seen = [];
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await rm(folder, { recursive: true });
});

async function command(...words: string[]): Promise<{ code: number; text: string }> {
  const { deps, output } = testDeps();
  const given = words.includes('--broker') ? words : [...words, '--broker', url];
  const code = await run([...given, '--token-file', join(folder, 'token')], {
    ...deps,
    env: {},
    clock: { now: Date.now, sleep: async () => undefined },
  });
  return { code, text: output() };
}

const says =
  (body: unknown, status = 200, headers: Record<string, string> = {}): Reply =>
  (_request, response) =>
    response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
const cut: Reply = (request) => request.socket.destroy();
const lease = {
  id: 'l1',
  grant: 'g',
  cluster: 'c',
  state: 'active',
  account: 'a',
  holder: 'h',
  created: 'x',
  expires: 'y',
  revocable: true,
};
const busy = { error: 'temporarily_unavailable', code: 'broker_not_ready', message: 'It starts.', hint: 'Wait.' };

describe('leases of a broker', () => {
  it('are asked for with the token alone, page after page', async () => {
    replies = [says({ leases: [lease], continue: 'n 1' }), says({ leases: [{ ...lease, id: 'l2' }] })];
    const { code, text } = await command('leases', '-o', 'json', '--grant', 'g');
    expect(code).toBe(0);
    expect(JSON.parse(text)).toEqual({ leases: [lease, { ...lease, id: 'l2' }] });
    expect(seen).toEqual([
      'GET /leases?limit=500&grant=g Bearer the-token',
      'GET /leases?limit=500&grant=g&continue=n+1 Bearer the-token',
    ]);
  });

  it('are asked for again when the answer is lost or the broker is not ready, as by `kleis`', async () => {
    replies = [cut, says(busy, 503, { 'retry-after': '1' }), says('<html>', 502), says({ leases: [] })];
    expect((await command('leases')).code).toBe(0);
    expect(seen).toHaveLength(4);
    replies = [says(busy, 503)];
    const { code, text } = await command('leases');
    expect(code).toBe(5);
    expect(text).toMatch(/^error: The broker 127\.0\.0\.1:\d+ says: It starts\.\nnext: {2}Wait\.\n$/);
  });

  it.each([
    ['an object of something else', {}, /it gives no list of leases/],
    ['a page', '<html>', /it gives no list of leases/],
    ['a list without end', { leases: [], continue: 'again' }, /its list of leases has no end/],
    [
      'a page larger than was asked for',
      { leases: Array.from({ length: 501 }, () => lease) },
      /it gives no list of leases/,
    ],
    ['a page of a million', `{"leases":[${'{},'.repeat(1_000_000)}{}]}`, /it gives no list of leases/],
  ])('are not believed: %s', async (_name, body, message) => {
    replies = [says(body)];
    const { code, text } = await command('leases');
    expect(code).toBe(5);
    expect(text).toMatch(/does not answer as a Kleis broker/);
    expect(text).toMatch(message);
  });

  it('are not gathered without end, however the pages are called', async () => {
    const page = JSON.stringify(Array.from({ length: 500 }, () => ({ id: 'l' })));
    let pages = 0;
    replies = [
      (_request, response) => {
        pages += 1;
        response.end(`{"leases":${page},"continue":"${pages}"}`);
      },
    ];
    const { code, text } = await command('leases');
    expect({ code, text }).toEqual({ code: 5, text: expect.stringMatching(/its list of leases has no end/) });
    expect(pages).toBeLessThan(500);
  });

  it('end each by itself, and a lost answer is asked for again', async () => {
    const first = [cut, says({ revoked: true, dead_within: 10 })];
    replies = [
      (request, response) =>
        (request.url === '/leases/l1' ? first.shift() : says({ revoked: 'yes' }))?.(request, response),
    ];
    const { code, text } = await command('revoke', 'l1', 'l2');
    expect(seen.map((line) => line.split(' ').slice(0, 2).join(' ')).toSorted()).toEqual([
      'DELETE /leases/l1',
      'DELETE /leases/l1',
      'DELETE /leases/l2',
    ]);
    expect(text).toMatch(/l1 +dead within 10 s/);
    expect(text).toMatch(/l2 .*does not say whether the token was revoked/);
    expect(code).toBe(5);
  });

  it('carry reason, hint and request id of a refusal', async () => {
    replies = [
      says({ error: 'insufficient_scope', code: 'admin_only', message: 'No.', hint: 'Ask.', request_id: 'r-1' }, 403),
    ];
    const { code, text } = await command('leases');
    expect([code, text]).toEqual([4, expect.stringMatching(/says: No\. \(request r-1\)\nnext: {2}Ask\.\n/)]);
  });
});

describe('--broker', () => {
  it.each([
    ['http://broker.example.com', /is neither https nor http on loopback/],
    ['https://u:hush@broker.example.com', /holds a user name or password/],
    ['https://broker.example.com/?x', /has a query or fragment/],
    ['broker.example.com', /is not a URL/],
  ])('is refused before anything is sent: %s', async (broker, message) => {
    const { code, text } = await command('leases', '--broker', broker);
    expect(code).toBe(2);
    expect(text).toMatch(message);
    expect(text).not.toContain('hush');
  });

  it('with a certificate that nobody vouches for leads to the flag of this program', async () => {
    const authority = await createAuthority();
    const tls = https.createServer(await authority.issueServer(['localhost']), (_request, response) =>
      response.end('{}'),
    );
    await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
    const { code, text } = await command(
      'leases',
      '--broker',
      `https://localhost:${(tls.address() as AddressInfo).port}`,
    );
    tls.close();
    tls.closeAllConnections();
    expect(code).toBe(5);
    expect(text).toMatch(/next: .*give --certificate-authority if/);
  });
});
