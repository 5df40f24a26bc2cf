import dns, { type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isLocalhost, localhostAddresses } from './url.ts';

const localhost: LookupAddress[] = localhostAddresses.map((address) => ({
  address,
  family: address === '::1' ? 6 : 4,
}));

/**
 * As `dns.lookup`, but nobody is asked where `localhost` is: http may go there since it does not leave the machine, and that
 * must not depend on an answer.
 */
const lookup: LookupFunction = (host, options, done) => {
  // `autoSelectFamily` asks for all of them.
  if (isLocalhost(host)) process.nextTick(done, null, localhost);
  else dns.lookup(host, options, done);
};

/** How every connection is begun. */
export const dialing = {
  lookup,
  autoSelectFamily: true,
  // Node 20 gives each address 250 ms, which is too little for a distant server.
  autoSelectFamilyAttemptTimeout: 1_000,
};
