import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { KleisError } from '../../shared/errors.ts';
import { isAbsentAddress } from '../../shared/net/network-errors.ts';
import { isLocalhost, localhostAddresses, withoutBrackets } from '../../shared/net/url.ts';
import { defaultListenAddresses, donePath } from '../settings/listen-address.ts';
import type { Settings } from '../settings/sign-in.ts';
import { renderPage, type PageOutcome } from './page.ts';

/** Where to listen, and what the provider is told once the port is known. */
export interface Address {
  /** `localhost` (heard on 127.0.0.1 and ::1), `127.0.0.1` or `::1`. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly redirectUri: (port: number) => string;
}

export interface CallbackListener {
  readonly redirectUri: string;
  /** The callback with the right state. Rejects with the signal's reason. */
  next(signal: AbortSignal): Promise<ArrivedCallback>;
  close(): Promise<void>;
}

export interface ArrivedCallback {
  readonly parameters: URLSearchParams;
  /** Tells the person in the browser how it ended; resolves when the page is on its way, or the browser gone. */
  finish(outcome: PageOutcome): Promise<void>;
}

const largestForm = 64 * 1024;
/** How long a browser gets to ask for the page after the redirect; it takes milliseconds. */
const pageTime = 1_500;

export function addressesToTry({
  listenAddress,
  redirectUri,
}: Pick<Settings, 'listenAddress' | 'redirectUri'>): Address[] {
  // Port 0 becomes the one that was got (RFC 8252 section 7.3); anything else stays as it was written.
  const fixedUri = redirectUri && ((port: number) => redirectUri.replace(/:0(?=\/|$)/, `:${port}`));
  if (fixedUri && listenAddress.length === 0) return [{ ...parse(redirectUri), redirectUri: fixedUri }];
  const addresses = listenAddress.length > 0 ? listenAddress : defaultListenAddresses;
  return addresses.map((address) => {
    const url = `http://${address}`;
    return { ...parse(url), redirectUri: fixedUri || ((port) => url.replace(/:\d+$/, `:${port}`)) };
  });
}

function parse(url: string): Pick<Address, 'host' | 'port'> {
  const { hostname, port } = new URL(url);
  return { host: withoutBrackets(hostname), port: port === '' ? 80 : Number(port) };
}

/**
 * Listens on the first address that is free; throws `port_in_use` naming all of them. Only a request to the redirect
 * URI's path, under a loopback Host, with this sign-in's `state` counts. Any page in any browser can send others: they
 * get an error page and change nothing. The Origin says nothing here (with `form_post` it is the provider's, or `null`),
 * `state`, PKCE and RFC 9207's `iss` do.
 */
