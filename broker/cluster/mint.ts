import { isObject } from '../../shared/json.ts';
import { decodeUnverified, JwtFault, type JsonObject, claimOf } from '../../shared/jwt.ts';
import { apiPath } from '../../shared/kube/client.ts';
import { isStatus, KubeError } from '../../shared/kube/error.ts';
import { Secret } from '../../shared/secret.ts';
import { ClusterFault, clusterFault, type ClusterFaultReason, isPolicy } from './fault.ts';
import type { Cluster } from './clusters.ts';

export interface MintRequest {
  readonly account: {
    readonly namespace: string;
    readonly name: string;
    /** Of the account that is meant: another one of the same name gets nothing. */
    readonly uid?: string | undefined;
    /** The broker may `get` it (accounts elsewhere), so its UID is asked for when nobody knows it. */
    readonly readable?: boolean;
  };
  /** Seconds; the API server refuses less than 600. */
  readonly ttl: number;
  /** The token dies with this Secret. Without uid: whichever has the name now (a kill switch). */
  readonly boundSecret?: { readonly name: string; readonly uid?: string | undefined } | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

export interface Minted {
  readonly token: Secret;
  /** What the API server gave, ms; it may be less than was asked for. */
  readonly expiresAt: number;
  /** Seconds from when it was made until it ends: no difference of two clocks. */
  readonly lifetime: number;
  readonly jti: string;
  readonly audiences: readonly string[];
  readonly accountUid: string;
  /** Somebody knew the account's UID before, and it is the one in the token. */
  readonly uidChecked: boolean;
  /** Of the API server, for people; cleaned. */
  readonly warnings: readonly string[];
}

interface TokenRequest {
  readonly spec?: { readonly audiences?: unknown };
  readonly status?: { readonly token?: unknown; readonly expirationTimestamp?: unknown };
}

/**
 * One TokenRequest, never repeated and never a dry run (which answers with a token that works). Throws `ClusterFault`:
 * not ambiguous if no token was made for certain, or the one that was made was thrown away unseen.
 */
export async function mint(cluster: Cluster, request: MintRequest): Promise<Minted> {
  const { namespace, name } = request.account;
  const uid = request.account.uid ?? (await knownUid(cluster, request));
  let answer;
  try {
    answer = await cluster.kube.request<TokenRequest>(
      'POST',
      apiPath('v1', namespace, 'serviceaccounts', name, 'token'),
      {
        body: tokenRequest(cluster.audiences, request, uid),
        ...(request.headers ? { headers: request.headers } : {}),
        signal: request.signal,
        timeout: 10_000,
        maxBody: 256 * 1024,
      },
    );
  } catch (error) {
    if (isStatus(error, 409)) cluster.accounts.forget(namespace, name);
    throw mintFault(cluster, request, error);
  }
  const minted = read(cluster, request, answer.body, answer.warnings, uid);
  cluster.accounts.set(namespace, name, minted.accountUid);
  if (cluster.audiences.length === 0) cluster.learnAudiences(minted.audiences);
  return minted;
}

/** An ephemeral account is new, and its UID given; for others it is what was seen last, or what the API server says. */
async function knownUid(cluster: Cluster, { account, signal }: MintRequest): Promise<string | undefined> {
  const { namespace, name, readable } = account;
  const known = cluster.accounts.get(namespace, name);
  if (known !== undefined || readable !== true) return known;
  try {
    const { body } = await cluster.kube.request<{ metadata?: { uid?: string } }>(
      'GET',
      apiPath('v1', namespace, 'serviceaccounts', name),
      { signal, timeout: 5_000 },
    );
    const uid = body.metadata?.uid;
    if (uid !== undefined) cluster.accounts.set(namespace, name, uid);
    return uid;
  } catch (error) {
    // A Role without this right still lets it mint; the token then says which account it was.
    if (isStatus(error, 403) && !error.retryable) return undefined;
    throw mintFault(cluster, { account }, error);
  }
}

function tokenRequest(audiences: readonly string[], { ttl, boundSecret, account }: MintRequest, uid?: string): object {
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: { name: account.name, namespace: account.namespace, ...(uid === undefined ? {} : { uid }) },
    spec: {
      audiences,
      expirationSeconds: ttl,
      ...(boundSecret === undefined
        ? {}
        : {
            boundObjectRef: {
              kind: 'Secret',
              apiVersion: 'v1',
              name: boundSecret.name,
              ...(boundSecret.uid === undefined ? {} : { uid: boundSecret.uid }),
            },
          }),
    },
  };
}

