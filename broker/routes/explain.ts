import { type Answer, json } from '../http/answer.ts';
import { signedIn } from '../http/caller.ts';
import { parseQuestion } from '../http/form.ts';
import { countSubject } from '../http/limits.ts';
import type { Call } from '../http/request.ts';
import type { Trail } from '../http/trail.ts';
import { isAdmin } from '../policy/admins.ts';
import { isStranger } from '../policy/decide.ts';
import { explain as explainDecision } from '../policy/explain.ts';
import type { Services } from '../service/services.ts';
import { decideEvenly } from './decide-evenly.ts';

/** `POST /explain`: the decision that an exchange would come to. Mints nothing. */
export async function explain(call: Call, services: Services, trail: Trail): Promise<Answer> {
  const { loaded, issuers } = services;
  const question = parseQuestion(await call.form());
  trail.addQuestion(question);
  const bearer = call.header('authorization') !== undefined;
  const asker = bearer ? await signedIn(call, services, trail.addAsker) : undefined;
  const subject = await issuers.verify(question.subjectToken.reveal());
  trail.addSubject(subject);

  const admin = isAdmin(asker ?? subject, loaded.config.admins);
  const decision = decideEvenly(call, services, subject, question);
  if (asker === undefined) countSubject(services, subject, !admin && isStranger(decision));
  const answer = explainDecision(decision, question.grant, admin);
  if (answer.allowed) trail.conclude('allowed');
  else trail.conclude('denied', answer.reason);
  return json(answer);
}
