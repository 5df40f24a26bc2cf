import type { Rule } from './kinds.ts';
import { type Severity, words, type Word } from './powers-table.ts';

/** Something that lets whoever may do it get more than the grant says, or for longer. */
export interface Power {
  readonly id: string;
  readonly severity: Severity;
  readonly may: string;
}

/** What is dangerous in the rules of one Role or ClusterRole, bound in a namespace or in the whole cluster. */
export function findPowers(rules: readonly Rule[], scope: 'namespace' | 'cluster'): Power[] {
  const found = new Map<string, Power>();
  for (const word of words) {
    const { id, may, named = 'nothing' } = word;
    const severity = severityOf(word, scope);
    if (severity === 'none') continue;
    const hits = rules.filter((rule) => covers(rule, word));
    if (hits.some(({ resourceNames = [] }) => resourceNames.length === 0)) keepWorse(found, { id, severity, may });
    else if (hits.length > 0 && named !== 'nothing') {
      const names = [...new Set(hits.flatMap(({ resourceNames = [] }) => resourceNames))];
      const only = `${may}, but only of ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;
      keepWorse(found, { id, severity: named === 'warning' ? 'warning' : severity, may: only });
    }
  }
  return [...found.values()];
}

function severityOf({ severity, scope: needed, inNamespace }: Word, scope: 'namespace' | 'cluster'): Word['severity'] {
  if (scope === 'cluster') return severity;
  return needed === 'cluster' ? 'none' : (inNamespace ?? severity);
}

/** Several words may be of one power: the first of the worst is told. */
function keepWorse(found: Map<string, Power>, power: Power): void {
  const other = found.get(power.id);
  const limited = (each: Power) => each.may.includes(', but only of ');
  if (
    other === undefined ||
    (other.severity === 'warning' && power.severity === 'error') ||
    (other.severity === power.severity && limited(other) && !limited(power))
  ) {
    found.set(power.id, power);
  }
}

/** Whether a rule gives any of what the word is about. */
function covers(rule: Rule, { groups, resources, verbs }: Word): boolean {
  return (
    (groups === '*' || groups.some((group) => allows(rule.apiGroups, group))) &&
    verbs.some((verb) => allows(rule.verbs, verb)) &&
    coversResources(rule.resources ?? [], resources)
  );
}

function coversResources(patterns: readonly string[], resources: Word['resources']): boolean {
  if (resources === '*/*') return patterns.length > 0;
  if (resources === '*') return patterns.some((pattern) => !pattern.includes('/'));
  return resources.some((resource) => coversResource(patterns, resource));
}

/** As the RBAC authorizer compares: `*`, the resource with its subresource, or `*` and the subresource. */
function coversResource(patterns: readonly string[], resource: string): boolean {
  const slash = resource.indexOf('/');
  if (resource.endsWith('/*')) {
    const above = resource.slice(0, -1);
    return patterns.some((pattern) => pattern === '*' || pattern.startsWith('*/') || pattern.startsWith(above));
  }
  return allows(patterns, resource) || (slash > 0 && patterns.includes(`*${resource.slice(slash)}`));
}

/** A value of the table that ends with `:` stands for everything that begins so and is spelled out in the rule. */
function allows(patterns: readonly string[] | undefined, value: string): boolean {
  if (patterns === undefined) return false;
  if (value.endsWith(':')) return patterns.some((pattern) => pattern.startsWith(value));
  return patterns.includes('*') || patterns.includes(value);
}

/**
 * Whether the table has a word on this verb of this resource, be it that it is harmless.
 *
 * @internal for the test that compares it with what API servers discover
 */
export function isKnown(group: string, resource: string, verb: string): boolean {
  return words.some((word) => covers({ apiGroups: [group], resources: [resource], verbs: [verb] }, word));
}