/** Compares the token with what was asked for: 1.30 ignores the UID, and whoever is in between may be mistaken. */
function read(
  cluster: Cluster,
  { account, boundSecret }: MintRequest,
  { status, spec }: TokenRequest,
  warnings: readonly string[],
  uid: string | undefined,
): Minted {
  const wrong = (why: string, reason: ClusterFaultReason = 'invalid'): never => {
    const retryable = reason === 'account_changed';
    throw new ClusterFault(cluster.name, reason, `The token for ${account.namespace}/${account.name} ${why}.`, {
      ambiguous: false,
      retryable,
    });
  };
  const token = typeof status?.token === 'string' ? status.token : wrong('is missing');
  let claims: JsonObject;
  try {
    ({ claims } = decodeUnverified(token));
  } catch (error) {
    if (error instanceof JwtFault) wrong('cannot be read');
    throw error;
  }
  const { sub, jti, exp, iat, aud } = claims;
  const bound = part(claims, 'kubernetes.io');
  const accountUid = part(bound, 'serviceaccount')['uid'];
  const secret = part(bound, 'secret');
  if (sub !== `system:serviceaccount:${account.namespace}:${account.name}`) wrong('is for another account');
  if (typeof accountUid !== 'string') return wrong('does not say which account it is for');
  if (uid !== undefined && uid !== accountUid) {
    cluster.accounts.forget(account.namespace, account.name);
    wrong('is for an account that was made anew under its name', 'account_changed');
  }
  if (boundSecret !== undefined && secret['name'] !== boundSecret.name) wrong('is not bound to its Secret');
  if (boundSecret?.uid !== undefined && secret['uid'] !== boundSecret.uid) wrong('is bound to another Secret');
  const audiences = [aud ?? []].flat().filter((each) => typeof each === 'string');
  const asked = cluster.audiences.length > 0 ? cluster.audiences : spec?.audiences;
  if (audiences.length === 0 || !Array.isArray(asked) || !audiences.every((each) => asked.includes(each))) {
    wrong('is for another audience');
  }
  if (typeof jti !== 'string' || jti === '' || jti.length > 128) return wrong('has no id (jti)');
  const told = Date.parse(typeof status?.expirationTimestamp === 'string' ? status.expirationTimestamp : '');
  const expiresAt = Math.min(told, typeof exp === 'number' ? exp * 1000 : Number.NaN);
  const lifetime = Math.floor(expiresAt / 1000 - (typeof iat === 'number' ? iat : Number.NaN));
  if (!Number.isSafeInteger(expiresAt) || !(lifetime > 0)) wrong('does not say when it ends, and for how long it is');
  return {
    token: new Secret(token),
    expiresAt,
    lifetime,
    jti,
    audiences,
    accountUid,
    uidChecked: uid !== undefined,
    warnings,
  };
}

function part(claims: JsonObject, name: string): JsonObject {
  const value = claimOf(claims, name);
  return isObject(value) ? value : {};
}

function mintFault(cluster: Cluster, request: Pick<MintRequest, 'account' | 'boundSecret'>, error: unknown): unknown {
  if (!(error instanceof KubeError)) return clusterFault(cluster.name, error);
  const reason = mintReason(request, error);
  if (reason === undefined) return withoutDoubt(cluster.name, error);
  const { message, retryAfter, cause } = error;
  const again = reason === 'account_changed' || reason === 'superseded';
  const retryable = again || (reason === 'forbidden' && error.retryable);
  return new ClusterFault(cluster.name, reason, message, { ambiguous: false, retryable, retryAfter, cause });
}

/** What the API server itself refuses it did not do, whatever the status: a token is kept nowhere but in the answer. */
function withoutDoubt(cluster: string, error: KubeError): unknown {
  const fault = clusterFault(cluster, error);
  if (!(fault instanceof ClusterFault) || error.reason === undefined || !fault.ambiguous) return fault;
  const { reason, message, retryable, retryAfter, cause } = fault;
  return new ClusterFault(cluster, reason, message, { ambiguous: false, retryable, retryAfter, cause });
}

function mintReason(
  { boundSecret }: Pick<MintRequest, 'boundSecret'>,
  { status, about, message }: KubeError,
): ClusterFaultReason | undefined {
  if (isPolicy(message)) return 'policy';
  const ofSecret = boundSecret !== undefined && (about?.kind === 'secrets' || about?.name === boundSecret.name);
  // With a UID it is a lease's own Secret, which goes with a retry or a revocation; else a kill switch was pulled.
  const missing = boundSecret?.uid === undefined ? 'bound_missing' : 'superseded';
  if (status === 404) return ofSecret ? missing : 'account_missing';
  if (status === 409) return ofSecret || /bound object/i.test(message) ? missing : 'account_changed';
  return status === 403 ? 'forbidden' : undefined;
}
