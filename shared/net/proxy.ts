import { BlockList, isIP } from 'node:net';
import { KleisError } from '../errors.ts';
import { isLoopback, withoutBrackets } from './url.ts';

type Env = Readonly<Record<string, string | undefined>>;

const protocols = ['http:', 'https:', 'socks5:', 'socks5h:'];

export function isSocks(proxy: URL): boolean {
  return proxy.protocol.startsWith('socks');
}

/** The address of a proxy as kubectl and the variables spell it; without a scheme it is `http://`. */
export function parseProxy(text: string): URL | undefined {
  const spelled = text.includes('://') ? text : `http://${text}`;
  const url = URL.canParse(spelled) ? new URL(spelled) : undefined;
  return url !== undefined && protocols.includes(url.protocol) && url.hostname !== '' ? url : undefined;
}

/** The address of a proxy as people may see it. */
export function withoutPassword(address: string): string {
  const proxy = parseProxy(address);
  if (proxy === undefined) return '(no proxy that can be used)';
  const { protocol, username, password, host } = proxy;
  // A user without a password is often a token.
  const user = username === '' ? '' : password === '' ? '…@' : `${username}:…@`;
  return `${protocol}//${user}${host}`;
}

/** The proxy that a setting names. Throws `config_invalid`, which does not quote it: it may hold a password. */
export function proxyOf(text: string): URL {
  const proxy = parseProxy(text);
  if (proxy !== undefined) return proxy;
  throw new KleisError('config_invalid', 'The proxy is not an http://, https://, socks5:// or socks5h:// URL.', {
    hint: 'Check `proxy` in the configuration, `proxy-url` in the kubeconfig, HTTPS_PROXY and ALL_PROXY.',
  });
}

/**
 * Which proxy a URL goes through: the given one, else HTTPS_PROXY, else ALL_PROXY; never for loopback, nor for what
 * NO_PROXY names. Only for https: the plain http that Kleis speaks is loopback. Throws `config_invalid`.
 */
export function proxyChooser(proxy: string | undefined, env: Env): (url: URL) => URL | undefined {
  const variable = (name: string) => env[name.toLowerCase()] || env[name] || undefined;
  const direct = parseNoProxy(variable('NO_PROXY') ?? '');
  return (url) => {
    const written = proxy ?? variable('HTTPS_PROXY') ?? variable('ALL_PROXY');
    if (written === undefined || url.protocol !== 'https:' || isLoopback(url.hostname) || direct(url)) return undefined;
    return proxyOf(written);
  };
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
    const host = withoutBrackets(url.hostname.toLowerCase());
    const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
    const family = isIP(host);
    if (family !== 0 && networks.check(host, family === 4 ? 'ipv4' : 'ipv6')) return true;
    return entries.some((entry) => {
      if (entry === '*') return true;
      const [, name = '', onlyPort] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
      if (isIP(entry) === 6 ? entry.toLowerCase() === host : false) return true;
      if (onlyPort !== undefined && onlyPort !== port) return false;
      const suffix = withoutBrackets(name.replace(/^\*?\./, ''));
      return suffix !== '' && (host === suffix || (family === 0 && host.endsWith(`.${suffix}`)));
    });
  };
}
