import { KleisError } from '../../shared/errors.ts';
import { Secret } from '../../shared/secret.ts';
import type { Subject } from '../issuers/issuers.ts';
import { isAdmin } from '../policy/admins.ts';
import type { Services } from '../service/services.ts';
import { countSubject } from './limits.ts';
import type { Call } from './request.ts';

type Note = (subject: Subject) => void;

/**
 * Who sent the bearer token. `note` hears of them whatever becomes of the call. Throws `bearer_missing`,
 * `bearer_invalid`, `issuer_unavailable`, `rate_limited`.
 */
export async function signedIn(call: Call, services: Services, note: Note): Promise<Subject> {
  const token = readBearer(call.header('authorization'));
  const { issuers, loaded } = services;
  const subject = await issuers.verify(token.reveal()).catch((error: unknown) => {
    if (!(error instanceof KleisError) || error.status >= 500) throw error;
    const { message, hint, detail } = error;
    throw new KleisError('bearer_invalid', message, { hint, detail: `${error.code}: ${detail ?? ''}`, cause: error });
  });
  note(subject);
  // Whether any grant is for them is not known yet, and dear to find out.
  const stranger = !isAdmin(subject, loaded.config.admins);
  countSubject(services, subject, stranger);
  return subject;
}

/** Throws what `signedIn` does, and `admin_only`. */
export async function signedInAdmin(call: Call, services: Services, note: Note): Promise<Subject> {
  const subject = await signedIn(call, services, note);
  if (!isAdmin(subject, services.loaded.config.admins)) {
    throw new KleisError('admin_only', 'This is for admins of the broker.', { detail: `issuer ${subject.issuer}` });
  }
  return subject;
}

/** RFC 6750 section 2.1. */
function readBearer(authorization: string | undefined): Secret {
  if (authorization === undefined) throw new KleisError('bearer_missing', 'This is for somebody who signs in.');
  const match = /^bearer ([\w.~+/-]+=*)$/i.exec(authorization);
  if (match?.[1] === undefined)
    throw new KleisError('bearer_missing', 'The Authorization header holds no bearer token.');
  return new Secret(match[1]);
}
