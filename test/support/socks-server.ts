import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface SocksServerOptions {
  /** Where all connections end, whatever host is asked for: as if the proxy knew more names than we do. */
  readonly target: number;
  /** Asked for if given. */
  readonly user?: string;
  readonly password?: string;
  /** RFC 1928 section 6; 0, success, if not given. */
  readonly reply?: number;
  /** What it sends first instead of what the protocol says. */
  readonly greeting?: string;
  /** Sends its answers byte by byte. */
  readonly slowly?: boolean;
}

export interface SocksServer {
  readonly port: number;
  /** `name login.example.com:443`, or the bytes of an address in hex. */
  readonly asked: readonly string[];
  stop(): void;
}

/** A SOCKS 5 proxy (RFC 1928, RFC 1929) that takes requests in whole packets, as clients send them. */
export async function startSocks(options: SocksServerOptions): Promise<SocksServer> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    sockets.add(client);
    client.on('error', () => client.destroy());
    client.on('close', () => sockets.delete(client));
    void serve(client, options, asked).catch(() => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function serve(client: Socket, options: SocksServerOptions, asked: string[]): Promise<void> {
  const { target, user, password, reply = 0, greeting, slowly = false } = options;
  const say = async (bytes: readonly number[]) => {
    for (const part of slowly ? bytes.map((byte) => [byte]) : [bytes]) {
      client.write(Buffer.from(part));
      if (slowly) await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  const [, , ...methods] = await packet(client);
  if (greeting !== undefined) return void client.end(greeting);
  const method = user === undefined ? 0 : 2;
  if (!methods.includes(method)) return void client.end(Buffer.from([5, 0xff]));
  await say([5, method]);
  if (user !== undefined) {
    const [, length = 0, ...rest] = await packet(client);
    const given = Buffer.from(rest).toString();
    const right = given.slice(0, length) === user && given.slice(length + 1) === password;
    await say([1, right ? 0 : 1]);
    if (!right) return void client.end();
  }
  const request = await packet(client);
  const [kind, place] = [request[3], request.subarray(4, -2)];
  asked.push(
    kind === 3
      ? `name ${place.subarray(1).toString()}:${request.readUInt16BE(request.length - 2)}`
      : place.toString('hex'),
  );
  await say([5, reply, 0, 1, 127, 0, 0, 1, 0, 80]);
  if (reply !== 0) return void client.end();
  const upstream = connect(target, '127.0.0.1');
  upstream.on('error', () => client.destroy());
  upstream.pipe(client).pipe(upstream);
}

async function packet(client: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.once('data', (bytes: Buffer) => {
      client.pause();
      resolve(bytes);
    });
    client.once('close', () => reject(new Error('closed')));
    client.resume();
  });
}
