import { KleisError } from '../../shared/errors.ts';
import { isHttpsOrLoopback } from '../../shared/net/url.ts';
import { clean } from '../../shared/text.ts';
import type { Env, Platform } from './platform.ts';
import { readSubject } from './subject-token.ts';

// https://docs.github.com/actions, "OpenID Connect reference": the runner puts an address and a bearer token for it into
// the environment of jobs that may have an ID token; what the address answers lives five minutes.

const addressVariable = 'ACTIONS_ID_TOKEN_REQUEST_URL';
const bearerVariable = 'ACTIONS_ID_TOKEN_REQUEST_TOKEN';
const permission =
  'Give the job (or the workflow) `permissions: id-token: write`, beside `contents: read` for the checkout.';

export const github: Platform = {
  name: 'github',
  title: 'GitHub Actions',
  isHere: (env) => env['GITHUB_ACTIONS'] === 'true',
  // The address differs by job, also between the legs of a matrix, which share everything else.
  job: ['GITHUB_RUN_ID', 'GITHUB_RUN_ATTEMPT', 'GITHUB_JOB', addressVariable],
  asks: true,
  issuer: issuerOf,
  hint: () => permission,

  async getToken(audience, { env, fetch, now }) {
    const url = requestUrl(env, audience ?? '');
    const response = await fetch(url, {
      headers: {
        authorization: `Bearer ${requestToken(env)}`,
        accept: 'application/json; api-version=2.0',
        'user-agent': 'kleis/oidc-client',
      },
      // The bearer token is for the address in the environment and for no other.
      redirect: 'manual',
    });
    const text = await response.text();
    if (response.status === 401 || response.status === 403) {
      throw new KleisError('identity_missing', `GitHub gives this job no ID token (HTTP ${response.status}).`, {
        hint: `${permission} A job that has ended gets none either, nor does a pull request from a fork.`,
        detail: clean(text),
      });
    }
    if (response.status !== 200) {
      throw new KleisError(
        response.status === 429 || response.status >= 500 ? 'provider_unavailable' : 'provider_invalid',
        `GitHub answers the request for an ID token with HTTP ${response.status}.`,
        { hint: 'Run the job again; githubstatus.com says whether Actions has a problem.', detail: clean(text) },
      );
    }
    return readSubject(valueOf(text), 'The ID token of GitHub Actions', now());
  },
};

/**
 * GitHub.com, GitHub Enterprise Cloud with data residency (SUB.ghe.com), else GitHub Enterprise Server. An enterprise may
 * have its own issuer below this one (`…/SLUG`).
 */
function issuerOf(env: Env): string | undefined {
  const server = URL.parse(env['GITHUB_SERVER_URL'] ?? 'https://github.com');
  if (server === null) return undefined;
  if (server.hostname === 'github.com') return 'https://token.actions.githubusercontent.com';
  if (server.hostname.endsWith('.ghe.com')) return `https://token.actions.${server.hostname}`;
  return `${server.origin}/_services/token`;
}

function requestUrl(env: Env, audience: string): string {
  const address = env[addressVariable] ?? '';
  if (address === '') {
    const job = env['GITHUB_ACTIONS'] === 'true';
    throw new KleisError(
      'identity_missing',
      job ? 'This job may not have an ID token of GitHub.' : 'This is no job of GitHub Actions.',
      { hint: job ? `${permission} Pull requests from forks never get one.` : 'Choose another --identity.' },
    );
  }
  const url = address.length > 4096 ? null : URL.parse(address);
  if (url === null || !isHttpsOrLoopback(url) || url.username !== '') {
    throw new KleisError('identity_missing', `${addressVariable} is not an https URL.`, {
      hint: 'Leave that variable to the runner.',
    });
  }
  // Appended, as GitHub's own client does: the query that is there stays as the runner wrote it.
  return `${address}${url.search === '' ? '?' : '&'}audience=${encodeURIComponent(audience)}`;
}

function requestToken(env: Env): string {
  const bearer = env[bearerVariable] ?? '';
  if (/^[\x21-\x7e]{1,16384}$/.test(bearer)) return bearer;
  throw new KleisError('identity_missing', `${bearerVariable} ${bearer === '' ? 'is not set' : 'is not a token'}.`, {
    hint: permission,
  });
}

function valueOf(text: string): string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  const value = typeof body === 'object' && body !== null && 'value' in body ? body.value : undefined;
  if (typeof value === 'string') return value;
  throw new KleisError('provider_invalid', 'GitHub answers the request for an ID token with something else.', {
    hint: `Something between the runner and GitHub (a proxy?) may have answered; check ${addressVariable}.`,
  });
}
