import { execFile } from 'node:child_process';
import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { findProgram } from '../files/find-program.ts';
import type { Env, Platform, Surroundings } from './platform.ts';
import { readSubject } from './subject-token.ts';

// https://buildkite.com/docs/agent/cli/reference/oidc: the agent's own command is the documented way to a token. Its name
// is fixed here, no flag or kubeconfig can say another, and it runs only in a job of Buildkite.

const program = 'buildkite-agent';
const timeout = 30_000;
const maxOutput = 64 * 1024;
/** What never changes hands, which a grant should name; the agent leaves both out unless it is asked. */
const immutableClaims = ['organization_id', 'pipeline_id'];
/** Where the agent itself reads further ones; a flag would take its place. */
const claimsVariable = 'BUILDKITE_OIDC_TOKEN_CLAIMS';

export const buildkite: Platform = {
  name: 'buildkite',
  title: 'Buildkite',
  isHere: (env) => env['BUILDKITE'] === 'true',
  job: ['BUILDKITE_JOB_ID'],
  asks: true,
  issuer: () => 'https://agent.buildkite.com',
  hint: (audience) => `\`${program} oidc request-token --audience ${clean(audience)}\` makes one.`,

  async getToken(audience, surroundings) {
    const { env, now } = surroundings;
    if (env['BUILDKITE'] !== 'true' || (env['BUILDKITE_JOB_ID'] ?? '') === '') {
      throw new KleisError('identity_missing', 'This is no job of Buildkite.', { hint: 'Choose another --identity.' });
    }
    const claims = claimsOf(env).flatMap((claim) => ['--claim', claim]);
    const args = ['oidc', 'request-token', '--audience', audience ?? '', ...claims];
    const output = await run(find(surroundings), args, surroundings);
    return readSubject(output, `What ${program} printed`, now());
  },
};

function claimsOf(env: Env): string[] {
  const more = (env[claimsVariable] ?? '').split(',').map((claim) => claim.trim());
  return [...new Set([...immutableClaims, ...more])]
    .filter((claim) => /^[a-z][\w:.-]{0,99}$/i.test(claim))
    .slice(0, 50);
}

function find(surroundings: Surroundings): string {
  const name = surroundings.platform === 'win32' ? `${program}.exe` : program;
  const file = findProgram(name, surroundings);
  if (file !== undefined) return file;
  throw new KleisError('identity_missing', `${program} is not in PATH.`, {
    hint: 'Run the step where the agent is; in a container, mount its program and pass its variables on.',
  });
}

async function run(file: string, args: readonly string[], { env, signal }: Surroundings): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      env: { ...env, [claimsVariable]: undefined },
      timeout,
      maxBuffer: maxOutput,
      killSignal: 'SIGKILL',
      windowsHide: true,
    } as const;
    const child = execFile(file, [...args], { ...options, shell: false, signal }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (signal.aborted) reject(error);
      else reject(failure(error, stderr));
    });
    child.stdin?.end();
  });
}

function failure(error: Error & { code?: unknown; killed?: boolean }, stderr: string): KleisError {
  const why =
    error.code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER'
      ? 'printed more than a token'
      : error.killed === true
        ? `gave no answer within ${timeout / 1000} s`
        : `failed (${clean(error.code ?? 'a signal ended it', 40)})`;
  // The last line says why it failed. What looks like a token does not go into a log.
  const last = stderr.trimEnd().split('\n').at(-1) ?? '';
  const reason = clean(last.replaceAll(/[\w-]{10,}\.[\w-]{10,}\.[\w-]*/g, '[redacted]'));
  const command = `${program} oidc request-token ${immutableClaims.map((claim) => `--claim ${claim}`).join(' ')}`;
  return new KleisError('provider_unavailable', `${program} ${why}${reason === '' ? '.' : `: ${reason}`}`, {
    hint: `Try \`${command}\` in the job; an agent that does not know --claim is too old.`,
    cause: error,
  });
}
