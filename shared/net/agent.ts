import https from 'node:https';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { secured } from './handshake.ts';
import { strictTls, type Trust } from './trust.ts';
import { openTunnel } from './tunnel.ts';

export interface AgentOptions extends https.AgentOptions {
  readonly proxy: URL | undefined;
  readonly trust: Trust;
  /** Told of every new connection that goes through a proxy or was judged by `trust`. */
  readonly connected?: () => void;
}

type Target = tls.ConnectionOptions & { readonly host?: string; readonly port?: number };

/** The agent for https: straight or through a proxy, and with everybody that may vouch for the server. */
export function createAgent({ proxy, trust, connected, ...options }: AgentOptions): https.Agent {
  const { context } = trust;
  const agent = new https.Agent({ ...options, ...strictTls, ...(context && { secureContext: context }) });
  if (proxy === undefined && !trust.hasOthers) return agent;
  // Node's own way to connect, which keeps TLS sessions.
  const direct = (agent as unknown as { createConnection(target: Target): tls.TLSSocket }).createConnection.bind(agent);

  async function connect(target: Target): Promise<tls.TLSSocket> {
    const { host = 'localhost', port = 443 } = target;
    return trust.connect(`${host}:${port}`, async (secureContext) => {
      const through = { ...target, ...(secureContext && { secureContext }) };
      if (proxy === undefined) return secured(direct(through));
      const socket: Socket = await openTunnel(proxy, { host, port }, trust);
      return secured(tls.connect({ ...through, socket }));
    });
  }

  // Node's documented way to supply the connection later: return nothing, call back when it is there.
  const late = agent as unknown as { createConnection: unknown };
  late.createConnection = (target: Target, done: (error: unknown, socket?: tls.TLSSocket) => void) => {
    connect(target).then((socket) => {
      connected?.();
      done(null, socket);
    }, done);
  };
  return agent;
}
