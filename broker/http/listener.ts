import { createPrivateKey, X509Certificate } from 'node:crypto';
import http, { type Server, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import tls from 'node:tls';
import type { Express } from 'express';
import { KleisError } from '../../shared/errors.ts';
import { blocksIn } from '../../shared/net/certificates.ts';
import { isAbsentAddress } from '../../shared/net/network-errors.ts';
import { isLocalhost, localhostAddresses } from '../../shared/net/url.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import { parseAddress } from '../config/address.ts';
import { boundConnections } from './connections.ts';
import { messagesOf } from './messages.ts';

export interface ListenOptions {
  /** `host:port`, `[ipv6]:port` or `:port`. */
  readonly address: string;
  /** PEM files, read again when they change. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string } | undefined;
  readonly app: Express;
  /** Whether an address is a proxy's, that brings the connections of many. */
  readonly isProxy?: (address: string) => boolean;
  /** Called when a renewed certificate cannot be used (the old one stays), and without an error when one is in use. */
  readonly onCertificate?: (fault: Error | undefined) => void;
  /** How often the certificate's files are looked at, in milliseconds. */
  readonly certificateInterval?: number;
}

export interface Listening {
  /** `https://127.0.0.1:8443`; what was asked for with the port that it became. */
  readonly url: string;
  /** Milliseconds since the epoch; undefined without TLS. */
  readonly certificate: { readonly from: number; readonly until: number } | undefined;
  reloadCertificate(): Promise<void>;
  /**
   * Takes no more connections, lets what is under way end for so long (milliseconds), and then cuts it. True if nothing
   * had to be cut.
   */
  drain(patience: number): Promise<boolean>;
}

/** An Entra token with its 200 groups has 10 kB, and Authorization is not the only header. */
const maxHeaderSize = 32 * 1024;
const limits = { headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 65_000 };
/** Requests of one connection, so that nobody can send thousands ahead without reading an answer. */
const maxRequests = 100;
const handshakeTimeout = 10_000;
/** Milliseconds that a new certificate must stay the same before it is used. */
const settle = 200;
/** Far more than a client, or an office behind one address, has at work at once. */
const connections = { total: 4096, perAddress: 512 };

/** Throws `config_invalid` (address, certificate) and `port_in_use`. */
export async function listen(options: ListenOptions): Promise<Listening> {
  const { address, tls: files, app } = options;
  const place = parseAddress(address);
  if (place === undefined) throw new KleisError('config_invalid', `${clean(address)} is no address to listen on.`);
  let pair = files === undefined ? undefined : await readPair(files);
  const common = { maxHeaderSize, connectionsCheckingInterval: 2000, ...limits, ...messagesOf(app) };
  const server =
    pair === undefined
      ? http.createServer(common, app)
      : https.createServer({ ...common, cert: pair.cert, key: pair.key, minVersion: 'TLSv1.2', handshakeTimeout }, app);
  boundConnections(server, { ...connections, unbounded: options.isProxy ?? (() => false) });
  // Beyond a number Node drops headers and says nothing, so that a caller could push out what a proxy appends.
  // maxHeaderSize bounds them.
  server.maxHeadersCount = 0;
  // The last one's answer says `Connection: close`; who sends more all the same has not waited for it.
  server.maxRequestsPerSocket = maxRequests;
  server.on('dropRequest', (_, socket) => socket.destroy());
  // Milliseconds; a client that reads nothing for so long is gone.
  server.timeout = 60_000;
  server.on('clientError', answerUnreadable);
  const underWay = new Set<ServerResponse>();
  server.on('request', (_, response) => {
    underWay.add(response);
    response.once('close', () => underWay.delete(response));
  });
  await open(server, place.host, place.port);

  let reported: string | undefined;
  const report = (fault: Error | undefined): void => {
    if (fault?.message === reported) return;
    reported = fault?.message;
    options.onCertificate?.(fault);
  };
  const reloadCertificate = async (): Promise<void> => {
    if (files === undefined || pair === undefined) return;
    try {
      const next = await readPair(files);
      if (next.cert !== pair.cert || next.key !== pair.key) {
        await pause(settle);
        const again = await readPair(files);
        // Written in place, a chain is a shorter one for a moment. The next look finds it whole.
        if (again.cert !== next.cert || again.key !== next.key) return;
        (server as https.Server).setSecureContext({ cert: next.cert, key: next.key, minVersion: 'TLSv1.2' });
        pair = next;
      }
      report(undefined);
    } catch (error) {
      report(error as Error);
    }
  };
  const timer = setInterval(() => void reloadCertificate(), options.certificateInterval ?? 10_000);
  timer.unref();

  return {
    url: urlOf(server, files !== undefined, place.host),
    get certificate() {
      return pair?.lifetime;
    },
    reloadCertificate,
    async drain(patience) {
      clearInterval(timer);
      let cut = false;
      const deadline = setTimeout(() => {
        cut = true;
        server.closeAllConnections();
      }, patience);
      await new Promise<void>((resolve) => {
        // Ends idle connections too.
        server.close(() => resolve());
        for (const response of underWay) endWithAnswer(response);
      });
      clearTimeout(deadline);
      return !cut;
    },
  };
}

/** A client that keeps its connection would otherwise hold up the end until patience is over. */
function endWithAnswer(response: ServerResponse): void {
  const { socket } = response;
  if (!response.headersSent) response.setHeader('Connection', 'close');
  response.once('finish', () => socket?.end());
}

async function open(server: Server, host: string | undefined, port: number): Promise<void> {
  const [first, second] = host !== undefined && isLocalhost(host) ? localhostAddresses : [host];
  try {
    await listenAt(server, first, port).catch(async (error: NodeJS.ErrnoException) => {
      if (second === undefined || !isAbsentAddress(error.code)) throw error;
      await listenAt(server, second, port);
    });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const place = `${host ?? ''}:${port}`;
    if (code === 'EADDRINUSE') {
      throw new KleisError('port_in_use', `Something listens on ${place} already.`, {
        hint: 'End it, or change listen.address.',
        cause,
      });
    }
    throw new KleisError('config_invalid', `Cannot listen on ${place}: ${clean(code ?? cause)}.`, { cause });
  }
}

async function listenAt(server: Server, host: string | undefined, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function urlOf(server: Server, secure: boolean, host: string | undefined): string {
  const { port, address, family } = server.address() as AddressInfo;
  const name = host ?? address;
  return `${secure ? 'https' : 'http'}://${name.includes(':') && family === 'IPv6' ? `[${name}]` : name}:${port}`;
}

interface Pair {
  readonly cert: string;
  readonly key: string;
  readonly lifetime: { readonly from: number; readonly until: number };
}

async function readNamed(file: string): Promise<string> {
  return readTextFile(file).catch((error: unknown) => {
    throw new KleisError('config_invalid', `listen.tls: ${(error as Error).message}`, {
      hint: 'Put the certificate and its key there (in a pod: their Secret), or correct the paths.',
      cause: (error as Error).cause,
    });
  });
}

/** Throws `config_invalid` if the two do not belong together, which is what half a renewal looks like. */
async function readPair({ certFile, keyFile }: { certFile: string; keyFile: string }): Promise<Pair> {
  const [cert, key] = await Promise.all([certFile, keyFile].map(readNamed));
  try {
    blocksIn(cert!);
    const leaf = new X509Certificate(cert!);
    // OpenSSL takes an empty key for none, and serves nobody.
    if (!leaf.checkPrivateKey(createPrivateKey(key!))) throw new Error('the key is not that of the certificate');
    tls.createSecureContext({ cert, key });
    const { validFrom, validTo } = leaf;
    return { cert: cert!, key: key!, lifetime: { from: Date.parse(validFrom), until: Date.parse(validTo) } };
  } catch (cause) {
    throw new KleisError('config_invalid', `The certificate ${clean(certFile)} and its key cannot be used.`, {
      detail: clean((cause as NodeJS.ErrnoException).code ?? cause),
      cause,
    });
  }
}

const unreadable: Readonly<Record<string, [status: string, code: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'request_too_large', 'The headers are too long.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'request_slow', 'The request did not come in time.'],
};

/** What is no HTTP never reaches the application, but gets an answer of the same form. */
function answerUnreadable(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, code, message] = unreadable[error.code ?? ''] ?? [
    '400 Bad Request',
    'request_malformed',
    'This is no HTTP request.',
  ];
  const body = JSON.stringify({ error: 'invalid_request', error_description: message, code, message });
  const headers = ['content-type: application/json', 'cache-control: no-store', 'connection: close'];
  socket.end(
    `HTTP/1.1 ${status}\r\n${headers.join('\r\n')}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
