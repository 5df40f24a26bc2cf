import { BlockList, isIPv4, isIPv6 } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('::1', 'ipv6');

/** An address of IPv6 as sockets and `isIP` take it; anything else as it is. */
export function withoutBrackets(host: string): string {
  return host.replace(/^\[|\]$/g, '');
}

/**
 * Names and addresses that no packet leaves the machine for: `localhost`, 127.0.0.0/8, ::1, and IPv4 ones spelled as
 * IPv6, with or without brackets. Another name could be made to point anywhere.
 */
export function isLoopback(host: string | undefined): boolean {
  const bare = withoutBrackets(host ?? '');
  if (isIPv4(bare)) return loopback.check(bare, 'ipv4');
  // Node takes ten milliseconds to make its expression for IPv6.
  return bare.includes(':') ? isIPv6(bare) && loopback.check(bare, 'ipv6') : isLocalhost(bare);
}

/** The one name that is this machine, whatever a file or a server says of it (RFC 6761, section 6.3). */
export function isLocalhost(host: string): boolean {
  return host.toLowerCase() === 'localhost';
}

/** Where that is. */
export const localhostAddresses = ['127.0.0.1', '::1'] as const;

/** Nobody else reads what is sent there: https, or http that stays on this machine. */
export function isHttpsOrLoopback({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

export type UrlFault = 'syntax' | 'scheme' | 'userinfo' | 'query';

/** The ends of sentences that begin with the name of the address. */
export const urlFaults: Readonly<Record<UrlFault, string>> = {
  syntax: 'is not a URL',
  scheme: 'is neither https nor http on loopback',
  userinfo: 'holds a user name or password',
  query: 'has a query or fragment',
};

const maxLength = 2048;

/** All that is wrong with the address of a server that is to get tokens. */
export function serverUrlFaults(text: string): readonly UrlFault[] {
  // `URL` drops blanks and line ends, takes a backslash for a slash, and needs no slash after `https:`.
  const plain = text.length <= maxLength && /^[a-z][a-z0-9+.-]*:\/\/[^\s\\\p{Cc}\p{Cf}]+$/iu.test(text);
  const url = plain ? URL.parse(text) : null;
  if (url === null) return ['syntax'];
  const found: readonly (UrlFault | false)[] = [
    !isHttpsOrLoopback(url) && 'scheme',
    (url.username !== '' || url.password !== '') && 'userinfo',
    /[?#]/.test(text) && 'query',
  ];
  return found.filter((fault) => fault !== false);
}

/** As paths are put behind it. */
export function withoutLastSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

/** Begins what stands for a file where certificates are named by path: RFC 2397, with the PEM text as base64. */
export const pemDataUrl = 'data:application/x-pem-file;base64,';
