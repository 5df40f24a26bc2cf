import { hash } from 'node:crypto';
import { KleisError } from '../../shared/errors.ts';
import { idempotencyHeader } from '../../shared/protocol.ts';
import type { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { malformed } from '../contract/faults.ts';
import { type Parameters, type Read, readParameters } from '../contract/parameter.ts';
import { questionForm, revokeForm, tokenForm, tokenHeaders } from '../contract/requests.ts';

/** What `POST /token` and `POST /explain` ask for, of the right shape; nothing of it is proved. */
interface Question {
  readonly subjectToken: Secret;
  readonly grant: string;
  readonly cluster: string | undefined;
  /** Seconds. */
  readonly expiresIn: number | undefined;
}

export interface ExchangeForm extends Question {
  readonly issuedTokenType: string;
}

export type Form = ReadonlyMap<string, string>;

const maxParameters = 32;
const maxName = 256;

/**
 * Reads `application/x-www-form-urlencoded` as RFC 6749 section 3.2 wants it: a parameter without a value counts as left
 * out, unknown ones are ignored, and none may come twice. Throws `request_malformed`, `request_unsupported`.
 */
export function parseForm(body: Buffer): Form {
  const text = body.toString('latin1');
  // Two readers could else see two requests in one.
  if (/[^\x21-\x7e]/.test(text)) throw malformed('The form has characters in it that must be encoded.');
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw malformed('The form has a % in it that encodes nothing.');
  const form = new Map<string, string>();
  let parameters = 0;
  for (const part of text.split('&')) {
    if (part === '') continue;
    parameters += 1;
    if (parameters > maxParameters) throw malformed(`The form has more than ${maxParameters} parameters.`);
    const equals = part.indexOf('=');
    const name = decode(equals === -1 ? part : part.slice(0, equals));
    const value = equals === -1 ? '' : decode(part.slice(equals + 1));
    if (name.length > maxName) throw malformed('The form has a parameter with a name that is too long.');
    if (value === '') continue;
    if (form.has(name)) {
      // RFC 8693 section 2.1 allows several of these two; a token here is for one place.
      if (name === 'audience') throw new KleisError('target_invalid', 'There is more than one audience.');
      if (name !== 'resource') throw malformed(`The form has the parameter ${clean(name, 40)} more than once.`);
    }
    form.set(name, value);
  }
  return form;
}

/** As URLSearchParams does it, but for bytes that are no UTF-8: it would take them for U+FFFD. */
function decode(part: string): string {
  if (!/[%+]/.test(part)) return part;
  try {
    return decodeURIComponent(part.replaceAll('+', ' '));
  } catch {
    throw malformed('The form is not UTF-8.');
  }
}

/** Throws also `grant_type_unsupported`, `scope_invalid`, `target_invalid`. */
export function parseTokenForm(form: Form): ExchangeForm {
  const read = readParameters(tokenForm, (name) => form.get(name));
  return { ...questionOf(read), issuedTokenType: read.requested_token_type };
}

/** The part that `POST /explain` has, too. */
export function parseQuestion(form: Form): Question {
  return questionOf(readParameters(questionForm, (name) => form.get(name)));
}

function questionOf({ subject_token, scope, audience, expires_in }: Read<typeof questionForm>): Question {
  return { subjectToken: subject_token, grant: scope, cluster: audience, expiresIn: expires_in };
}

/** The one that is to end. */
export function parseRevocation(form: Form): Secret {
  return readParameters(revokeForm, (name) => form.get(name)).token;
}

/** SHA-256 (hex) of the key; undefined if there is none. Throws `request_malformed`. */
export function hashIdempotencyKey(header: (name: string) => string | undefined): string | undefined {
  const { [idempotencyHeader]: key } = readParameters(tokenHeaders, header);
  return key === undefined ? undefined : hash('sha256', key);
}

/**
 * What stands in an address, in its path or behind its `?`. As in a form: what has no value counts as left out, and none
 * may come twice. Throws `request_malformed`.
 */
export function parseParameters<P extends Parameters>(
  parameters: P,
  given: Readonly<Record<string, unknown>>,
): Read<P> {
  return readParameters(parameters, (name) => {
    const value = Object.hasOwn(given, name) ? given[name] : undefined;
    if (value === undefined || value === '') return undefined;
    if (typeof value === 'string') return value;
    throw malformed(`The parameter ${name} is there more than once.`);
  });
}
