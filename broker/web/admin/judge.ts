import { KleisError } from '../../../shared/errors.ts';
import { JwtFault, parseClaims } from '../../../shared/jwt.ts';
import type { ExplainResponse } from '../../../shared/protocol.ts';
import { claimedIssuer } from '../../config/claimed-issuer.ts';
import { questionForm } from '../../contract/requests.ts';
import type { Form } from '../../http/form.ts';
import type { Trail } from '../../http/trail.ts';
import type { Subject } from '../../issuers/issuers.ts';
import { type Asker, decide } from '../../policy/decide.ts';
import { explainAll } from '../../policy/explain.ts';
import type { Services } from '../../service/services.ts';

/** What an exchange would come to. */
export interface Judgement {
  readonly explained: ExplainResponse;
  /** By its name in the configuration. */
  readonly issuer: string;
  /** False: the claims were believed. */
  readonly verified: boolean;
}

/**
 * The decision about a token, or about claims as if an issuer had vouched for them. Neither is kept or shown again.
 * Throws what the verification throws, `request_malformed`, `subject_malformed`, `subject_issuer_unknown`.
 */
export async function judge(form: Form, admin: Subject, services: Services, trail: Trail): Promise<Judgement> {
  const { loaded, clock } = services;
  const grant = form.get('grant')?.trim() ?? '';
  if (grant === '') throw new KleisError('request_malformed', 'The form names no grant.', { hint: 'Say which one.' });
  // A field that was left empty is sent as well.
  const expiresIn = questionForm.expires_in.read(form.get('expires_in')?.trim() || undefined, 'expires_in');
  trail.addQuestion({ grant, expiresIn });
  const { asker, verified } = await readAsker(form, grant, admin, services, trail);
  const cluster = form.get('cluster')?.trim();
  const question = { grant, expiresIn, ...(cluster !== undefined && cluster !== '' && { cluster }) };
  const decision = decide(loaded.policy, asker, question, clock.now());
  const explained = explainAll(decision, grant);
  trail.conclude(explained.allowed ? 'allowed' : 'denied', explained.reason);
  return { explained, issuer: asker.issuer, verified };
}

async function readAsker(
  form: Form,
  grant: string,
  admin: Subject,
  { loaded, issuers }: Services,
  trail: Trail,
): Promise<{ readonly asker: Asker; readonly verified: boolean }> {
  const text = form.get('subject')?.trim() ?? '';
  if (text === '') {
    const hint = 'Paste the token of a job or a person, or its claims as JSON.';
    throw new KleisError('request_malformed', 'The form has neither a token nor claims.', { hint });
  }
  if (!text.startsWith('{')) {
    const subject = await issuers.verify(text);
    trail.addSubject(subject);
    trail.addAsker(admin);
    return { asker: subject, verified: true };
  }
  trail.add({ detail: 'claims that were pasted, and not verified' });
  const claims = claimsIn(text);
  const named = form.get('issuer');
  const issuer =
    named !== undefined && Object.hasOwn(loaded.config.issuers, named)
      ? named
      : claimedIssuer(claims, grant, loaded.config);
  if (issuer === undefined) {
    throw new KleisError('subject_issuer_unknown', 'The claims do not say of which issuer they are (iss).', {
      hint: 'Choose the issuer beside them.',
    });
  }
  return { asker: { issuer, claims }, verified: false };
}

function claimsIn(text: string) {
  try {
    return parseClaims(text);
  } catch (error) {
    if (error instanceof JwtFault) throw new KleisError('subject_malformed', error.message);
    throw error;
  }
}
