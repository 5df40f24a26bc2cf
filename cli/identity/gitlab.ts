import { clean } from '../../shared/text.ts';
import { fromVariable } from './file-or-variable.ts';
import type { Platform } from './platform.ts';

/** The name of the entry below `id_tokens:` in .gitlab-ci.yml. */
const tokenVariable = 'KLEIS_ID_TOKEN';

/** https://docs.gitlab.com/ci/secrets/id_token_authentication/: the job names its tokens and their audiences itself. */
export const gitlab: Platform = {
  name: 'gitlab',
  title: 'GitLab CI',
  isHere: (env) => env['GITLAB_CI'] === 'true',
  job: ['CI_JOB_ID'],
  asks: false,
  issuer: (env) => env['CI_SERVER_URL'],
  hint: (audience) => `In .gitlab-ci.yml write \`id_tokens: { ${tokenVariable}: { aud: ${clean(audience)} } }\`.`,
  getToken: async (_, { env, now }) =>
    fromVariable(
      env,
      tokenVariable,
      now(),
      `Add \`id_tokens: { ${tokenVariable}: { aud: AUDIENCE } }\` to the job, with the audience of the broker.`,
    ),
};
