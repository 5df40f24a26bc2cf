import { KleisError } from '../../shared/errors.ts';
import {
  idempotencyHeader,
  idempotencyPattern,
  issuedTokenTypes,
  subjectTokenTypes,
  tokenExchangeGrant,
} from '../../shared/protocol.ts';
import { grantPattern, leaseStates } from '../leases/lease.ts';
import { malformed } from './faults.ts';
import {
  type Kind,
  matching,
  oneOf,
  optional,
  refused,
  required,
  token,
  upTo,
  usually,
  wholeNumber,
} from './parameter.ts';

// What each address asks for.

const [accessToken = ''] = issuedTokenTypes;
const subjectTypes = Object.values(subjectTokenTypes);

const incomplete = (name: string) =>
  malformed(`The form has no ${name}.`, 'Send the form that RFC 8693 describes, each parameter once.');
const unsupported = refused((name) => new KleisError('request_unsupported', `The parameter ${name} is not supported.`));

/** RFC 6749 section 3.3: exactly one of its tokens, with whatever blanks around it. */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;
const scope: Kind<string> = {
  schema: { type: 'string', pattern: scopeToken.source },
  read(text) {
    const tokens = text.split(' ').filter((each) => each !== '');
    const [grant] = tokens;
    if (tokens.length !== 1 || grant === undefined) {
      throw new KleisError('scope_invalid', 'The scope names more than one grant.');
    }
    if (!scopeToken.test(grant)) throw new KleisError('scope_invalid', 'The scope is not one that can be.');
    return grant;
  },
};

/** Of `POST /explain`. */
export const questionForm = {
  // RFC 8693 section 2.2.2.
  resource: optional(
    refused(
      () => new KleisError('target_invalid', 'A resource cannot be named here: the grant says what the token is for.'),
    ),
    { description: 'Refused: the grant says what the token is for.' },
  ),
  actor_token: optional(unsupported, { description: 'Refused: nobody acts for somebody else.' }),
  actor_token_type: optional(unsupported, { description: 'Refused, as `actor_token` is.' }),
  subject_token: required(token, {
    description: 'A JWT of one of the issuers, for the audience that `/.well-known/kleis` names.',
    example: 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJyZXBvOmFjbWUvd2ViIn0.c2lnbmF0dXJl',
    missing: (name) => malformed(`The form has no ${name}.`),
  }),
  subject_token_type: required(
    oneOf(
      subjectTypes,
      () =>
        new KleisError('request_unsupported', 'The subject_token_type is not one that is accepted here.', {
          hint: `Send ${subjectTypes[0]}.`,
        }),
    ),
    {
      description: 'All of them say "a JWT of one of the issuers".',
      example: subjectTokenTypes.jwt,
      missing: incomplete,
    },
  ),
  scope: required(scope, {
    description: 'The grant; exactly one.',
    example: 'deploy-web',
    missing: () => new KleisError('scope_invalid', 'The form has no scope: it names the grant.'),
  }),
  audience: optional(
    upTo(256, () => new KleisError('target_invalid', 'The audience is not one that can be.')),
    { description: 'The cluster, by its name at the broker. A grant has only one.', example: 'prod' },
  ),
  expires_in: optional(
    wholeNumber(1, 999_999_999, () => malformed('expires_in is not a number of seconds.')),
    {
      description: 'Seconds that the token is to live; 600 at least and what the grant allows at most are given.',
      example: 900,
    },
  ),
};

/** Of `POST /token`. */
export const tokenForm = {
  grant_type: required(
    oneOf(
      [tokenExchangeGrant],
      () => new KleisError('grant_type_unsupported', `The only grant_type here is ${tokenExchangeGrant}.`),
    ),
    { description: 'Token exchange.', example: tokenExchangeGrant, missing: incomplete },
  ),
  requested_token_type: usually(
    oneOf(
      issuedTokenTypes,
      () =>
        new KleisError('request_unsupported', 'A token of the requested_token_type is not issued here.', {
          hint: `Leave requested_token_type out, or ask for ${accessToken}.`,
        }),
    ),
    accessToken,
    { description: 'Both are the same token, which an API server takes as a bearer.' },
  ),
  ...questionForm,
};

export const tokenHeaders = {
  [idempotencyHeader]: optional(
    matching(idempotencyPattern, () => malformed('The Idempotency-Key is not 1 to 128 visible ASCII characters.')),
    {
      description:
        'Chosen at random for each exchange. The same key with the same subject token and grant within two minutes is one request that was sent again: it gives a new token and ends the first.',
      example: '5f2b6c1e-6d0b-4a55-9a53-3c1b3f0b8f3a',
    },
  ),
};

/** Of `POST /revoke`. */
export const revokeForm = {
  token: required(token, {
    description: 'One that this broker gave.',
    example: 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6In0.c2lnbmF0dXJl',
    missing: (name) => malformed(`The form has no ${name}.`),
  }),
};

const unusable = (name: string) => malformed(`The parameter ${name} cannot be used.`);

/** Of `GET /leases`. */
export const leasesQuery = {
  limit: usually(wholeNumber(1, 500), 100, { description: 'Leases of one page.', example: 100 }),
  grant: optional(
    matching(grantPattern, () => malformed('grant is the name of a grant.')),
    { description: 'Only of this grant.', example: 'deploy-web' },
  ),
  state: optional(oneOf(leaseStates), { description: 'Only in this state.', example: 'active' }),
  subject: optional(upTo(2048, unusable), {
    description:
      'Only of this subject, whole or up to one of its colons. A page may then be empty and not be the last.',
    example: 'repo:acme/web',
  }),
  continue: optional(upTo(2048, unusable), { description: 'From the page before.' }),
};

/** Of `GET /kubeconfig`. */
export const kubeconfigQuery = {
  // Asked for and not guessed: who fetches the file is not always who uses it.
  platform: usually(oneOf(['posix', 'windows']), 'posix', {
    description: 'Whose programs its entries run: on Windows there is no shell for the launcher.',
    example: 'windows',
  }),
};

/** Of `DELETE /leases/{id}`. Any text: what no lease is called is not known. */
export const leasePath = {
  id: required<string>(
    { schema: { type: 'string' }, read: (text) => text },
    {
      description: 'As `GET /leases` and the answer of `POST /token` have it.',
      example: 'l3f9d0c5b7a1e4286930d5c7b8a9f0e12',
      missing: () => new KleisError('lease_unknown', 'There is no such lease.'),
    },
  ),
};
