import { hash } from 'node:crypto';
import { KleisError } from '../../shared/errors.ts';
import { idempotencyPattern, issuedTokenTypes, subjectTokenTypes, tokenExchangeGrant } from '../../shared/protocol.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';

/** What `POST /token` and `POST /explain` ask for, of the right shape; nothing of it is proved. */
export interface ExchangeForm {
  readonly subjectToken: Secret;
  readonly grant: string;
  readonly cluster: string | undefined;
  /** Seconds. */
  readonly expiresIn: number | undefined;
  readonly issuedTokenType: string;
}

export type Form = ReadonlyMap<string, string>;

const maxParameters = 32;
const maxName = 256;
const subjectTypes: readonly string[] = Object.values(subjectTokenTypes);
// Parameters of RFC 8693 that would change what is asked for: to ignore them would be to answer another question.
const unsupported = ['actor_token', 'actor_token_type'];
/** RFC 6749 section 3.3. */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;

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
  const grantType = form.get('grant_type');
  if (grantType === undefined) throw incomplete('grant_type');
  if (grantType !== tokenExchangeGrant) {
    throw new KleisError('grant_type_unsupported', `The only grant_type here is ${tokenExchangeGrant}.`);
  }
  const requested = form.get('requested_token_type');
  const issuedTokenType = requested ?? issuedTokenTypes[0]!;
  if (!issuedTokenTypes.includes(issuedTokenType)) {
    throw new KleisError('request_unsupported', 'A token of the requested_token_type is not issued here.', {
      hint: `Leave requested_token_type out, or ask for ${issuedTokenTypes[0]}.`,
    });
  }
  return { ...parseQuestion(form), issuedTokenType };
}

/** The part that `POST /explain` has, too. */
export function parseQuestion(form: Form): Omit<ExchangeForm, 'issuedTokenType'> {
  // RFC 8693 section 2.2.2.
  if (form.has('resource')) {
    throw new KleisError('target_invalid', 'A resource cannot be named here: the grant says what the token is for.');
  }
  for (const name of unsupported) {
    if (form.has(name)) throw new KleisError('request_unsupported', `The parameter ${name} is not supported.`);
  }
  const subjectToken = tokenOf(form, 'subject_token');
  const type = form.get('subject_token_type');
  if (type === undefined) throw incomplete('subject_token_type');
  if (!subjectTypes.includes(type)) {
    throw new KleisError('request_unsupported', 'The subject_token_type is not one that is accepted here.', {
      hint: `Send ${subjectTypes[0]}.`,
    });
  }
  return {
    subjectToken,
    grant: parseScope(form.get('scope')),
    cluster: parseAudience(form.get('audience')),
    expiresIn: parseSeconds(form.get('expires_in')),
  };
}

/**
 * A token that the form brings, without the blanks and line breaks that files and command lines put around it. Throws
 * `request_malformed` for what no token can be, so that nobody takes it for one that is not known.
 */
export function tokenOf(form: Form, name: string): Secret {
  const token = form.get(name)?.trim() ?? '';
  if (token === '') throw malformed(`The form has no ${name}.`);
  const wrong = /[^\x21-\x7e]|["']/.exec(token)?.[0];
  if (wrong === undefined) return new Secret(token);
  const what =
    wrong.trim() === '' ? 'a blank or a line break' : /["']/.test(wrong) ? 'a quotation mark' : 'a character';
  throw malformed(`The ${name} has ${what} in it that no token has: send it as its issuer gave it, and nothing else.`);
}

function parseScope(scope: string | undefined): string {
  if (scope === undefined) throw new KleisError('scope_invalid', 'The form has no scope: it names the grant.');
  const tokens = scope.split(' ').filter((token) => token !== '');
  const [grant] = tokens;
  if (tokens.length !== 1 || grant === undefined) {
    throw new KleisError('scope_invalid', 'The scope names more than one grant.');
  }
  if (!scopeToken.test(grant)) throw new KleisError('scope_invalid', 'The scope is not one that can be.');
  return grant;
}

function parseAudience(audience: string | undefined): string | undefined {
  if (audience !== undefined && audience.length > maxName) {
    throw new KleisError('target_invalid', 'The audience is not one that can be.');
  }
  return audience;
}

function parseSeconds(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw malformed('expires_in is not a number of seconds.');
  return Number(text);
}

/** SHA-256 (hex) of the key; undefined if there is none. Throws `request_malformed`. */
export function hashIdempotencyKey(key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  if (!idempotencyPattern.test(key)) {
    throw malformed('The Idempotency-Key is not 1 to 128 visible ASCII characters.');
  }
  return hash('sha256', key);
}

function incomplete(name: string): KleisError {
  return new KleisError('request_malformed', `The form has no ${name}.`, {
    hint: 'Send the form that RFC 8693 describes, each parameter once.',
  });
}

function malformed(message: string): KleisError {
  return new KleisError('request_malformed', message);
}
