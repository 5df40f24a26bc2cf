import type { GrantsResponse, GrantView } from '../../shared/protocol.ts';
import { clean } from '../../shared/text.ts';
import type { LoadedConfig, Warning } from '../config/load.ts';
import { type Answer, json } from '../http/answer.ts';
import { signedInAdmin } from '../http/caller.ts';
import type { Call } from '../http/request.ts';
import type { Trail } from '../http/trail.ts';
import { type CompiledGrant, CompiledPolicy } from '../policy/compile.ts';
import type { Services } from '../service/services.ts';
import { describeGrant } from './well-known.ts';

/** Of one grant; a condition has a warning for each of its patterns. */
const mostWarnings = 20;

/** `GET /grants`: all of them, whoever they are for, with what is unwise about each; for admins. */
export async function listGrants(call: Call, services: Services, trail: Trail): Promise<Answer> {
  await signedInAdmin(call, services, trail.addSubject);
  trail.add({ detail: 'all grants' });
  const { policy } = services.loaded;
  const about = warningsByGrant(services.loaded);
  const response: GrantsResponse = {
    grants: Array.from(CompiledPolicy.grants(policy), (grant) => viewOfGrant(grant, about.get(grant.name))),
  };
  return json(response);
}

export function warningsByGrant({ warnings }: Pick<LoadedConfig, 'warnings'>): ReadonlyMap<string, readonly Warning[]> {
  const about = new Map<string, Warning[]>();
  for (const warning of warnings) {
    const { grant } = warning;
    if (grant === undefined) continue;
    const known = about.get(grant);
    if (known === undefined) about.set(grant, [warning]);
    else known.push(warning);
  }
  return about;
}

export function viewOfGrant(grant: CompiledGrant, warnings: readonly Warning[] = []): GrantView {
  const { account } = grant.config;
  return {
    ...describeGrant(grant),
    issuer: grant.issuer,
    account: account.kind === 'ephemeral' ? account.namespace : `${account.namespace}/${account.name}`,
    ...(warnings.length > 0 && {
      warnings: warnings.slice(0, mostWarnings).map(({ code, message }) => ({ code, message: clean(message, 400) })),
    }),
  };
}
