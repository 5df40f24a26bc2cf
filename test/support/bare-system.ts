import { existsSync } from 'node:fs';
import dns from 'node:dns';
import { delimiter, isAbsolute, join } from 'node:path';

/**
 * Gives this process what a bare chroot does not have: without /etc/hosts nobody knows `localhost` (Kleis does by itself,
 * the servers and clients that tests have from Node do not), without /proc Node does not know where it lies.
 */
export function makeUpForBareSystem(): void {
  const lookup = dns.lookup as (host: string, ...rest: unknown[]) => void;
  dns.lookup = Object.assign(
    (host: string, ...rest: unknown[]) => lookup(host === 'localhost' ? '127.0.0.1' : host, ...rest),
    dns.lookup,
  );
  if (isAbsolute(process.execPath)) return;
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  process.execPath = folders.map((folder) => join(folder, 'node')).find((file) => existsSync(file)) ?? process.execPath;
}
