import { formatTime } from '../../shared/duration.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { text as readStream } from 'node:stream/consumers';
import { KleisError } from '../../shared/errors.ts';
import { tokenHash } from '../../shared/jwt.ts';
import type { RevokeResponse } from '../../shared/protocol.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { BrokerClient } from '../broker/client.ts';
import { loadConfig } from '../settings/person.ts';
import { contextSettings } from '../settings/of-context.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { RevokeFlags } from '../settings/flags.ts';
import { brokerOf } from '../get-token/exchange.ts';
import { originOf } from '../get-token/sources.ts';
import { openCredentials } from '../stores.ts';
import { authorityOf, readFlags } from '../settings/gather.ts';
import { settingsFor } from './token.ts';

const maxToken = 16_384;

/**
 * `kleis revoke`: takes back what this job got with the same flags, or the one token that a file holds, and says by when
 * no API server takes it any more.
 */
export async function revoke(flags: RevokeFlags, deps: Deps): Promise<void> {
  const { tokenFile, ...rest } = flags;
  if (tokenFile === undefined) return revokeKept(rest, deps);
  const token = await readToken(tokenFile, deps);
  const answer = await (await namedBroker(rest, deps)).revoke(token);
  if (!answer.revoked && answer.reason !== 'expired') {
    throw new KleisError('lease_unknown', 'The broker does not know this token, so it was not revoked.', {
      hint: 'Give the token exactly as the broker gave it, and the broker that gave it.',
    });
  }
  deps.stdout.write(`${say(answer, deps)}\n`);
}

async function revokeKept(flags: Omit<RevokeFlags, 'tokenFile'>, surroundings: Deps): Promise<void> {
  const { settings, deps } = await settingsFor(flags, surroundings);
  const origin = await originOf(settings);
  if (settings.broker === undefined || origin === undefined) {
    throw new KleisError('usage', 'Only a broker takes tokens back, and none is named.', {
      hint: 'Give the flags that the token was got with, --broker among them, or --token-file.',
    });
  }
  const credentials = openCredentials(deps);
  const kept = credentials.ofOrigin(origin);
  if (kept.length === 0) deps.report.info('There is nothing to revoke: no token of these flags is kept for this job.');
  const broker = await brokerOf(settings.broker, settings.proxy, deps);
  const done = new Map<string, boolean>();
  for (const { name, text } of kept) {
    const token = tokenOf(text);
    const hash = token === undefined ? '' : tokenHash(token.reveal());
    if (token !== undefined && !done.has(hash)) done.set(hash, await revokeOne(token, broker, deps));
    // Only now: a token that could not be revoked because the broker is away can be revoked by running this again.
    credentials.remove(name);
  }
}

/** Says what became of it. What cannot be revoked is no failure of the job that ends here. */
async function revokeOne(token: Secret, broker: BrokerClient, deps: Deps): Promise<boolean> {
  try {
    const answer = await broker.revoke(token);
    deps.stdout.write(`${say(answer, deps)}\n`);
    return answer.revoked;
  } catch (error) {
    if (!(error instanceof KleisError) || error.code !== 'token_type_unsupported') throw error;
    deps.report.warn(`${error.message} It has been removed from this machine.`);
    return false;
  }
}

function say({ revoked, reason, lease, dead_within: deadWithin }: RevokeResponse, deps: Deps): string {
  if (!revoked) return reason === 'expired' ? 'expired: it had ended already' : 'unknown: the broker does not know it';
  const which = lease === undefined ? 'revoked' : `revoked ${lease}`;
  if (deadWithin === undefined) return which;
  if (deadWithin === 0) return `${which}: dead now`;
  const at = formatTime(deps.clock.now() + deadWithin * 1000);
  return `${which}: dead within ${deadWithin} s (by ${at})`;
}

/** For a token from elsewhere it takes no more than the broker itself. */
async function namedBroker(flags: Omit<RevokeFlags, 'tokenFile'>, surroundings: Deps): Promise<BrokerClient> {
  const entry = flags.broker === undefined ? await contextSettings(flags, surroundings) : undefined;
  const deps = entry?.deps ?? surroundings;
  const given = readFlags({ ...entry?.flags, ...flags });
  const { broker: url } = given;
  const certificateAuthority = authorityOf(given, 'brokerCertificateAuthority');
  if (url === undefined) throw new KleisError('usage', 'No broker is named.', { hint: 'Give --broker.' });
  return brokerOf({ url, certificateAuthority }, (await loadConfig(deps)).choices.proxy, deps);
}

async function readToken(path: string, deps: Deps): Promise<Secret> {
  const where = path === '-' ? 'standard input' : clean(path, 400);
  const text = (path === '-' ? await readStream(deps.stdin) : await readTextFile(path, { code: 'usage' })).trim();
  if (text.length > maxToken || !/^[\x21-\x7e]+$/.test(text)) {
    throw new KleisError('usage', `There is no token in ${where}.`, {
      hint: 'It is to hold the token and nothing else.',
    });
  }
  return new Secret(text);
}

/** Of an ExecCredential, or of what `kleis token` keeps. */
function tokenOf(text: string): Secret | undefined {
  try {
    const value = JSON.parse(text) as { token?: unknown; status?: { token?: unknown } };
    const token = value.status?.token ?? value.token;
    return typeof token === 'string' ? new Secret(token) : undefined;
  } catch {
    return undefined;
  }
}
