import dns from 'node:dns';

/**
 * For the servers and clients that tests have from Node: Kleis knows `localhost` by itself, but a system without /etc/hosts
 * (a bare chroot) does not.
 */
export function knowLocalhost(): void {
  const lookup = dns.lookup as (host: string, ...rest: unknown[]) => void;
  dns.lookup = Object.assign(
    (host: string, ...rest: unknown[]) => lookup(host === 'localhost' ? '127.0.0.1' : host, ...rest),
    dns.lookup,
  );
}
