/** Legal and unwise: each warning that there is, and why. Stable. For docs/grants.md and `check -o sarif`. */
export const warningCodes = {
  'no-id-claim': "no claim is stated by value that identifies the project, so somebody else's can meet the rest",
  'name-not-id': 'a name passes on when a project is renamed, moved or deleted',
  'sub-string': "`sub` is other claims strung together, in a form that the project's administrator can change",
  'no-protection': 'whoever can push a branch or a tag can meet it',
  'environment-per-repository':
    "each project names its own environments: without its id, anybody's `production` will do",
  'foreign-code':
    "`pull_request_target`, `workflow_run` and `issue_comment` run with the rights of the default branch and can run a stranger's code",
  'fork-code': '`job_project_id` says where a pipeline runs, not whose code it runs',
  'weak-claim': 'chosen by whoever sets the run off',
  'claim-type': 'the platform sends this claim as another type (mostly a text), so the value never matches',
  'literal-star': 'a `*` outside of `glob` is a star',
  'glob-broad': 'a pattern that matches nearly everything',
  'glob-without-star': 'a pattern without a star matches only itself',
  'glob-like-regex': 'a pattern of another kind: `glob` knows `*` alone',
  'regex-unanchored': '`matches` looks anywhere in the text',
  'long-unrevocable': 'lives longer than an hour, and nothing can take it back',
  'no-access': 'without `access`, nothing binds the account and nothing can be compared',
  'default-account': 'pods get this account unless told otherwise',
  'broad-role': 'the stock ClusterRoles cluster-admin, admin and edit hold by design what outlives a token',
  'system-namespace': 'rights in `kube-system` can be rights over the cluster',
  'shared-audience': 'tokens that were made for somebody else carry this audience too',
  'admission-optional': 'without the admission policy, RBAC alone confines the broker; see the threat model',
  'file-empty': 'a file of the folder has nothing in it: what stood there is gone',
  'platform-unknown':
    'nobody can tell by its address whose tokens the issuer gives out, so nothing above is found in its grants: write `platform`',
  'ssh-rerun': 'CircleCI: whoever starts a job again with SSH is inside of it',
  'state-memory': 'leases and replay protection end with the process',
} as const satisfies Readonly<Record<string, string>>;

export type WarningCode = keyof typeof warningCodes;
