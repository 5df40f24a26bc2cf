import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { exportJWK, type JWK, jwtVerify, SignJWT } from 'jose';
import type { User } from './access.ts';
import { ApiError, badRequest, conflict, invalid, notFound } from './status.ts';
import type { KubeObject, Store } from './store.ts';

/** Issues and checks the tokens of service accounts, as kube-apiserver does. */
export interface ServiceAccounts {
  readonly issuer: string;
  /** What `/openid/v1/jwks` answers. */
  jwks(): Promise<{ keys: JWK[] }>;
  /** TokenRequest; `warn` gets what goes into a Warning header. */
  issue(namespace: string, name: string, request: unknown, warn: (text: string) => void): Promise<KubeObject>;
  /** Whose token it is; undefined if nobody's (any more). */
  authenticate(token: string): Promise<User | undefined>;
}

interface TokenRequest extends KubeObject {
  spec: {
    audiences?: string[];
    expirationSeconds?: number;
    boundObjectRef?: { kind?: string; apiVersion?: string; name?: string; uid?: string } | null;
  };
}

const longest = 86_400;
/** An object that is being deleted counts as gone this long after its deletion began. */
const pendingDeletion = 60_000;

export function createServiceAccounts(store: Store, issuer: string, now: () => number): ServiceAccounts {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = randomUUID();

  function find(resource: string, namespace: string, name: string): KubeObject | undefined {
    try {
      return store.get(resource, namespace, name);
    } catch {
      return undefined;
    }
  }

  /** Whether the object is the one that the token was made for, and stays. */
  function isThere(object: KubeObject | undefined, uid: unknown): boolean {
    const deleted = object?.metadata['deletionTimestamp'];
    return (
      object?.metadata.uid === uid && (typeof deleted !== 'string' || Date.parse(deleted) + pendingDeletion > now())
    );
  }

  return {
    issuer,
    async jwks() {
      return { keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }] };
    },
    async issue(namespace, name, given, warn) {
      const request = given as Partial<TokenRequest> | undefined;
      if (request?.kind !== 'TokenRequest' || request.apiVersion !== 'authentication.k8s.io/v1') {
        throw badRequest('the object provided is not a authentication.k8s.io/v1 TokenRequest');
      }
      const { metadata, spec = {} } = request;
      const account = find('serviceaccounts', namespace, name);
      if (account === undefined) throw notFound('serviceaccounts', name);
      if ((metadata?.name ?? name) !== name)
        throw badRequest('the name of the object does not match the name on the URL');
      const { boundObjectRef: bound, audiences = [], expirationSeconds: asked = 3600 } = spec;
      if (asked < 600) {
        const why = `Invalid value: ${asked}: may not specify a duration less than 10 minutes`;
        throw invalid('TokenRequest.authentication.k8s.io', '', `spec.expirationSeconds: ${why}`);
      }
      if (metadata?.uid !== undefined && metadata.uid !== account.metadata.uid) {
        const why = `the UID in the token request (${metadata.uid}) does not match the UID of the service account (${account.metadata.uid})`;
        throw new ApiError(409, 'Conflict', `Operation cannot be fulfilled on serviceaccounts "${name}": ${why}`, {
          name,
          kind: 'serviceaccounts',
        });
      }
      const secret = bound ? find('secrets', namespace, bound.name ?? '') : undefined;
      if (bound) {
        if (bound.kind !== 'Secret') throw badRequest(`cannot bind token to object of type ${bound.kind}`);
        if (secret === undefined) throw notFound('secrets', bound.name ?? '');
        if (bound.uid && bound.uid !== secret.metadata.uid) {
          const why = `the UID in the bound object reference (${bound.uid}) does not match the UID in record. The object might have been deleted and then recreated`;
          throw conflict('Secret', bound.name ?? '', why);
        }
      }
      const seconds = Math.min(asked, longest);
      if (seconds < asked) warn(`requested expiration of ${asked} seconds shortened to ${longest} seconds`);
      const issuedAt = Math.floor(now() / 1000);
      const jti = randomUUID();
      const filled = audiences.length === 0 ? [issuer] : audiences;
      const claims = {
        'kubernetes.io': {
          namespace,
          ...(secret ? { secret: { name: secret.metadata.name, uid: secret.metadata.uid } } : {}),
          serviceaccount: { name, uid: account.metadata.uid },
        },
      };
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid })
        .setIssuer(issuer)
        .setSubject(`system:serviceaccount:${namespace}:${name}`)
        .setAudience(filled)
        .setIssuedAt(issuedAt)
        .setNotBefore(issuedAt)
        .setExpirationTime(issuedAt + seconds)
        .setJti(jti)
        .sign(privateKey);
      const expirationTimestamp = new Date((issuedAt + seconds) * 1000).toISOString().replace(/\.\d+/, '');
      return {
        kind: 'TokenRequest',
        apiVersion: 'authentication.k8s.io/v1',
        metadata: { name, namespace, creationTimestamp: new Date(now()).toISOString().replace(/\.\d+/, '') },
        spec: { audiences: filled, expirationSeconds: seconds, boundObjectRef: bound ?? null },
        status: { token, expirationTimestamp },
      };
    },
    async authenticate(token) {
      try {
        const { payload } = await jwtVerify(token, publicKey, {
          issuer,
          audience: issuer,
          algorithms: ['ES256'],
          requiredClaims: ['exp', 'jti'],
          currentDate: new Date(now()),
        });
        const bound = payload['kubernetes.io'] as {
          namespace: string;
          secret?: { name: string; uid: string };
          serviceaccount: { name: string; uid: string };
        };
        const { namespace, secret, serviceaccount } = bound;
        if (!isThere(find('serviceaccounts', namespace, serviceaccount.name), serviceaccount.uid)) return undefined;
        if (secret && !isThere(find('secrets', namespace, secret.name), secret.uid)) return undefined;
        return {
          username: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
          groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
          extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${payload.jti}`] },
        };
      } catch {
        return undefined;
      }
    },
  };
}
