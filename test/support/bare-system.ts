import { existsSync } from 'node:fs';
import dns from 'node:dns';
import { delimiter, isAbsolute, join } from 'node:path';
import { isLocalhost, localhostAddresses } from '../../shared/net/url.ts';

/**
 * Gives this process what a bare chroot does not have. Without /etc/hosts nobody knows `localhost`: Kleis asks nobody, but
 * the servers and clients of the tests do. Without /proc Node does not know where it lies. A test that Kleis asks nobody
 * must spy on `dns.lookup`, since this one answers.
 */
export function makeUpForBareSystem(): void {
  const lookup = dns.lookup as (host: string, ...rest: unknown[]) => void;
  dns.lookup = ((host: string, ...rest: unknown[]) =>
    lookup(isLocalhost(host) ? localhostAddresses[0] : host, ...rest)) as typeof dns.lookup;
  if (isAbsolute(process.execPath)) return;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  process.execPath = folders.map((folder) => join(folder, 'node')).find((file) => existsSync(file)) ?? process.execPath;
}

/** Where nobody can make a folder, root neither. */
export const closedFolder = existsSync('/proc/self') ? '/proc' : '/dev/null';
