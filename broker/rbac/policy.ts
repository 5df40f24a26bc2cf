import { documentUrl } from '../../shared/document-url.ts';
import { type Manifest, policyBindingKind, policyKind } from './kinds.ts';

export interface Validation {
  readonly message: string;
  readonly expression: string;
}

/** Where a refusal sends its reader on. */
export function pageOf(anchor: string): string {
  return documentUrl(`docs/rbac.md#${anchor}`);
}

/** Whoever is impersonated has none, unless the impersonator may also set `userextras`. */
export const hasCredential =
  "request.userInfo.?extra['authentication.kubernetes.io/credential-id'].orValue([]).size() > 0";

// Every default of the API is spelled out, so that `check` can compare what it finds.
export const everything = {
  matchPolicy: 'Equivalent',
  objectSelector: {},
  resourceRules: [{ apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*/*'], scope: '*' }],
} as const;

/** A policy and its binding. */
export function policy(
  name: string,
  comment: string,
  spec: Readonly<Record<string, unknown>>,
  bound: string,
): Manifest[] {
  return [
    { comment, object: { ...policyKind, metadata: { name }, spec: { failurePolicy: 'Fail', ...spec } } },
    {
      comment: bound,
      object: { ...policyBindingKind, metadata: { name }, spec: { policyName: name, validationActions: ['Deny'] } },
    },
  ];
}
