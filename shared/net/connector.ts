import type { Socket } from 'node:net';
import tls from 'node:tls';
import { secured } from './handshake.ts';
import type { Trust } from './trust.ts';
import { openTunnel } from './tunnel.ts';

export type TlsTarget = tls.ConnectionOptions & { readonly host?: string; readonly port?: number };

export interface ConnectorOptions {
  readonly proxy: URL | undefined;
  readonly trust: Trust;
  /** Begins a connection without a proxy; `tls.connect` if not given. */
  readonly open?: (target: TlsTarget) => tls.TLSSocket;
}

/**
 * Opens TLS connections: straight or through a proxy, and with everybody that may vouch for the server. What it gives is
 * past its handshake.
 */
export function createConnector({
  proxy,
  trust,
  open = tls.connect,
}: ConnectorOptions): (target: TlsTarget) => Promise<tls.TLSSocket> {
  return async (target) => {
    const { host = 'localhost', port = 443 } = target;
    return trust.connect(`${host}:${port}`, async (secureContext) => {
      const through = { ...target, ...(secureContext && { secureContext }) };
      if (proxy === undefined) return secured(open(through));
      const socket: Socket = await openTunnel(proxy, { host, port }, trust);
      return secured(tls.connect({ ...through, socket }));
    });
  };
}
