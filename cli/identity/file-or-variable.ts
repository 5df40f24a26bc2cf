import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { KleisError } from '../../shared/errors.ts';
import { systemCode } from '../files/storage-error.ts';
import { clean } from '../../shared/text.ts';
import type { Env, Platform } from './platform.ts';
import { readSubject } from './subject-token.ts';

// Tokens that lie ready, in a variable or in a file, before Kleis is started.

const maxBytes = 16_384;
/** What `--identity gitlab` reads: the name of the entry below `id_tokens:` in .gitlab-ci.yml. */
const gitlabVariable = 'KLEIS_ID_TOKEN';
const circleVariable = 'CIRCLE_OIDC_TOKEN_V2';
const kubernetesVariable = 'KLEIS_KUBERNETES_TOKEN_FILE';
/** Where the examples of Kubernetes' documentation mount projected tokens. */
const kubernetesFile = '/var/run/secrets/tokens/kleis';

const none = (): undefined => undefined;

/** https://docs.gitlab.com/ci/secrets/id_token_authentication/: the job names its tokens and their audiences itself. */
export const gitlab: Platform = {
  name: 'gitlab',
  title: 'GitLab CI',
  isHere: (env) => env['GITLAB_CI'] === 'true',
  job: ['CI_JOB_ID'],
  asks: false,
  issuer: (env) => env['CI_SERVER_URL'],
  hint: (audience) => `In .gitlab-ci.yml write \`id_tokens: { ${gitlabVariable}: { aud: ${clean(audience)} } }\`.`,
  getToken: async (_, { env, now }) =>
    fromVariable(
      env,
      gitlabVariable,
      now(),
      `Add \`id_tokens: { ${gitlabVariable}: { aud: AUDIENCE } }\` to the job, with the audience of the broker.`,
    ),
};

/** https://circleci.com/docs/openid-connect-tokens/: its audience is the organisation, whoever the token is for. */
export const circleci: Platform = {
  name: 'circleci',
  title: 'CircleCI',
  isHere: (env) => env['CIRCLECI'] === 'true',
  job: ['CIRCLE_WORKFLOW_JOB_ID'],
  asks: false,
  issuer: none,
  hint: (audience) =>
    `Make one with \`export KLEIS_ID_TOKEN=$(circleci run oidc get --claims '{"aud":"${clean(audience)}"}')\` and use ` +
    '--identity env:KLEIS_ID_TOKEN, or have the broker take your organisation id for the audience.',
  getToken: async (_, { env, now }) =>
    fromVariable(env, circleVariable, now(), 'Jobs of CircleCI have it; builds of forks only if the project says so.'),
};

/** A projected service account token (https://kubernetes.io/docs/concepts/storage/projected-volumes/), which the kubelet renews. */
export const kubernetes: Platform = {
  name: 'kubernetes',
  title: 'a Kubernetes pod',
  isHere: (env) => (env['KUBERNETES_SERVICE_HOST'] ?? env[kubernetesVariable] ?? '') !== '',
  job: [],
  asks: false,
  issuer: none,
  hint: (audience) => `Give the projected volume \`serviceAccountToken: { audience: ${clean(audience)} }\`.`,
  getToken: async (_, { env, now }) =>
    fromFile(
      env[kubernetesVariable] || kubernetesFile,
      now(),
      `Mount a projected serviceAccountToken at ${kubernetesFile}, or name its file in ${kubernetesVariable}; see docs/ci.md.`,
    ),
};

/** `env:NAME` */
export function variable(name: string): Platform {
  return {
    ...elsewhere,
    name: `env:${name}`,
    title: `the variable ${name}`,
    getToken: async (_, { env, now }) => fromVariable(env, name, now(), `Put an ID token into ${name}.`),
  };
}

/** `file:PATH` */
export function file(path: string): Platform {
  return {
    ...elsewhere,
    name: `file:${path}`,
    title: `the file ${path}`,
    getToken: async (_, { now }) => fromFile(path, now(), 'Put an ID token there, and nothing else.'),
  };
}

const elsewhere = {
  isHere: () => false,
  job: [],
  asks: false,
  issuer: none,
  hint: (audience: string) => `Get one for the audience ${clean(audience)}.`,
} as const;

function fromVariable(env: Env, name: string, now: number, hint: string) {
  const text = env[name] ?? '';
  if (text === '') throw new KleisError('identity_missing', `There is no token in the variable ${name}.`, { hint });
  return readSubject(text, `The token in the variable ${name}`, now);
}

/** Read anew each time, since whoever keeps such a file replaces it. Its rights are its maker's business: a pod's are 0644. */
async function fromFile(path: string, now: number, hint: string) {
  const name = clean(path, 400);
  let handle;
  try {
    // A pipe that nobody writes to would be waited for.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    if (!(await handle.stat()).isFile()) {
      throw new KleisError('identity_missing', `${name} is not a file.`, { hint });
    }
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    if (bytesRead > maxBytes) {
      throw new KleisError('subject_malformed', `The file ${name} is larger than any token.`, { hint });
    }
    return readSubject(buffer.toString('latin1', 0, bytesRead), `The token in the file ${name}`, now);
  } catch (cause) {
    if (cause instanceof KleisError) throw cause;
    const code = systemCode(cause);
    const why = code === 'ENOENT' ? 'does not exist' : `cannot be read (${clean(code ?? 'unknown', 40)})`;
    throw new KleisError('identity_missing', `The file ${name} with the token ${why}.`, { hint, cause });
  } finally {
    await handle?.close();
  }
}
