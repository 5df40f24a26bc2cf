import http from 'node:http';
import https from 'node:https';
import { BlockList, isIP, type Socket } from 'node:net';
import tls from 'node:tls';
import { KleisError } from '../errors.ts';
import { explainNetworkError } from './network-errors.ts';
import { clean } from '../text.ts';

const connectTimeout = 10_000;

export interface TunnelTarget extends tls.ConnectionOptions {
  readonly signal?: AbortSignal;
}

/**
 * Which proxy a URL goes through: the given one, else HTTPS_PROXY; never for loopback, nor for what NO_PROXY names.
 * Only for https: the plain http that Kleis speaks is loopback. Throws `config_invalid`.
 */
export function proxyChooser(
  proxy: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): (url: URL) => URL | undefined {
  const variable = (name: string) => env[name.toLowerCase()] || env[name] || undefined;
  const direct = parseNoProxy(variable('NO_PROXY') ?? '');
  return (url) => {
    const written = proxy ?? variable('HTTPS_PROXY');
    if (written === undefined || url.protocol !== 'https:' || isLoopback(url.hostname) || direct(url)) return undefined;
    const spelled = written.includes('://') ? written : `http://${written}`;
    const parsed = URL.canParse(spelled) ? new URL(spelled) : undefined;
    if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed;
    throw new KleisError('config_invalid', 'The proxy is not an http:// or https:// URL.', {
      hint: 'Check `proxy` in the configuration and HTTPS_PROXY.',
    });
  };
}

/** `localhost`, 127.0.0.0/8 and ::1, as `URL.hostname` spells them. */
export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** CONNECT (RFC 9110 section 9.3.6), then TLS with the real server inside. */
export async function openTunnel(
  proxy: URL,
  target: TunnelTarget,
  secureContext: tls.SecureContext | undefined,
): Promise<tls.TLSSocket> {
  const host = String(target.host);
  const authority = `${isIP(host) === 6 ? `[${host}]` : host}:${String(target.port ?? 443)}`;
  const headers: Record<string, string> = { host: authority };
  if (proxy.username !== '') {
    const user = `${unescape(proxy.username)}:${unescape(proxy.password)}`;
    headers['proxy-authorization'] = `Basic ${Buffer.from(user).toString('base64')}`;
  }
  const bare = new URL(proxy.origin);
  const socket = await new Promise<Socket>((resolve, reject) => {
    const request = (bare.protocol === 'https:' ? https : http).request(bare, {
      method: 'CONNECT',
      path: authority,
      headers,
      agent: false,
      timeout: connectTimeout,
      ...(target.signal ? { signal: target.signal } : {}),
      ...(secureContext ? { secureContext } : {}),
    });
    const fail = (why: string, cause?: unknown) =>
      reject(
        new KleisError('provider_unavailable', `The proxy ${clean(proxy.host)} ${why}.`, {
          hint: 'Check the proxy settings (HTTPS_PROXY, NO_PROXY) and try again; nothing was lost.',
          cause,
        }),
      );
    request.once('connect', (response, tunnel) => {
      if (response.statusCode === 200) return resolve(tunnel);
      tunnel.destroy();
      const why = response.statusCode === 407 ? 'wants another user name or password' : 'does not let us through';
      return fail(`${why} (HTTP ${response.statusCode ?? 0}) to ${clean(authority)}`);
    });
    request.once('response', (response) => {
      response.destroy();
      fail(`does not let us through (HTTP ${response.statusCode ?? 0}) to ${clean(authority)}`);
    });
    request.once('timeout', () => request.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })));
    request.once('error', (error) => fail(`cannot be used: ${explainNetworkError(error, bare).detail ?? ''}`, error));
    request.end();
  });
  return new Promise((resolve, reject) => {
    const inner = tls.connect({ ...target, socket, ...(secureContext ? { secureContext } : {}) });
    inner.once('secureConnect', () => resolve(inner));
    inner.once('error', reject);
  });
}

/** A lone `%` in a password is not an escape. */
function unescape(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Hosts, domains with their subdomains, addresses and networks, `*`; an entry may end in `:port`. */
function parseNoProxy(text: string): (url: URL) => boolean {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '');
  const networks = new BlockList();
  for (const entry of entries) {
    const [address = '', bits] = entry.split('/');
    const family = isIP(address);
    if (family === 0 || bits === undefined || !/^\d{1,3}$/.test(bits)) continue;
    if (Number(bits) <= (family === 4 ? 32 : 128))
      networks.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
  }
  return (url) => {
    const host = url.hostname.toLowerCase().replace(/^\[|\]$/g, '');
    const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
    const family = isIP(host);
    if (family !== 0 && networks.check(host, family === 4 ? 'ipv4' : 'ipv6')) return true;
    return entries.some((entry) => {
      if (entry === '*') return true;
      const [, name = '', onlyPort] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
      if (isIP(entry) === 6 ? entry.toLowerCase() === host : false) return true;
      if (onlyPort !== undefined && onlyPort !== port) return false;
      const suffix = name.replace(/^\*?\./, '').replace(/^\[|\]$/g, '');
      return suffix !== '' && (host === suffix || (family === 0 && host.endsWith(`.${suffix}`)));
    });
  };
}
