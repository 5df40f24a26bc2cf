import { clean } from '../../shared/text.ts';
import { fromVariable } from './file-or-variable.ts';
import type { Platform } from './platform.ts';

/** https://circleci.com/docs/openid-connect-tokens/: its audience is the organisation, whoever the token is for. */
export const circleci: Platform = {
  name: 'circleci',
  title: 'CircleCI',
  isHere: (env) => env['CIRCLECI'] === 'true',
  job: ['CIRCLE_WORKFLOW_JOB_ID'],
  asks: false,
  issuer: () => undefined,
  hint: (audience) =>
    `Make one with \`export KLEIS_ID_TOKEN=$(circleci run oidc get --claims '{"aud":"${clean(audience)}"}')\` and use ` +
    '--identity env:KLEIS_ID_TOKEN, or have the broker take your organisation id for the audience.',
  getToken: async (_, { env, now }) =>
    fromVariable(
      env,
      'CIRCLE_OIDC_TOKEN_V2',
      now(),
      'Jobs of CircleCI have it; builds of forks only if the project says so.',
    ),
};