export async function listenForCallback(
  addresses: readonly Address[],
  state: string,
  provider: string,
  unmarked: (parameters: URLSearchParams) => void,
): Promise<CallbackListener> {
  const errors: string[] = [];
  for (const address of addresses) {
    const bound = await bind(address);
    if (typeof bound === 'string') errors.push(`${address.host}:${address.port} ${bound}`);
    else return serveCallback(bound, address.redirectUri(bound.port), { state, provider, unmarked });
  }
  throw new KleisError('port_in_use', `Nowhere to wait for the browser: ${errors.join(', ')}.`);
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function bind({ host, port }: Address): Promise<{ servers: Server[]; port: number } | string> {
  const hosts = isLocalhost(host) ? localhostAddresses : [host];
  // With port 0 the second address must get the port of the first, which may be taken there.
  for (let attempt = 0; ; attempt += 1) {
    const servers: Server[] = [];
    let got = port;
    let failure: string | undefined;
    for (const one of hosts) {
      const server = await listen(one, got);
      if (typeof server !== 'string') {
        servers.push(server);
        got = (server.address() as AddressInfo).port;
      } else if (isAbsentAddress(server)) {
        // No IPv6 (or no IPv4) here: then no browser uses it either.
        failure ??= servers.length === 0 && one === hosts.at(-1) ? 'does not exist here' : undefined;
      } else {
        // Also when only ::1 is taken: a browser may well ask there first, and would talk to somebody else.
        failure = server === 'EADDRINUSE' ? 'is in use' : `cannot be used (${server})`;
      }
    }
    if (failure === undefined && servers.length > 0) return { servers, port: got };
    await Promise.all(servers.map(closeServer));
    if (port !== 0 || attempt >= 5) return failure ?? 'does not exist here';
  }
}

async function listen(host: string, port: number): Promise<Server | string> {
  // Codes of some providers are thousands of characters long, and cookies of other programs on localhost come along.
  const server = createServer({ maxHeaderSize: 128 * 1024, requestTimeout: 10_000, headersTimeout: 10_000 });
  return new Promise((resolve) => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

interface Expected {
  readonly state: string;
  /** What to call the provider. */
  readonly provider: string;
  /** Told of an error that names no sign-in, once: any page in any browser can send one. */
  readonly unmarked: (parameters: URLSearchParams) => void;
}

function serveCallback(
  { servers, port }: { readonly servers: Server[]; readonly port: number },
  redirectUri: string,
  { state, provider, unmarked }: Expected,
): CallbackListener {
  const expected = new URL(redirectUri);
  const hosts = new Set(
    ['localhost', '127.0.0.1', '[::1]', expected.hostname].flatMap((name) => [
      hostHeader(name, String(port)),
      hostHeader(name, expected.port),
    ]),
  );
  let page: PageOutcome | undefined;
  let taken = false;
  let complained = false;
  const connections = boundConnections(servers);
  let deliver: ((arrived: ArrivedCallback) => void) | undefined;
  const delivered = new Promise<ArrivedCallback>((resolve) => {
    deliver = resolve;
  });

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://loopback');
    if (!hosts.has((request.headers.host ?? '').toLowerCase()))
      return answer(response, 400, { kind: 'stray', provider });
    if (page !== undefined && url.pathname === donePath && request.method === 'GET') {
      return answer(response, page.kind === 'signed-in' ? 200 : 400, page);
    }
    if (url.pathname !== expected.pathname) return answer(response, 404, { kind: 'not-found' });
    if (request.method !== 'GET' && request.method !== 'POST') {
      response.setHeader('allow', 'GET, POST');
      return answer(response, 405, { kind: 'not-found' });
    }
    const parameters = request.method === 'GET' ? url.searchParams : await readForm(request);
    if (typeof parameters === 'number') return answer(response, parameters, { kind: 'stray', provider });
    const states = parameters.getAll('state');
    if (states.length === 0 && parameters.getAll('error').length === 1) {
      if (!complained && !taken) unmarked(parameters);
      complained = true;
      return answer(response, 400, { kind: 'unmarked' });
    }
    if (states.length !== 1 || !same(states[0] ?? '', state)) return answer(response, 400, { kind: 'stray', provider });
    if (taken) return answer(response, 409, { kind: 'used' });
    taken = true;
    connections.keep(request.socket);
    deliver?.({
      parameters,
      async finish(outcome) {
        page = outcome;
        const fetched = waitForPage(servers);
        // Away from the address with the code in it, which would stay in the browser's history.
        if (!response.destroyed)
          response.writeHead(303, { location: donePath, 'cache-control': 'no-store', 'content-length': 0 }).end();
        await fetched;
      },
    });
  };
  const onRequest: Handler = (request, response) => {
    handle(request, response).catch(() => response.destroy());
  };
  for (const server of servers) server.on('request', onRequest);

  return {
    redirectUri,
    next: (signal) =>
      new Promise((resolve, reject) => {
        const abort = () => reject(signal.reason as Error);
        if (signal.aborted) return abort();
        signal.addEventListener('abort', abort, { once: true });
        void delivered.then(resolve).finally(() => signal.removeEventListener('abort', abort));
      }),
    async close() {
      await Promise.all(servers.map(closeServer));
    },
  };
}

const maxConnections = 64;

/**
 * The oldest connection goes where there are too many: programs that hold theirs open and say nothing cannot keep the
 * browser out, which asks as soon as it is connected.
 */
function boundConnections(servers: readonly Server[]): { keep(socket: Socket): void } {
  const open = new Set<Socket>();
  let kept: Socket | undefined;
  for (const server of servers) {
    server.on('connection', (socket) => {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      if (open.size <= maxConnections) return;
      [...open].find((each) => each !== kept)?.destroy();
    });
  }
  return {
    keep(socket) {
      kept = socket;
    },
  };
}

/** Resolves when the browser has the page, or does not want it. */
async function waitForPage(servers: readonly Server[]): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, pageTime);
    const watch: Handler = (request, response) => {
      if (!request.url?.startsWith(donePath)) return;
      response.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    };
    for (const server of servers) server.prependListener('request', watch);
  });
}

function answer(response: ServerResponse, status: number, outcome: PageOutcome): void {
  const { body, headers } = renderPage(outcome);
  response.writeHead(status, { ...headers, connection: 'close' }).end(body);
}

/** The parameters of a `form_post` (OAuth 2.0 Form Post Response Mode), or the status that refuses it. */
async function readForm(request: IncomingMessage): Promise<URLSearchParams | number> {
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(request.headers['content-type'] ?? '')) return 415;
  if (Number(request.headers['content-length'] ?? 0) > largestForm) return 413;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestForm) return 413;
    chunks.push(chunk);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString());
}

function hostHeader(hostname: string, port: string): string {
  return port === '' || port === '80' ? hostname : `${hostname}:${port}`;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function same(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
