import type { Call } from '../http/request.ts';
import type { Subject } from '../issuers/issuers.ts';
import { decide, type Decision, isStranger, type Question } from '../policy/decide.ts';
import type { Services } from '../service/services.ts';

/**
 * Decides, and lets no stranger find out by the time whether there is a grant of that name, or what it asks: a condition
 * takes milliseconds where a name that is not there takes none. The moment from which on the answer is evened out is after
 * the token was verified, and so not in the caller's hand.
 */
export function decideEvenly(call: Call, { loaded, clock }: Services, subject: Subject, question: Question): Decision {
  const startedAt = performance.now();
  const decision = decide(loaded.policy, subject, question, clock.now());
  if (isStranger(decision)) call.evenOut(startedAt);
  return decision;
}
