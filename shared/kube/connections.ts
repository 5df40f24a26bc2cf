import { isIP } from 'node:net';
import type tls from 'node:tls';
import type { Dispatcher } from 'undici';
import Client from 'undici/lib/dispatcher/client.js';
import { createConnector } from '../net/connector.ts';
import { dialing } from '../net/dialing.ts';
import { strictTls, type Trust } from '../net/trust.ts';
import { withoutBrackets } from '../net/url.ts';

/** Below the 90 s after which kube-apiserver cuts idle connections: a write on one that it just cut is ambiguous. */
const idleTimeout = 45_000;
const most = 128;
/** Bytes of an answer's headers, as Node's own client takes. */
const maxHeaderSize = 16 * 1024;

/** One request on its way. It is told of each thing that happens, and ends with `onResponseEnd` or `onResponseError`. */
export interface Sending extends Dispatcher.DispatchHandler {
  readonly options: Dispatcher.DispatchOptions;
  /** Set by the connections: which of them has it. */
  on: Client | undefined;
}

export interface Connections {
  /** Begins at once where a connection is free or may be made, else in turn. */
  send(call: Sending): void;
  /** Each call is to say so when it has ended, from within `onResponseEnd` or `onResponseError`. */
  ended(call: Sending): void;
  /** Of a call that waits for its turn: true, and nobody hears of it any more. */
  withdraw(call: Sending): boolean;
  close(): void;
}

export interface Endpoint {
  readonly server: URL;
  /** Instead of the host of `server`. */
  readonly tlsServerName: string | undefined;
  readonly proxy: URL | undefined;
  readonly trust: Trust;
  /** Told of every new connection. */
  readonly connected: () => void;
}

/**
 * The connections to one server, each with one request at a time. Not undici's Pool: beyond its bound it makes more where
 * connecting fails, and it takes a new connection while the last one is about to be free.
 */
export function openConnections({ server, tlsServerName, proxy, trust, connected }: Endpoint): Connections {
  const host = withoutBrackets(server.hostname);
  const open = createConnector({ proxy, trust });
  const target = {
    ...strictTls,
    host,
    port: server.port === '' ? 443 : Number(server.port),
    servername: tlsServerName ?? (isIP(host) === 0 ? host : ''),
    ALPNProtocols: ['http/1.1'],
    ...dialing,
    noDelay: true,
  };
  const all: Client[] = [];
  /** The last one used is the next one taken, so that what is too many becomes idle. */
  const free: Client[] = [];
  const waiting = new Set<Sending>();
  let session: Buffer | undefined;
  let closed = false;

  async function connect(): Promise<tls.TLSSocket> {
    const socket = await open(session === undefined ? target : { ...target, session });
    // Only now: a session of whom nobody vouched for is never kept.
    socket.on('session', (made: Buffer) => (session = made));
    connected();
    return socket;
  }

  function add(): Client {
    const client = new Client(server.origin, {
      connect: (_options, done) => {
        connect().then(
          (socket) => done(null, socket),
          (error: unknown) => done(error as Error, null),
        );
      },
      pipelining: 1,
      maxHeaderSize,
      keepAliveTimeout: idleTimeout,
      // A server may ask for less.
      keepAliveMaxTimeout: idleTimeout,
      // Each call has its own deadline.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    all.push(client);
    if (closed) void client.destroy();
    return client;
  }

  function serve(): void {
    for (const call of waiting) {
      const client = free.pop() ?? (all.length < most ? add() : undefined);
      if (client === undefined) return;
      waiting.delete(call);
      call.on = client;
      client.dispatch(call.options, call);
    }
  }

  return {
    send(call) {
      waiting.add(call);
      serve();
    },
    ended({ on }) {
      if (on !== undefined) free.push(on);
      // Not at once: undici is in the middle of ending this one.
      if (waiting.size > 0) queueMicrotask(serve);
    },
    withdraw: (call) => waiting.delete(call),
    close() {
      closed = true;
      for (const client of all) void client.destroy();
    },
  };
}
