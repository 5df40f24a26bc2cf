import https from 'node:https';
import type tls from 'node:tls';
import { createConnector, type TlsTarget } from './connector.ts';
import { strictTls, type Trust } from './trust.ts';

export interface AgentOptions extends https.AgentOptions {
  readonly proxy: URL | undefined;
  readonly trust: Trust;
}

/** The agent for https: straight or through a proxy, and with everybody that may vouch for the server. */
export function createAgent({ proxy, trust, ...options }: AgentOptions): https.Agent {
  const { context } = trust;
  const agent = new https.Agent({ ...options, ...strictTls, ...(context && { secureContext: context }) });
  if (proxy === undefined && !trust.hasOthers) return agent;
  // Node's own way to connect, which keeps TLS sessions.
  const open = (agent as unknown as { createConnection(target: TlsTarget): tls.TLSSocket }).createConnection.bind(
    agent,
  );
  const connect = createConnector({ proxy, trust, open });
  // Node's documented way to supply the connection later: return nothing, call back when it is there.
  const late = agent as unknown as { createConnection: unknown };
  late.createConnection = (target: TlsTarget, done: (error: unknown, socket?: tls.TLSSocket) => void) => {
    connect(target).then((socket) => done(null, socket), done);
  };
  return agent;
}
