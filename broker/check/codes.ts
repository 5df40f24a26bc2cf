import { warningCodes } from '../config/warning-codes.ts';

/** What `check` finds beside the warnings of a configuration: stable codes, and what each is about. For docs/rbac.md too. */
export const checkCodes: readonly { readonly codes: readonly string[]; readonly about: string }[] = [
  {
    codes: ['config'],
    about: 'faults of the configuration, or that there is none. Warnings have the codes of [grants.md](grants.md)',
  },
  {
    codes: ['files', 'file-missing', 'file-unusable'],
    about:
      'files that the configuration names are there, and hold what they should, in a pod its token and authority too; the audit can be written. Left out with `--no-files`',
  },
  {
    codes: ['issuer', 'issuer-keys', 'issuer-shared'],
    about: 'with `--online`: an issuer gives keys that can be used, and is told from others of its URL',
  },
  {
    codes: ['cluster', 'cluster-unusable'],
    about:
      'with `--online`, where its credentials are: a cluster answers the broker under its own account, and the policy is in force there',
  },
  { codes: ['version'], about: 'the API server is 1.30 or later' },
  {
    codes: ['tokens', 'audience-foreign', 'audience-shared', 'audiences-unknown', 'ttl-shortened'],
    about: "audiences of cluster and issuers; the API server's longest lifetime against `ttl.max`",
  },
  {
    codes: ['policy', 'policy-missing', 'policy-changed'],
    about: 'both policies and their bindings, compared with what `rbac` prints',
  },
  {
    codes: ['policy-in-force', 'namespaces-policy-in-force'],
    about: 'proved by a dry run: as the broker, and as somebody who could write there but for the policy',
  },
  {
    codes: ['broker', 'object-missing', 'object-changed', 'broker-binding-extra', 'left-over'],
    about:
      "the broker's own objects, what adds to its rights, what it no longer needs: a kill switch that is left over keeps tokens alive",
  },
  {
    codes: ['account', 'account-missing', 'role-missing', 'binding-missing', 'binding-extra', 'kill-switch-missing'],
    about: "a grant's account has what `access` says, no less and no more; `role-missing` is about ClusterRoles too",
  },
  {
    codes: ['group-binding'],
    about:
      'rights that accounts have through `system:authenticated`, `system:serviceaccounts` or the group of their namespace',
  },
  { codes: ['escape'], about: 'the account can get more than the grant says, or for longer: see below' },
  { codes: ['escape-by-pods'], about: 'it can do so by way of pods, or reads a Secret by name' },
  {
    codes: ['access-review'],
    about: "the API server's own answer agrees (there may be other authorizers than RBAC)",
  },
  {
    codes: ['others-impersonate', 'others-policies', 'others-above'],
    about:
      'who may be somebody else, change policies, or get around them in another way: they stand above the policies',
  },
  {
    codes: ['writer', 'writer-missing'],
    about: 'an account of `namespaces.writers` is there: of one that is not, whoever makes it has the right',
  },
  {
    codes: ['others-write', 'others-mint'],
    about: "who could write in Kleis's namespaces but for the policy; who has power over accounts named elsewhere",
  },
];

export interface Rule {
  readonly about: string;
  /** Where it is explained. */
  readonly page: string;
  readonly level: 'error' | 'warning';
}

/** @param code one of `check`, or of the warnings of a configuration */
export function ruleOf(code: string): Rule | undefined {
  const warning = (warningCodes as Readonly<Record<string, string>>)[code];
  if (warning !== undefined) return { about: warning, page: 'docs/grants.md#warnings', level: 'warning' };
  const known = checkCodes.find(({ codes }) => codes.includes(code));
  return known && { about: known.about, page: 'docs/rbac.md#kleis-broker-check', level: 'error' };
}
