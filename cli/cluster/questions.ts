import { isObject } from '../../shared/json.ts';
import type { Secret } from '../../shared/secret.ts';
import { asText, clean } from '../../shared/text.ts';
import type { ClusterClient } from './client.ts';

/** Whom the API server takes the bearer of a token for (authentication.k8s.io, UserInfo). */
export interface SeenUser {
  readonly username: string;
  readonly groups: readonly string[];
}

export type Recognition =
  | { readonly kind: 'known'; readonly user: SeenUser }
  /** 401: it takes this token for nobody's. */
  | { readonly kind: 'unknown' }
  /** 403: it knows whose the token is and does not let them ask. */
  | { readonly kind: 'forbidden'; readonly message: string }
  /** It takes the token, but is too old to say for whose. */
  | { readonly kind: 'silent' }
  | { readonly kind: 'odd'; readonly status: number };

/** v1 since Kubernetes 1.28; what came before it has the same form. */
const reviewVersions = ['v1', 'v1beta1', 'v1alpha1'];
const maxGroups = 1000;

/** Asks the API server whose the token is, or else the client's own (SelfSubjectReview). Throws as `ClusterClient.ask`. */
export async function whoAmI(cluster: ClusterClient, token?: Secret): Promise<Recognition> {
  for (const version of reviewVersions) {
    const { status, body } = await cluster.ask({
      method: 'POST',
      path: `/apis/authentication.k8s.io/${version}/selfsubjectreviews`,
      body: { apiVersion: `authentication.k8s.io/${version}`, kind: 'SelfSubjectReview' },
      token,
    });
    if (status === 404) continue;
    if (status === 401) return { kind: 'unknown' };
    if (status === 403) return { kind: 'forbidden', message: clean(body?.['message'], 400) };
    const user = isObject(body?.['status']) ? body['status']['userInfo'] : undefined;
    if (!isObject(user) || typeof user['username'] !== 'string') return { kind: 'odd', status };
    return {
      kind: 'known',
      user: { username: clean(user['username'], 300), groups: texts(user['groups'], maxGroups) },
    };
  }
  return { kind: 'silent' };
}

/** One rule of what somebody may do (authorization.k8s.io, ResourceRule). */
export interface Rule {
  readonly verbs: readonly string[];
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly names: readonly string[];
}

export interface Rules {
  readonly rules: readonly Rule[];
  /** An authorizer that cannot list what it allows has a say too. */
  readonly incomplete: boolean;
}

const maxRules = 2000;

/** What the bearer may do in a namespace (SelfSubjectRulesReview); undefined where the server does not say. */
export async function rulesIn(cluster: ClusterClient, token: Secret, namespace: string): Promise<Rules | undefined> {
  const { body } = await cluster.ask({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews',
    body: { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } },
    token,
  });
  const status = body?.['status'];
  if (!isObject(status) || !Array.isArray(status['resourceRules'])) return undefined;
  const list: unknown[] = status['resourceRules'].slice(0, maxRules);
  return {
    incomplete: status['incomplete'] === true || status['resourceRules'].length > maxRules,
    rules: list.filter(isObject).map((rule) => ({
      verbs: texts(rule['verbs']),
      apiGroups: texts(rule['apiGroups']),
      resources: texts(rule['resources']),
      names: texts(rule['resourceNames']),
    })),
  };
}

export interface ServerVersion {
  readonly text: string;
  readonly minor: number;
}

/** What `/version` and `kubectl version` print of one program; cloud providers write `29+`. */
export function readVersion(body: unknown): ServerVersion | undefined {
  if (!isObject(body)) return undefined;
  const minor = Number.parseInt(asText(body['minor']), 10);
  const text = clean(body['gitVersion'], 60);
  return Number.isSafeInteger(minor) && minor >= 0 && typeof body['gitVersion'] === 'string'
    ? { text, minor }
    : undefined;
}

function texts(value: unknown, max = 200): string[] {
  const list: unknown[] = Array.isArray(value) ? value.slice(0, max) : [];
  return list.filter((each) => typeof each === 'string').map((each) => clean(each, 300));
}
