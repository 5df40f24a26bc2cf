import { formatJson } from '../../shared/json.ts';
import { exitCodes, KleisError } from '../../shared/errors.ts';
import { createFetch } from '../../shared/net/http.ts';
import { decodeUnverified, JwtFault } from '../../shared/jwt.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import { claimedIssuer } from '../config/claimed-issuer.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import type { Deps } from '../surroundings.ts';
import { explainAll } from '../policy/explain.ts';
import { type Asker, decide } from '../policy/decide.ts';
import { denialWords } from '../policy/denial.ts';
import { openClusters } from '../cluster/clusters.ts';
import { createIssuers } from '../issuers/issuers.ts';
import { formatTable } from '../../shared/table.ts';

export interface ExplainFlags {
  readonly config: string;
  readonly grant: string;
  readonly tokenFile: string;
  readonly cluster?: string;
  readonly expiresIn?: string;
  /** False: the token is believed. It says so in the output. */
  readonly verify: boolean;
  readonly output: 'table' | 'json';
}

/** `kleis-broker explain`: what the broker would decide, without a broker. Gives 0 if allowed, 4 if denied. */
export async function explainOffline(flags: ExplainFlags, deps: Deps): Promise<number> {
  const loaded = await loadConfig(flags.config);
  const token = (await readTextFile(flags.tokenFile, { code: 'usage' })).trim();
  const subject = flags.verify ? await verify(token, loaded, deps) : believe(token, flags.grant, loaded);
  const { issuer } = subject;
  const expiresIn = flags.expiresIn === undefined ? undefined : Number(flags.expiresIn);
  const decision = decide(loaded.policy, subject, { ...flags, expiresIn }, deps.clock.now());
  const explained = { ...explainAll(decision, flags.grant), issuer, verified: flags.verify, policy: loaded.hash };
  if (flags.output === 'json') deps.stdout.write(formatJson(explained));
  else deps.stdout.write(describe(explained));
  return decision.allowed ? exitCodes.ok : exitCodes.denied;
}

function describe({
  allowed,
  grant,
  reason,
  cluster,
  expires_in: seconds,
  conditions = [],
  issuer,
  verified,
}: ReturnType<typeof explainAll> & { readonly issuer: string; readonly verified: boolean }): string {
  const rows = conditions.map(({ claim, expected = '', seen, ok }) => [ok ? 'ok' : 'FAILED', claim, expected, seen]);
  const table = rows.length === 0 ? '' : `${formatTable(['', 'CLAIM', 'EXPECTED', 'SEEN'], rows)}\n`;
  const verdict = allowed
    ? `allowed: ${clean(grant)} on ${cluster} for ${seconds} s`
    : `denied: ${clean(grant)}: ${denialWords[reason ?? ''] ?? reason}`;
  const caution = verified
    ? ''
    : 'The token was NOT verified (--no-verify): the broker may refuse it for other reasons.\n';
  return `${table}issuer ${issuer}\n${verdict}\n${caution}`;
}

async function verify(token: string, { config }: LoadedConfig, { clock, env }: Deps): Promise<Asker> {
  const clusters = openClusters(config.clusters, { clock, env });
  try {
    const issuers = createIssuers(Object.values(config.issuers), {
      clock,
      fetchFor: (options) => createFetch({ ...options, env, now: () => clock.now() }),
      connectionTo: (name) => clusters.get(name)?.kube,
    });
    return await issuers.verify(token);
  } finally {
    clusters.close();
  }
}

function believe(token: string, grant: string, { config }: LoadedConfig): Asker {
  try {
    const { claims } = decodeUnverified(token);
    const issuer = claimedIssuer(claims, grant, config);
    if (issuer !== undefined) return { issuer, claims };
  } catch (error) {
    if (error instanceof JwtFault) throw new KleisError('subject_malformed', error.message);
    throw error;
  }
  throw new KleisError('subject_issuer_unknown', 'The issuer of the token is not in the configuration.');
}
