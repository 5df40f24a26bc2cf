import { KleisError } from '../../shared/errors.ts';
import type { FailedCondition } from '../../shared/protocol.ts';
import type { Decision, DenialReason } from './decide.ts';

type Denied = Extract<Decision, { allowed: false }>;

/** For who reads the audit or explains. */
export const denialWords: Readonly<Record<string, string>> = {
  policy_not_in_force: 'no configuration is in force',
  no_such_grant: 'there is no such grant',
  wrong_issuer: 'the grant is for another issuer',
  claims: 'claims of the token do not fit',
  condition: 'the condition is not met',
  wrong_cluster: 'the grant is for another cluster',
  invalid_expires_in: 'expires-in is no number of seconds',
} satisfies Record<DenialReason, string>;

/** A denial as its caller may read it. */
export class Denial extends KleisError {
  readonly reason: DenialReason;
  /** Empty for everybody whom the grant is not for. */
  readonly failed: readonly FailedCondition[];

  constructor(decision: Denied) {
    const failed = decision.idClaimsMatched ? failedOf(decision) : [];
    super(...wordsFor(decision, failed));
    this.reason = decision.reason;
    this.failed = failed;
  }
}

function wordsFor({ reason, idClaimsMatched }: Denied, failed: readonly FailedCondition[]): KleisErrorWords {
  if (reason === 'policy_not_in_force') {
    const detail = 'there is no configuration any more, or it has been unusable for longer than reload.maxStale';
    // The files are looked at every 5 s.
    return ['broker_not_ready', 'The broker has no configuration that it may go by.', { detail, retryAfter: 5 }];
  }
  // What only somebody gets to hear who passed everything else.
  if (reason === 'wrong_cluster')
    return ['target_invalid', 'The grant is for another cluster than the audience names.'];
  if (reason === 'invalid_expires_in') return ['request_malformed', 'expires_in is not a number of seconds.'];
  if (idClaimsMatched && failed.length > 0) {
    const names = failed.map(({ claim }) => claim).join(', ');
    return ['grant_denied', `The grant is for this identity, but the token does not fit it in: ${names}.`, forKnown];
  }
  // One answer, to the letter, whether there is no such grant, or it is another's: nobody finds out which grants exist.
  return ['grant_denied', 'There is no grant of that name for this token.'];
}

const forKnown = {
  hint: '`kleis explain` says what to change: run it where this failed, with the same --context, or --broker and --grant.',
};

type KleisErrorWords = ConstructorParameters<typeof KleisError>;

function failedOf({ conditions, grant }: Denied): readonly FailedCondition[] {
  return conditions
    .filter(({ ok }) => !ok)
    .map(({ claim, seen, expected }) => ({ claim, seen, ...(grant?.config.explain === true && { expected }) }));
}
