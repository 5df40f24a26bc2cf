import { BrokerRefusal } from '../../shared/broker-client.ts';
import { isObject } from '../../shared/json.ts';
import { type FailedCondition, routes, subjectTokenTypes } from '../../shared/protocol.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { type BrokerAddress, connectTo } from './connection.ts';

/** A claim that the grant looks at. */
export interface JudgedClaim extends FailedCondition {
  readonly ok: boolean;
}

export interface Explanation {
  readonly allowed: boolean;
  readonly cluster?: string;
  /** Seconds. */
  readonly expires_in?: number;
  /** Why not; for admins. */
  readonly reason?: string;
  /** Of a denial that was told nothing of: none. Of one for whom the grant is: those that failed. Else all. */
  readonly conditions: readonly JudgedClaim[];
}

const maxBody = 1024 * 1024;
const maxConditions = 1000;

/**
 * What an exchange of this token for the grant would come to; nothing is minted. Throws what the broker says of a token
 * that the grant is not for, `broker_invalid`.
 */
export async function explainGrant(address: BrokerAddress, token: Secret, grant: string): Promise<Explanation> {
  const broker = connectTo(address, maxBody);
  const form = new URLSearchParams({
    subject_token: token.reveal(),
    subject_token_type: subjectTokenTypes.jwt,
    scope: grant,
  });
  let body: Readonly<Record<string, unknown>>;
  try {
    ({ body } = await broker.request({ method: 'POST', path: routes.explain, form }));
  } catch (error) {
    if (!(error instanceof BrokerRefusal) || error.code !== 'grant_denied' || error.failed.length === 0) throw error;
    return { allowed: false, conditions: error.failed.map((each) => ({ ...each, ok: false })) };
  }
  const { allowed, cluster, expires_in: seconds, reason, conditions = [] } = body;
  const isList = Array.isArray(conditions) && conditions.length <= maxConditions && conditions.every(isObject);
  if (typeof allowed !== 'boolean' || !isList) throw broker.notABroker('it does not say whether that is allowed');
  return {
    allowed,
    ...(typeof cluster === 'string' && { cluster: clean(cluster, 253) }),
    ...(typeof seconds === 'number' && seconds > 0 && seconds < 2 ** 32 && { expires_in: seconds }),
    ...(typeof reason === 'string' && { reason: clean(reason, 80) }),
    conditions: (conditions as Readonly<Record<string, unknown>>[]).map((item) => readClaim(item)),
  };
}

function readClaim({ claim, seen, expected, ok }: Readonly<Record<string, unknown>>): JudgedClaim {
  return {
    claim: clean(claim ?? '', 200),
    seen: clean(seen ?? '', 400),
    ...(expected !== undefined && { expected: clean(expected, 400) }),
    ok: ok === true,
  };
}
