import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { makeKey, sign, startIssuer } from '../broker/issuers/fixture.ts';

export type JobClaims = Readonly<Record<string, unknown>>;

/** A GitHub Enterprise Server on loopback, as far as jobs and those who trust their tokens see one. */
export interface GitHub {
  /** The issuer of its tokens. */
  readonly url: string;
  /** What its runner puts into the environment of a job; `claims` differ from those of a deployment of acme/web. */
  readonly job: (id: string, claims?: JobClaims) => Readonly<Record<string, string>>;
  /** From now on a job is given the same token again. */
  readonly repeatToken: (repeated: boolean) => void;
  stop(): Promise<void>;
}

const deployment = {
  sub: 'repo:acme/web:environment:production',
  repository: 'acme/web',
  repository_id: '123456',
  repository_owner_id: '77',
  environment: 'production',
  event_name: 'push',
  ref: 'refs/heads/main',
};

/** Over https with a certificate of its own, else over http. */
export async function startGitHub({ tls }: { tls?: { cert: string; key: string } } = {}): Promise<GitHub> {
  const key = await makeKey('k1', 'RS256');
  const issuer = await startIssuer([key], { ...(tls && { tls }), path: '/_services/token' });
  const { origin } = new URL(issuer.url);
  const jobs = new Map<string, JobClaims>();
  const given = new Map<string, string>();
  let repeated = false;

  async function tokenFor(job: string, claims: JobClaims, aud: string): Promise<string> {
    const old = repeated ? given.get(job) : undefined;
    const token = old ?? (await sign(issuer, { aud, jti: randomUUID(), ...claims }, { key, now: Date.now() }));
    given.set(job, token);
    return token;
  }

  // The address that each job is given: it answers with a token for whatever audience is asked for.
  issuer.before = (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '', issuer.url);
    const job = /^\/idtoken\/(.+)$/.exec(url.pathname)?.[1];
    if (job === undefined) return false;
    const claims = jobs.get(job);
    if (claims === undefined || request.headers.authorization !== `Bearer bearer-${job}`) {
      response.writeHead(401).end();
      return true;
    }
    void tokenFor(job, claims, url.searchParams.get('audience') ?? 'https://github.test/acme').then((value) =>
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ count: value.length, value })),
    );
    return true;
  };

  return {
    url: issuer.url,
    job(id, claims = {}) {
      const request = randomUUID();
      jobs.set(request, { ...deployment, ...claims });
      return {
        GITHUB_ACTIONS: 'true',
        GITHUB_SERVER_URL: origin,
        GITHUB_RUN_ID: id,
        GITHUB_RUN_ATTEMPT: '1',
        GITHUB_JOB: 'deploy',
        ACTIONS_ID_TOKEN_REQUEST_URL: `${origin}/idtoken/${request}?api-version=2.0`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: `bearer-${request}`,
      };
    },
    repeatToken(next) {
      repeated = next;
    },
    stop: () => issuer.stop(),
  };
}
