import { randomBytes } from 'node:crypto';
import { formatDuration } from '../../shared/duration.ts';
import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { readUnverified } from '../../shared/jwt.ts';
import { Secret } from '../../shared/secret.ts';
import { asText, clean } from '../../shared/text.ts';
import type { Clock } from '../surroundings/deps.ts';
import type { ClusterAnswer, ClusterClient } from './client.ts';

export interface Account {
  readonly namespace: string;
  readonly name: string;
}

export interface AccountToken {
  readonly token: Secret;
  /** Milliseconds since the epoch, as the token itself says, else the API server; undefined: it has none. */
  readonly expiresAt: number | undefined;
  /** The Secret that it is in, and with which it ends. */
  readonly secret?: string;
}

/** How long the controller of the cluster may take to make a token, in milliseconds. */
const patience = 10_000;
const pause = 200;

/**
 * Makes a token of a service account with an end (authentication.k8s.io, TokenRequest). The API server may make it end
 * sooner than asked. Throws `usage` for an account that is not there, `grant_denied`, `token_unusable` (401), and as
 * `ClusterClient.ask`.
 *
 * @param duration milliseconds
 */
export async function requestToken(cluster: ClusterClient, account: Account, duration: number): Promise<AccountToken> {
  const answer = await cluster.ask({
    method: 'POST',
    path: `${pathOf(account)}/token`,
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { expirationSeconds: Math.floor(duration / 1000) },
    },
  });
  const status = answer.body?.['status'];
  if (answer.status !== 201 || !isObject(status)) throw refusal(answer, `make tokens of ${textOf(account)}`, account);
  const token = new Secret(readToken(status['token'], cluster));
  const told = Date.parse(asText(status['expirationTimestamp'] ?? ''));
  const expiresAt = endOf(token) ?? (Number.isNaN(told) ? undefined : told);
  if (expiresAt === undefined) {
    throw new KleisError('token_unusable', `${cluster.host} gave a token that does not say when it ends.`);
  }
  return { token, expiresAt };
}

/**
 * Makes a Secret that the cluster puts a token without an end into, and waits for it. Throws as `requestToken`, and
 * `cluster_unavailable` where none comes.
 *
 * @param takeBack is told the name of the Secret where something fails after it was, or may have been, made
 */
export async function createEndlessToken(
  cluster: ClusterClient,
  account: Account,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  takeBack: (secret: string) => Promise<void>,
): Promise<AccountToken> {
  const path = `/api/v1/namespaces/${account.namespace}/secrets`;
  const there = await cluster.ask({ method: 'GET', path: pathOf(account) });
  if (there.status === 404) throw refusal(there, '', account);
  // A name that the server chose would be lost with its answer, and the token would have no end that anybody knows of.
  const name = `${account.name.slice(0, 200).replace(/[.-]+$/, '')}-token-${randomBytes(5).toString('hex')}`;
  let refused = false;
  try {
    const made = await cluster.ask({
      method: 'POST',
      path,
      body: {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'kubernetes.io/service-account-token',
        metadata: { name, annotations: { 'kubernetes.io/service-account.name': account.name } },
      },
    });
    refused = made.status >= 400 && made.status < 500;
    if (made.status !== 201) throw refusal(made, `create Secrets in ${account.namespace}`, account);
    const deadline = clock.now() + patience;
    for (;;) {
      const answer = await cluster.ask({ method: 'GET', path: `${path}/${name}` });
      if (answer.status !== 200) throw refusal(answer, `read Secrets in ${account.namespace}`, account);
      const data = answer.body?.['data'];
      const token = isObject(data) ? asText(data['token'] ?? '') : '';
      if (token !== '') {
        const text = readToken(Buffer.from(token, 'base64').toString(), cluster);
        return { token: new Secret(text), expiresAt: undefined, secret: name };
      }
      if (clock.now() >= deadline) {
        const what = `The cluster put no token into the Secret ${clean(name)} within ${formatDuration(patience)}.`;
        throw new KleisError('cluster_unavailable', what, {
          hint: 'Some clusters make no such tokens any more. Give it an end: --duration.',
        });
      }
      await clock.sleep(pause, signal);
    }
  } catch (error) {
    if (!refused) await takeBack(name);
    throw error;
  }
}

/** Whether it is gone. Throws as `ClusterClient.ask`. */
export async function removeSecret(cluster: ClusterClient, namespace: string, name: string): Promise<boolean> {
  const path = `/api/v1/namespaces/${namespace}/secrets/${name}`;
  const { status } = await cluster.ask({ method: 'DELETE', path, anyway: true });
  return status === 200 || status === 404;
}

/** Whether whoever has this token may do everything, as cluster-admin. Throws as `ClusterClient.ask`. */
export async function mayEverything(cluster: ClusterClient, token: Secret): Promise<boolean> {
  const { body } = await cluster.ask({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb: '*', group: '*', resource: '*' } },
    },
    token,
  });
  return isObject(body?.['status']) && body['status']['allowed'] === true;
}

function pathOf({ namespace, name }: Account): string {
  return `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
}

function textOf({ namespace, name }: Account): string {
  return `${clean(namespace)}/${clean(name)}`;
}

function refusal({ status, body }: ClusterAnswer, what: string, account: Account): KleisError {
  const said = clean(body?.['message'] ?? `HTTP ${status}`, 300);
  if (status === 404) {
    return new KleisError('usage', `There is no service account ${textOf(account)}: ${said}.`, {
      hint: `Create it first: kubectl -n ${clean(account.namespace)} create serviceaccount ${clean(account.name)}`,
    });
  }
  if (status === 401) {
    return new KleisError('token_unusable', 'The API server takes the credential of the context for nobody’s (401).', {
      hint: 'Why: kleis doctor',
    });
  }
  if (status === 403) {
    return new KleisError('grant_denied', `You may not ${what}: ${said}.`, {
      hint: 'Name a context of somebody who may with --context, or give the tool a grant of a broker: --broker URL --grant NAME.',
    });
  }
  return new KleisError('cluster_unavailable', `The API server makes no token: ${said}.`, {
    hint: 'Correct what it says, or try again.',
  });
}

function readToken(value: unknown, { host }: ClusterClient): string {
  if (typeof value === 'string' && /^[\x21-\x7e]{1,65536}$/.test(value)) return value;
  throw new KleisError('token_unusable', `${host} gave a token that no header can carry.`);
}

function endOf(token: Secret): number | undefined {
  const exp = readUnverified(token.reveal())?.claims['exp'];
  return typeof exp === 'number' && exp > 0 && exp < 8.64e12 ? exp * 1000 : undefined;
}
