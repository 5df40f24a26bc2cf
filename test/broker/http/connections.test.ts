import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { boundConnections, type ConnectionBounds } from '../../../broker/http/connections.ts';
import { until } from '../../support/wait.ts';
import { type AppWorld, startAppWorld } from '../routes/world.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** Answers at `/` at once, at `/wait` when it is released. */
async function startServer(bounds: Partial<ConnectionBounds>) {
  const waiting: http.ServerResponse[] = [];
  const server = http.createServer((request, response) => {
    request.resume();
    if (request.url === '/wait') waiting.push(response);
    else request.once('end', () => response.end('fine'));
  });
  boundConnections(server, { total: 100, perAddress: 100, unbounded: () => false, ...bounds });
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, waiting };
}

interface Client {
  readonly socket: Socket;
  heard: string;
  closed: boolean;
}

async function connect(port: number, localAddress = '127.0.0.1', say = ''): Promise<Client> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress });
  const client: Client = { socket, heard: '', closed: false };
  socket.on('data', (chunk: Buffer) => (client.heard += chunk.toString()));
  socket.on('error', () => undefined);
  socket.on('close', () => (client.closed = true));
  closers.push(() => socket.destroy());
  await once(socket, 'connect');
  if (say !== '') socket.write(say);
  return client;
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`;
const served = async (client: Client) => until('an answer', () => client.heard.includes('fine'), 5000);
const gone = async (client: Client) => until('it is closed', () => client.closed, 5000);

describe('a connection too many', () => {
  it('of one address takes the place of the one of that address that was idle for longest', async () => {
    const { port } = await startServer({ perAddress: 3 });
    const other = await connect(port, '127.0.0.2', get('/'));
    await served(other);
    const [first, second] = [await connect(port), await connect(port)];
    first.socket.write(get('/'));
    await served(first);
    await connect(port);
    const next = await connect(port, '127.0.0.1', get('/'));
    await served(next);
    await gone(second);
    expect([first.closed, other.closed]).toEqual([false, false]);
  });

  it('of all takes the place of the one that was idle for longest, whoever holds the others', async () => {
    const { port } = await startServer({ total: 6 });
    const held: Client[] = [];
    for (let index = 2; index < 8; index += 1) held.push(await connect(port, `127.0.0.${index}`, get('/')));
    await Promise.all(held.map(served));
    const honest = await connect(port, '127.0.0.9', get('/'));
    await served(honest);
    await until('one went', () => held.filter(({ closed }) => closed).length === 1);
  });

  it.each([
    ['sends nothing', ''],
    ['sends half a head', 'GET / HTTP/1.1\r\nhost'],
    ['sends half a body', 'POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf'],
    ['sends a body without an end', 'POST /wait HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n'],
  ])('is served though all others hold one that %s', async (_, say) => {
    const { port } = await startServer({ total: 4 });
    for (let index = 0; index < 4; index += 1) await connect(port, '127.0.0.2', say);
    await served(await connect(port, '127.0.0.1', get('/')));
  });

  it('is refused where all others are at work, and cuts none of them', async () => {
    const { port, waiting } = await startServer({ total: 2 });
    const working = [
      await connect(port, '127.0.0.2', get('/wait')),
      await connect(port, '127.0.0.3', 'POST /wait HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody'),
    ];
    await until('both are at work', () => waiting.length === 2);
    await gone(await connect(port, '127.0.0.1', get('/')));
    for (const response of waiting) response.end('fine');
    await Promise.all(working.map(served));
    // Now they are idle.
    await served(await connect(port, '127.0.0.1', get('/')));
  });

  it('comes to a proxy only with what others leave of the whole', async () => {
    const { port } = await startServer({ total: 20, perAddress: 2, unbounded: (address) => address.endsWith('.5') });
    const proxied = [];
    for (let index = 0; index < 10; index += 1) proxied.push(await connect(port, '127.0.0.5', get('/')));
    await Promise.all(proxied.map(served));
    expect(proxied.some(({ closed }) => closed)).toBe(false);
  });
});

describe('a broker', () => {
  let world: AppWorld;
  it('serves probes and callers while one address holds all the connections that it gets', async () => {
    world = await startAppWorld();
    closers.push(() => world.stop());
    const broker = await world.start({ metrics: { listen: '127.0.0.1:0' } });
    const port = Number(new URL(broker.url).port);
    const held: Client[] = [];
    for (let index = 0; index < 600; index += 1) held.push(await connect(port));
    await until('some are closed', () => held.filter(({ closed }) => closed).length >= 88);
    expect((await broker.call('/healthz')).status).toBe(200);
    expect((await broker.exchange(await world.issue())).status).toBe(200);
  });

  it('takes a bounded number of requests ahead on one connection, and any number one after the other', async () => {
    world = await startAppWorld();
    closers.push(() => world.stop());
    const broker = await world.start();
    const port = Number(new URL(broker.url).port);
    const more = await connect(port, '127.0.0.2', get('/healthz').repeat(500));
    await gone(more);
    expect(more.heard.match(/^HTTP\/1\.1 /gm)?.length ?? 0).toBeLessThanOrEqual(100);

    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    closers.push(() => agent.destroy());
    const statuses = new Set<number | undefined>();
    for (let index = 0; index < 250; index += 1) {
      const sent = http.get({ port, host: '127.0.0.1', path: '/healthz', agent });
      const [response] = (await once(sent, 'response')) as [http.IncomingMessage];
      response.resume();
      await once(response, 'end');
      statuses.add(response.statusCode);
    }
    expect([...statuses]).toEqual([200]);
  });

  it('closes the connection of who has sent too much', async () => {
    world = await startAppWorld();
    closers.push(() => world.stop());
    const broker = await world.start({ limits: { perAddress: 1 } });
    const client = await connect(Number(new URL(broker.url).port));
    client.socket.write(get('/nothing'));
    await until('an answer', () => client.heard.includes('404'));
    client.socket.write(get('/nothing'));
    await gone(client);
    expect(client.heard).toMatch(/HTTP\/1\.1 429[^]*connection: close/i);
  });
});
