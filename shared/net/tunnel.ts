import http from 'node:http';
import net, { isIP, type Socket } from 'node:net';
import tls from 'node:tls';
import { KleisError } from '../errors.ts';
import { clean } from '../text.ts';
import { dialing } from './dialing.ts';
import { secured } from './handshake.ts';
import { explainNetworkError } from './network-errors.ts';
import { isSocks } from './proxy.ts';
import { negotiateSocks, SocksFault } from './socks.ts';
import { strictTls, type Trust } from './trust.ts';
import { withoutBrackets } from './url.ts';

/** Milliseconds until the proxy has let us through. */
const patience = 10_000;

interface Destination {
  readonly host: string;
  readonly port: number;
}

/** What the proxy said no with. The message completes "The proxy X …". */
class ProxyRefusal extends Error {
  override readonly name = 'ProxyRefusal';
}

/** A way through the proxy to a host, still without TLS. Throws `provider_unavailable`, which names the proxy alone. */
export async function openTunnel(proxy: URL, destination: Destination, trust: Trust): Promise<Socket> {
  let socket: Socket | undefined;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(reject, patience, Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' }));
  });
  try {
    const opened = reach(proxy, trust).then(async (reached) => {
      socket = reached;
      return isSocks(proxy) ? throughSocks(reached, proxy, destination) : throughHttp(reached, proxy, destination);
    });
    return await Promise.race([opened, late]);
  } catch (error) {
    socket?.destroy();
    throw explain(proxy, error);
  } finally {
    clearTimeout(timer);
  }
}

function explain(proxy: URL, error: unknown): KleisError {
  const refused = error instanceof ProxyRefusal || error instanceof SocksFault;
  // Without the user and password that the URL of a proxy may hold.
  const place = new URL(`http://${proxy.host}`);
  const why = refused ? clean(error.message) : `cannot be used: ${explainNetworkError(error, place).detail ?? ''}`;
  return new KleisError('provider_unavailable', `The proxy ${clean(proxy.host)} ${why}.`, {
    hint: 'Check the proxy settings (HTTPS_PROXY, ALL_PROXY, NO_PROXY) and try again.',
    // Without its cause, which would say of the server what is true of the proxy alone.
    detail: why,
  });
}

const defaultPorts: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };
const socksPort = 1080;

async function reach(proxy: URL, trust: Trust): Promise<Socket> {
  const host = withoutBrackets(proxy.hostname);
  const port = proxy.port === '' ? (defaultPorts[proxy.protocol] ?? socksPort) : Number(proxy.port);
  if (proxy.protocol === 'https:') {
    const servername = isIP(host) === 0 ? host : '';
    return trust.connect(`${host}:${port}`, (secureContext) =>
      secured(
        tls.connect({ host, port, servername, ...dialing, ...strictTls, ...(secureContext && { secureContext }) }),
      ),
    );
  }
  const socket = net.connect({ host, port, ...dialing });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

async function throughSocks(socket: Socket, proxy: URL, { host, port }: Destination): Promise<Socket> {
  await negotiateSocks(socket, { host, port, ...credentialsOf(proxy) });
  return socket;
}

/** CONNECT, RFC 9110 section 9.3.6. */
async function throughHttp(socket: Socket, proxy: URL, { host, port }: Destination): Promise<Socket> {
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
  const headers: Record<string, string> = { host: authority };
  const { user, password } = credentialsOf(proxy);
  if (user !== '') {
    headers['proxy-authorization'] = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  }
  return new Promise((resolve, reject) => {
    const request = http.request({
      method: 'CONNECT',
      path: authority,
      headers,
      createConnection: () => socket,
      insecureHTTPParser: false,
    });
    const answered = ({ statusCode = 0 }: http.IncomingMessage) => {
      if (statusCode >= 200 && statusCode < 300) return resolve(socket);
      const why = statusCode === 407 ? 'wants another user name or password' : 'does not let us through';
      return reject(new ProxyRefusal(`${why} (HTTP ${statusCode}) to ${authority}`));
    };
    request.once('connect', answered);
    request.once('response', answered);
    request.once('error', reject);
    request.end();
  });
}

function credentialsOf({ username, password }: URL): { readonly user: string; readonly password: string } {
  return { user: unescape(username), password: unescape(password) };
}

/** A lone `%` in a password is not an escape. */
function unescape(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
