import { createRemoteJWKSet, customFetch, decodeJwt, jwtVerify, type JWTPayload } from 'jose';
import { Agent, fetch, type RequestInit } from 'undici';
import { peoplesRole, type ClusterOidc } from '../cluster.ts';
import { type Attributes, rbacAllows } from './rbac.ts';
import type { KubeObject, Store } from './store.ts';

/** authentication.k8s.io/v1 UserInfo. */
export interface User {
  readonly username: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** Tells whose a bearer token is; undefined if nobody's. */
export type Authenticator = (token: string) => Promise<User | undefined>;

/** The administrator's static token, and the ID tokens of one issuer, checked as kube-apiserver's OIDC authenticator does. */
export function createAuthenticator(adminToken: string, oidc: ClusterOidc | undefined): Authenticator {
  const verify = oidc ? createVerifier(oidc) : undefined;
  return async (token) => {
    if (token === adminToken) return { username: 'admin', groups: ['system:masters', 'system:authenticated'] };
    if (verify === undefined || oidc === undefined) return undefined;
    const claims = await verify(token);
    const { usernameClaim = 'sub', prefix = 'oidc:' } = oidc;
    const name = claims?.[usernameClaim];
    if (claims === undefined || typeof name !== 'string') return undefined;
    // kube-apiserver takes an address only if nobody says that it is not verified.
    if (usernameClaim === 'email' && claims['email_verified'] === false) return undefined;
    const groups = [claims['groups'] ?? []].flat().filter((group) => typeof group === 'string');
    return {
      username: `${prefix}${name}`,
      groups: [...groups.map((group) => `${prefix}${group}`), 'system:authenticated'],
    };
  };
}

function createVerifier({
  issuerUrl,
  clientId,
  caPem,
}: ClusterOidc): (token: string) => Promise<JWTPayload | undefined> {
  const dispatcher = new Agent({ connect: { ca: caPem }, keepAliveTimeout: 10 });
  const get = (url: string, init: RequestInit = {}) => fetch(url, { ...init, dispatcher });
  let keys: ReturnType<typeof createRemoteJWKSet> | undefined;

  async function discover(): Promise<ReturnType<typeof createRemoteJWKSet>> {
    const response = await get(`${issuerUrl}/.well-known/openid-configuration`);
    const { jwks_uri: jwksUri } = (await response.json()) as { jwks_uri: string };
    const fetchKeys = (url: string, init: object) => get(url, init) as unknown as Promise<Response>;
    return createRemoteJWKSet(new URL(jwksUri), { [customFetch]: fetchKeys });
  }

  return async (token) => {
    try {
      // Before anything is fetched: nobody else's token makes this server call its provider.
      if (decodeJwt(token).iss !== issuerUrl) return undefined;
      keys ??= await discover();
      const options = { issuer: issuerUrl, audience: clientId, requiredClaims: ['exp'] };
      return (await jwtVerify(token, keys, { ...options, algorithms: ['RS256', 'ES256', 'PS256'] })).payload;
    } catch {
      return undefined;
    }
  };
}

/** RBAC: cluster-admin, the people's role, and whatever Roles and bindings are in the store. */
export function isAllowed(
  store: Store,
  user: User | undefined,
  attributes: Attributes,
  oidc: ClusterOidc | undefined,
): boolean {
  if (user === undefined) return false;
  if (user.groups.includes('system:masters')) return true;
  const { verb, group, resource } = attributes;
  if (verb === 'create' && resource.startsWith('selfsubject')) return true;
  if (user.groups.includes(`${oidc?.prefix ?? 'oidc:'}developers`) && isPeoples(verb, group, resource)) return true;
  return rbacAllows(store, user, attributes);
}

function isPeoples(verb: string, group: string, resource: string): boolean {
  return peoplesRole.rules.some((rule) => {
    const [groups, plurals, verbs]: (readonly string[])[] = [rule.apiGroups, rule.resources, rule.verbs];
    return groups?.includes(group) && plurals?.includes(resource) && (verbs?.includes('*') || verbs?.includes(verb));
  });
}

/** `kubectl auth whoami` and `kubectl auth can-i`. */
export function review(store: Store, object: KubeObject, user: User, oidc: ClusterOidc | undefined): KubeObject {
  if (object.kind === 'SelfSubjectReview') return { ...object, status: { userInfo: user } };
  const spec = object['spec'] as
    | { resourceAttributes?: Partial<Attributes> & { readonly subresource?: string } }
    | undefined;
  const { verb = '', group = '', resource = '', subresource, namespace, name } = spec?.resourceAttributes ?? {};
  const whole = subresource ? `${resource}/${subresource}` : resource;
  // Empty means all of them here, and none in particular there.
  const attributes = { verb, group, resource: whole, namespace: namespace || undefined, name: name || undefined };
  return { ...object, status: { allowed: isAllowed(store, user, attributes, oidc) } };
}
