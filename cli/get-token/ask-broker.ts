import type { Admin } from '../../shared/broker-leases.ts';
import { KleisError } from '../../shared/errors.ts';
import { type BrokerAddress, connectTo } from '../broker/connection.ts';
import { readDirectory } from '../broker/directory.ts';
import { allowClientFiles } from '../session/client-files.ts';
import type { BrokerFlags, SignInFlags } from '../settings/flags.ts';
import { authorityOf, gather, readFlags } from '../settings/gather.ts';
import { contextSettings } from '../settings/of-context.ts';
import { loadConfig } from '../settings/person.ts';
import { isSignInIdentity } from '../settings/identity-name.ts';
import { resolveSettings } from '../settings/sign-in.ts';
import type { Deps } from '../surroundings/deps.ts';
import { type AskedBroker, callerFlags, ofCaller, openCaller } from './caller.ts';
import { addressOf } from './exchange.ts';
import type { Present } from './present.ts';

/** A broker, and whoever asks it. */
export interface BrokerCaller {
  readonly broker: BrokerAddress;
  readonly caller: Present;
  /** What was named: typed, or by the context. */
  readonly grant: string | undefined;
}

/**
 * The broker of `--broker`, whose document says how to sign in there, or that of a context, whose entry does. Throws
 * `usage` where neither names one, and what a sign-in throws.
 */
export async function askBroker(flags: BrokerFlags, surroundings: Deps): Promise<BrokerCaller> {
  const { context, kubeconfig, yes = false, ...typed } = flags;
  return typed.broker === undefined || context !== undefined
    ? askThatOfContext({ context, kubeconfig, typed, yes }, surroundings)
    : askNamed(typed, yes, surroundings);
}

/** As large as a page of leases may be, and more. */
const maxBody = 4 * 1024 * 1024;

/** The same for what only admins may ask; the broker says whether the caller is one. */
export async function openAdmin(flags: BrokerFlags, deps: Deps): Promise<Admin & { readonly address: BrokerAddress }> {
  const { broker: address, caller } = await askBroker(flags, deps);
  return { broker: connectTo(address, maxBody), bearer: caller.token, address };
}

async function askNamed(typed: SignInFlags, yes: boolean, deps: Deps): Promise<BrokerCaller> {
  const { choices: person } = await loadConfig(deps);
  const given = readFlags(typed);
  const asked = { url: given.broker!, certificateAuthority: authorityOf(given, 'brokerCertificateAuthority') };
  const broker = await addressOf(asked, person.proxy, deps);
  const directory = await readDirectory(broker);
  if (directory.broker === undefined) {
    throw new KleisError('broker_invalid', 'The document at that address is of no broker: it names clusters alone.');
  }
  const caller = await openCaller(callerFlags(directory, typed, deps.env), asked, { yes, person }, deps);
  return { broker, caller, grant: given.grant };
}

interface OfContext {
  readonly context: string | undefined;
  readonly kubeconfig: string | undefined;
  readonly typed: SignInFlags;
  readonly yes: boolean;
}

async function askThatOfContext({ context, kubeconfig, typed, yes }: OfContext, surroundings: Deps) {
  const { flags, extension, deps } = await contextSettings(
    { ...(context !== undefined && { context }), ...(kubeconfig !== undefined && { kubeconfig }) },
    surroundings,
  );
  const { choices: person } = await loadConfig(deps);
  const all = { ...flags, ...typed };
  const given = gather(all, extension, person);
  const { broker: url, confirmNewClusters = false } = given;
  if (url === undefined) {
    throw new KleisError('usage', 'That context reaches its cluster without a broker, so there is none to ask.', {
      hint: 'Name a context with a broker with --context, or the broker with --broker.',
    });
  }
  const asked: AskedBroker = { url, certificateAuthority: authorityOf(given, 'brokerCertificateAuthority') };
  const own = ofCaller(all);
  if (isSignInIdentity(own.identity)) {
    const settings = resolveSettings(own, extension, person);
    await allowClientFiles(settings, { byPerson: false, mayAsk: deps.stdin.isTTY }, deps);
  }
  // kubectl signs in there by itself, and asks only those who want to be asked.
  const caller = await openCaller(own, asked, { yes: yes || !confirmNewClusters, person, extension }, deps);
  return { broker: await addressOf(asked, given.proxy, deps), caller, grant: typed.grant ?? given.grant };
}
