import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { keyOfAddress } from './limits.ts';

export interface ConnectionBounds {
  readonly total: number;
  /** Of one address (IPv6: a network), but for those that `unbounded` knows. */
  readonly perAddress: number;
  /** Whether connections of many come from this address: a proxy's. */
  readonly unbounded: (address: string) => boolean;
}

interface Connection {
  readonly id: string;
  readonly key: string | undefined;
  readonly socket: Socket;
  /** Requests that came as a whole and are not answered. */
  atWork: number;
}

/**
 * Keeps the connections of a server within bounds: where there is one too many, the one goes that has done nothing for
 * longest, and the new one only where all others are at work. Nothing is done where a request has not come as a whole: so
 * nobody can shut others out by holding what costs nothing to hold.
 */
export function boundConnections(server: Server, { total, perAddress, unbounded }: ConnectionBounds): void {
  /** In the order in which they did something last. */
  const open = new Map<string, Connection>();
  const counts = new Map<string, number>();

  const longestIdle = (key?: string): Connection | undefined => {
    for (const connection of open.values()) {
      if (connection.atWork === 0 && (key === undefined || connection.key === key)) return connection;
    }
    return undefined;
  };

  server.on('connection', (socket: Socket) => {
    const id = idOf(socket);
    const { remoteAddress: address } = socket;
    if (id === undefined || address === undefined) return socket.destroy();
    const key = unbounded(address) ? undefined : keyOfAddress(address.replace(/^::ffff:(?=\d+\.)/, ''));
    const tooManyOfOne = key !== undefined && (counts.get(key) ?? 0) >= perAddress;
    if (tooManyOfOne || open.size >= total) {
      const idle = longestIdle(tooManyOfOne ? key : undefined);
      if (idle === undefined) return socket.destroy();
      forget(idle);
      idle.socket.destroy();
    }
    const connection: Connection = { id, key, socket, atWork: 0 };
    open.set(id, connection);
    if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1);
    socket.once('close', () => forget(connection));
  });

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const id = idOf(request.socket);
    const connection = id === undefined ? undefined : open.get(id);
    if (id === undefined || connection === undefined) return;
    let whole = false;
    const begin = (): void => {
      whole = true;
      connection.atWork += 1;
    };
    // A request without a body is whole when it comes.
    if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) begin();
    else request.once('end', begin);
    response.once('close', () => {
      if (whole) connection.atWork -= 1;
      request.off('end', begin);
      if (open.get(id) !== connection) return;
      open.delete(id);
      open.set(id, connection);
    });
  });

  /** Once: a socket that was destroyed closes later. */
  function forget(connection: Connection): void {
    const { id, key } = connection;
    if (open.get(id) !== connection) return;
    open.delete(id);
    if (key === undefined) return;
    const left = (counts.get(key) ?? 1) - 1;
    if (left > 0) counts.set(key, left);
    else counts.delete(key);
  }
}

/** The same for a TLS socket and the one below it. */
function idOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remoteAddress === undefined || remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`;
}
