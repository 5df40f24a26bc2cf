import { isObject } from '../../../shared/json.ts';
import { readRbac } from '../../../shared/rbac/bindings.ts';
import type { KubeObject, RbacState, Rule, Subject } from '../../../shared/rbac/kinds.ts';
import { asText } from '../../../shared/text.ts';
import type { ClusterClient } from '../../cluster/client.ts';
import { listObjects } from '../../cluster/list.ts';
import { sentence } from './words.ts';

/** All that RBAC says there, or why that is not known. */
export type RbacRead =
  | { readonly kind: 'read'; readonly state: RbacState }
  | { readonly kind: 'unknown'; readonly why: string };

type Item = Readonly<Record<string, unknown>>;

/** Throws as `ClusterClient.ask`. */
export async function readRbacObjects(cluster: ClusterClient): Promise<RbacRead> {
  const lists: Record<string, readonly KubeObject[]> = {};
  for (const [resource, read] of readers) {
    const listed = await listObjects(cluster, { path: `/apis/rbac.authorization.k8s.io/v1/${resource}`, read });
    if (listed.kind === 'refused') return { kind: 'unknown', why: sentence(`${resource}: ${listed.message}`) };
    if (!listed.complete) return { kind: 'unknown', why: `There are more ${resource} than can be looked at.` };
    lists[resource] = listed.items;
  }
  const { roles = [], clusterroles = [], rolebindings = [], clusterrolebindings = [] } = lists;
  const objects = {
    roles,
    clusterRoles: clusterroles,
    roleBindings: rolebindings,
    clusterRoleBindings: clusterrolebindings,
  };
  return { kind: 'read', state: readRbac(objects) };
}

// The server is believed in nothing but what it says: what is not of the form of these objects is not there.

const readers = [
  ['clusterrolebindings', toBinding],
  ['rolebindings', toBinding],
  ['clusterroles', toRole],
  ['roles', toRole],
] as const;

function toRole(item: Item): KubeObject | undefined {
  const base = toObject(item);
  if (base === undefined) return undefined;
  const { aggregationRule } = item;
  const selectors = isObject(aggregationRule) ? list(aggregationRule['clusterRoleSelectors']).map(toSelector) : [];
  return {
    ...base,
    rules: list(item['rules']).map(toRule),
    ...(selectors.length > 0 && { aggregationRule: { clusterRoleSelectors: selectors } }),
  };
}

function toBinding(item: Item): KubeObject | undefined {
  const base = toObject(item);
  const { roleRef } = item;
  if (base === undefined || !isObject(roleRef)) return undefined;
  return {
    ...base,
    roleRef: { kind: word(roleRef['kind']), name: word(roleRef['name']) },
    subjects: list(item['subjects']).map(toSubject),
  };
}

function toObject({ metadata }: Item): KubeObject | undefined {
  if (!isObject(metadata) || typeof metadata['name'] !== 'string') return undefined;
  const { name, namespace, labels } = metadata;
  return {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: '',
    metadata: {
      name: word(name),
      ...(typeof namespace === 'string' && { namespace: word(namespace) }),
      labels: textMap(labels),
    },
  };
}

function toRule(rule: Item): Rule {
  const { apiGroups, resources, verbs, resourceNames, nonResourceURLs } = rule;
  return {
    verbs: texts(verbs),
    apiGroups: texts(apiGroups),
    resources: texts(resources),
    ...(resourceNames !== undefined && { resourceNames: texts(resourceNames) }),
    ...(nonResourceURLs !== undefined && { nonResourceURLs: texts(nonResourceURLs) }),
  };
}

function toSubject({ kind, name, namespace }: Item): Subject {
  return {
    kind: word(kind),
    name: word(name),
    ...(typeof namespace === 'string' && namespace !== '' && { namespace: word(namespace) }),
  };
}

function toSelector({ matchLabels, matchExpressions }: Item): Item {
  return {
    matchLabels: textMap(matchLabels),
    matchExpressions: list(matchExpressions).map(({ key, operator, values }) => ({
      key: word(key),
      operator: word(operator),
      values: texts(values),
    })),
  };
}

function textMap(value: unknown): Readonly<Record<string, string>> {
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([key, text]) => [key, asText(text)])) : {};
}

function list(value: unknown): Item[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isObject) : [];
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(word) : [];
}

// To the letter: what is cleaned here could pass for another. It is made fit for a terminal where it is shown.
const word = (value: unknown) => asText(value ?? '');
