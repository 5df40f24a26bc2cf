import { KleisError } from '../../../shared/errors.ts';
import type { Form } from '../../http/form.ts';
import type { Call } from '../../http/request.ts';
import { isOfSession, type Session } from './session.ts';

/**
 * A form counts that a page of ours sent, which the browser says (Fetch Metadata, or `Origin` where it knows no other),
 * and that was made for this session. Throws `request_foreign`.
 */
export function checkForm(call: Call, form: Form, session: Session, publicUrl: string): void {
  const site = call.header('sec-fetch-site');
  const origin = call.header('origin');
  const ours = new URL(publicUrl).origin;
  const isFromHere =
    (site ?? 'same-origin') === 'same-origin' && (origin ?? ours) === ours && (site ?? origin) !== undefined;
  if (!isFromHere) {
    throw new KleisError('request_foreign', 'The form was not sent from a page of this broker.', {
      detail: `sec-fetch-site ${site ? 'given' : 'absent'}, origin ${origin === ours ? 'ours' : 'not ours'}`,
    });
  }
  if (!isOfSession(session, form.get('csrf'))) {
    throw new KleisError('request_foreign', 'The form was made for another session: you have signed in anew since.', {
      detail: 'csrf',
    });
  }
}
