import { isIP, type Socket, SocketAddress } from 'node:net';

export interface SocksRequest {
  /** Name or address; the proxy looks a name up. */
  readonly host: string;
  readonly port: number;
  /** Empty where the proxy asks for none. */
  readonly user: string;
  readonly password: string;
}

/** What a SOCKS proxy answered. The message completes "The proxy X …". */
export class SocksFault extends Error {
  override readonly name = 'SocksFault';
}

const version = 5;
const method = { none: 0, password: 2, refused: 0xff } as const;
const kind = { ipv4: 1, name: 3, ipv6: 4 } as const;

/** RFC 1928 section 6. */
const replies: Readonly<Record<number, string>> = {
  1: 'it failed',
  2: 'its rules forbid it',
  3: 'the network cannot be reached',
  4: 'the host cannot be reached',
  5: 'the connection was refused',
  6: 'it took too many hops',
  7: 'it does not do that',
  8: 'it does not take such addresses',
};

/** Asks a SOCKS 5 proxy for a connection (RFC 1928, and RFC 1929 where there is a user). Throws `SocksFault`. */
export async function negotiateSocks(socket: Socket, { host, port, user, password }: SocksRequest): Promise<void> {
  const methods = user === '' ? [method.none] : [method.none, method.password];
  socket.write(Buffer.from([version, methods.length, ...methods]));
  const [spoken, chosen = method.refused] = await read(socket, 2);
  if (spoken !== version) throw new SocksFault('does not speak SOCKS 5');
  if (chosen === method.password && user !== '') {
    socket.write(Buffer.concat([Buffer.from([1]), counted(user), counted(password)]));
    const [, status] = await read(socket, 2);
    if (status !== 0) throw new SocksFault('wants another user name or password');
  } else if (chosen !== method.none) {
    throw new SocksFault(user === '' ? 'wants a user name and password' : 'wants another user name or password');
  }
  socket.write(Buffer.concat([Buffer.from([version, 1, 0]), addressOf(host), Buffer.from([port >> 8, port & 0xff])]));
  const [, reply = 1, , bound] = await read(socket, 4);
  if (reply !== 0) {
    throw new SocksFault(`does not let us through to ${host}:${port}: ${replies[reply] ?? `it answers ${reply}`}`);
  }
  const length = bound === kind.ipv4 ? 4 : bound === kind.ipv6 ? 16 : ((await read(socket, 1))[0] ?? 0);
  await read(socket, length + 2);
}

function addressOf(host: string): Buffer {
  switch (isIP(host)) {
    case 4:
      return Buffer.from([kind.ipv4, ...host.split('.').map(Number)]);
    case 6:
      return Buffer.from([kind.ipv6, ...bytesOfIpv6(host)]);
    default:
      return Buffer.concat([Buffer.from([kind.name]), counted(host)]);
  }
}

function bytesOfIpv6(host: string): number[] {
  // Node's own spelling has dots only in an IPv4 address that is mapped.
  const [head = '', tail = ''] = new SocketAddress({ address: host, family: 'ipv6' }).address.split('::');
  const [before, after] = [bytesOfGroups(head), bytesOfGroups(tail)];
  return [...before, ...Array.from({ length: 16 - before.length - after.length }, () => 0), ...after];
}

function bytesOfGroups(text: string): number[] {
  const groups = text.split(':').filter((group) => group !== '');
  return groups.flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length === 0 || bytes.length > 255) throw new SocksFault('takes names and passwords of 1 to 255 bytes');
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}

/** Exactly so many bytes: what comes after them is the other end's. */
async function read(socket: Socket, size: number): Promise<Buffer> {
  let held = Buffer.alloc(0);
  for (;;) {
    // All that is there: with a part left behind, the stream would call itself readable again and again.
    const bytes = socket.read() as Buffer | null;
    if (bytes !== null) held = Buffer.concat([held, bytes]);
    if (held.length >= size) {
      if (held.length > size) socket.unshift(held.subarray(size));
      return held.subarray(0, size);
    }
    if (socket.readableEnded || socket.destroyed) throw new SocksFault('does not speak SOCKS 5');
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error) => {
        for (const name of ['readable', 'end', 'close', 'error']) socket.off(name, settle);
        if (error instanceof Error) reject(error);
        else resolve();
      };
      for (const name of ['readable', 'end', 'close', 'error']) socket.on(name, settle);
    });
  }
}
