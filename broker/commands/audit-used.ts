import { exitCodes } from '../../shared/errors.ts';
import { formatJson } from '../../shared/json.ts';
import { fitTable, widthOf } from '../../shared/table.ts';
import { type ApiRequest, findUse, type Use } from '../audit/api-audit.ts';
import { textOf, whoOf } from '../audit/describe.ts';
import { type MintedToken, plainId, type Trace, traceOf } from '../audit/trace.ts';
import type { Deps } from '../surroundings.ts';
import { covers, readAudit, withReasons } from './audit-files.ts';
import { notFound } from './audit-who.ts';

export interface AuditUsedFlags {
  readonly apiAudit: readonly string[];
  readonly output: 'table' | 'json';
}

/** `kleis-broker audit used ID FILE… --api-audit FILE…`. Throws `usage` where no line names a token by that id. */
export async function auditUsed(
  given: string,
  files: readonly string[],
  { apiAudit, output }: AuditUsedFlags,
  deps: Deps,
): Promise<number> {
  const { stdout, stderr, stdin, signal } = deps;
  const reading = readAudit(files, {}, deps);
  const trace = await traceOf(plainId(given), reading.entries());
  reading.tellFaults();
  if (trace.tokens.length === 0) throw notFound(given, reading);
  const onFault = (message: string) => void stderr.write(`warning: ${message}\n`);
  const use = await withReasons(findUse(trace.tokens, apiAudit, { stdin, signal, onFault }));
  const notes = notesOn(trace, use);
  if (output === 'json') {
    const { requests, more, log } = use;
    const all = { id: plainId(given), tokens: trace.tokens, requests, more, summary: summaryOf(use), notes, log };
    stdout.write(formatJson(all));
    return exitCodes.ok;
  }
  const parts = [describeTokens(trace)];
  if (use.requests.length > 0) parts.push(tableOf(use.requests, widthOf(stdout)));
  parts.push(`${summaryOf(use)}\n`);
  stdout.write(parts.join('\n'));
  for (const note of notes) stderr.write(`note: ${note}\n`);
  return exitCodes.ok;
}

function describeTokens({ tokens, entries }: Trace): string {
  return tokens
    .map(({ jti, lease, grant, account, cluster, minted, expires }) => {
      const who = whoOf(entries.find(({ record }) => record['jti'] === jti)?.record ?? {});
      const name = lease === '' ? `JTI=${jti}` : `${lease} (JTI=${jti})`;
      return `${name}\n  ${grant}: ${account} at ${cluster}, for ${who}\n  minted ${minted}, ends ${expires}\n`;
    })
    .join('');
}

function tableOf(requests: readonly ApiRequest[], width: number | undefined): string {
  const byAccount = requests.some(({ by }) => by === 'account');
  const rows = requests.map(({ time, verb, target, status, from, as, by }) => [
    width !== undefined && width < 110 ? time.slice(5, 19).replace('T', ' ') : time.replace(/\.\d+Z$/, 'Z'),
    verb,
    as === undefined ? target : `${target} as ${as}`,
    status === undefined ? '-' : String(status),
    from,
    ...(byAccount ? [by] : []),
  ]);
  const head = ['TIME (UTC)', 'VERB', 'WHAT', 'STATUS', 'FROM', ...(byAccount ? ['KNOWN BY'] : [])];
  return fitTable(head, rows, width);
}

function summaryOf({ requests, more }: Use): string {
  if (requests.length === 0) return 'No request with it is in these logs.';
  const count = (of: (request: ApiRequest) => string) => {
    const counts = new Map<string, number>();
    for (const request of requests) counts.set(of(request), (counts.get(of(request)) ?? 0) + 1);
    const sorted = [...counts].toSorted(([, a], [, b]) => b - a);
    const shown = sorted.slice(0, 6).map(([name, number]) => `${name} ${number}`);
    return `${shown.join(', ')}${sorted.length > 6 ? ' and others' : ''}`;
  };
  const total = requests.length + more;
  const [first, last] = [requests[0]!.time, requests.at(-1)!.time];
  const [verbs, answers] = [count(({ verb }) => verb), count(({ status = 'none' }) => String(status))];
  const lines = [
    `${total} ${total === 1 ? 'request' : 'requests'}, ${first} to ${last}`,
    `verbs: ${verbs}; answers: ${answers}; from: ${count(({ from }) => from)}`,
  ];
  return lines.join('\n');
}

/** What these logs cannot show. */
function notesOn({ tokens, entries }: Trace, { requests, more, issued, log }: Use): string[] {
  const notes: string[] = [];
  const [first, last] = [earliest(tokens.map(({ minted }) => minted)), earliest(tokens.map(endOf), -1)];
  if (log.events === 0) return ["There is no event of an API server's audit in the files after --api-audit."];
  if (more > 0) notes.push(`${more} more requests are counted, but not listed.`);
  if (!log.namesTokens) {
    notes.push('No event names a token: the API server is older than 1.30, or somebody took the field out.');
  }
  const guessed = requests.filter(({ by }) => by === 'account');
  if (guessed.length > 0) {
    notes.push(
      guessed.every(({ user }) => isOwnAccount(user, tokens))
        ? 'Requests that are known by their account: the account was made for this lease alone.'
        : `${guessed.length} requests name the account alone: other tokens for it lived at that time, perhaps.`,
    );
  }
  if (
    log.from === undefined ||
    log.from.slice(0, 19) > first.slice(0, 19) ||
    log.to!.slice(0, 19) < last.slice(0, 19)
  ) {
    notes.push(`The logs have ${covers(log)}; the token lived from ${first} to ${last}.`);
  }
  if (!issued) {
    notes.push('They do not have the making of the token: they are of another cluster or replica, or too short.');
  }
  const ended = entries.find(({ record }) => record['event'] === 'revoke' && record['outcome'] === 'done');
  if (ended !== undefined) notes.push(`It was revoked at ${textOf(ended.record, 'time', 40)}.`);
  const levels = [...new Set(requests.map(({ level }) => level))].filter(Boolean).join(', ');
  notes.push(
    `What the audit policy of the API server leaves out is not here${levels === '' ? '' : ` (levels seen: ${levels})`}; ` +
      'each of its replicas has a log of its own.',
  );
  return notes;
}

const endOf = ({ expires }: MintedToken) => expires;

function earliest(times: readonly string[], sign = 1): string {
  return times.toSorted((a, b) => (a < b ? -sign : a > b ? sign : 0))[0]!;
}

/** An ephemeral account has the name of its lease. */
function isOwnAccount(user: string, tokens: readonly MintedToken[]): boolean {
  return tokens.some(
    ({ lease, account }) =>
      lease !== '' && user === `system:serviceaccount:${account.replace('/', ':')}` && account.includes(lease),
  );
}
