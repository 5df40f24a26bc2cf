import { formatJson } from '../../shared/json.ts';
import { BrokerRefusal } from '../../shared/broker-client.ts';
import { formatDuration } from '../../shared/duration.ts';
import { exitCodes, KleisError } from '../../shared/errors.ts';
import { readUnverified } from '../../shared/jwt.ts';
import type { Secret } from '../../shared/secret.ts';
import { widthOf } from '../../shared/table.ts';
import { clean, fold } from '../../shared/text.ts';
import { adviceFor } from '../broker/advice.ts';
import { explainGrant, type Explanation, type JudgedClaim } from '../broker/explain.ts';
import { withOwnGrants } from '../broker/own-grants.ts';
import { askBroker } from '../get-token/ask-broker.ts';
import type { ExplainFlags } from '../settings/flags.ts';
import type { Deps } from '../surroundings/deps.ts';
import { printTable } from '../surroundings/print-table.ts';

/**
 * `kleis explain`: what a broker makes of the caller's own token, claim by claim, and what would have to be another.
 * Gives 0 if the grant is theirs, 4 if not.
 */
export async function explain(flags: ExplainFlags, deps: Deps): Promise<number> {
  const { broker, caller, grant } = await askBroker(flags, deps);
  if (grant === undefined) throw new KleisError('usage', 'No grant is named.', { hint: 'Name it with --grant.' });
  const own = ownClaims(caller.token);
  let found: Explanation;
  try {
    found = await explainGrant(broker, caller.token, grant);
  } catch (error) {
    if (error instanceof BrokerRefusal && error.code === 'grant_denied' && flags.output !== 'json')
      printClaims([], own, deps);
    throw await withOwnGrants(error, { broker, token: caller.token, grant });
  }
  const code = found.allowed ? exitCodes.ok : exitCodes.denied;
  if (flags.output === 'json') {
    const advice = adviceFor(found.conditions);
    const all = {
      grant,
      caller: caller.name,
      ...found,
      claims: Object.fromEntries(own),
      ...(advice.length > 0 && { advice }),
    };
    deps.stdout.write(formatJson(all));
    return code;
  }
  printClaims(found.conditions, own, deps);
  const name = clean(grant, 100);
  if (found.allowed) {
    const life = found.expires_in === undefined ? '' : `, for ${formatDuration(found.expires_in * 1000)}`;
    deps.stdout.write(`\nallowed: ${name} on ${found.cluster ?? 'its cluster'}${life}\n`);
    return code;
  }
  deps.stdout.write(`\ndenied: ${name}${found.reason === undefined ? '' : ` (${found.reason})`}\n`);
  for (const line of adviceFor(found.conditions)) deps.stdout.write(`${fold(`  ${line}`, widthOf(deps.stdout))}\n`);
  return code;
}

/** Claims of the caller's own token, in its order: what it says is theirs to read. */
function ownClaims(token: Secret): [string, string][] {
  return Object.entries(readUnverified(token.reveal())?.claims ?? {}).map(([name, value]) => [
    clean(name, 80),
    clean(typeof value === 'string' ? value : JSON.stringify(value), 400),
  ]);
}

/** What the grant looks at first, then the rest of what the platform sends. */
function printClaims(judged: readonly JudgedClaim[], own: readonly (readonly [string, string])[], deps: Deps): void {
  const expectations = judged.some(({ expected }) => expected !== undefined);
  const named = new Set(judged.map(({ claim }) => claim));
  const rows = [
    ...judged.map(({ ok, claim, seen, expected = '-' }) => [
      ok ? 'ok' : 'FAILED',
      claim,
      seen,
      ...(expectations ? [expected] : []),
    ]),
    ...own
      .filter(([claim]) => !named.has(claim))
      .map(([claim, value]) => ['', claim, value, ...(expectations ? [''] : [])]),
  ];
  printTable(['', 'CLAIM', 'IN YOUR TOKEN', ...(expectations ? ['EXPECTED'] : [])], rows, deps);
}
