import { type BrokerConnection, openBrokerConnection } from '../../shared/broker-client.ts';
import type { Deps } from '../surroundings/deps.ts';

/** A broker, and how it is reached. */
export interface BrokerAddress {
  /** https, or http on loopback. */
  readonly url: string;
  /** PEM text; then nothing else is trusted. */
  readonly certificateAuthority: string | undefined;
  readonly proxy: string | undefined;
  readonly deps: Pick<Deps, 'env' | 'clock' | 'signal' | 'report'>;
}

/** @param maxBody bytes of an answer */
export function connectTo(
  { url, certificateAuthority, proxy, deps }: BrokerAddress,
  maxBody: number,
): BrokerConnection {
  const { env, clock, signal, report } = deps;
  return openBrokerConnection({
    url,
    certificateAuthority,
    authorityFlag: '--broker-certificate-authority',
    proxy,
    env,
    clock,
    signal,
    maxBody,
    debug: (text) => report.debug(text),
    waiting: (host) => report.waiting(host),
  });
}
