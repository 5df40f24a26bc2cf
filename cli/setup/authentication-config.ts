import type { ApiVersion } from './flags.ts';
import { type MappedClaim, leavesSystemOpen } from './mapping.ts';

/** What an API server is to know of one provider. */
export interface ApiServerWants {
  readonly issuer: string;
  /** Whom tokens must be for. */
  readonly audience: string;
  /** PEM; undefined: what the machine of the API server trusts. */
  readonly certificateAuthority: string | undefined;
  readonly username: MappedClaim;
  readonly groups: MappedClaim | undefined;
  /** The claim of the groups is text, not a list. */
  readonly groupsAreText: boolean;
  /** What the provider signs with. */
  readonly algorithms: readonly string[];
}

/** What an API server takes at all (kubernetes/apiserver, plugin/pkg/authenticator/token/oidc). */
export const knownAlgorithms = ['RS', 'ES', 'PS'].flatMap((family) =>
  ['256', '384', '512'].map((size) => family + size),
);

/** `apiserver.config.k8s.io`; v1 and v1beta1 have the same fields. */
export function authenticationConfiguration(wants: ApiServerWants, version: ApiVersion): Record<string, unknown> {
  return {
    apiVersion: `apiserver.config.k8s.io/${version}`,
    kind: 'AuthenticationConfiguration',
    jwt: [authenticator(wants)],
  };
}

/** One entry of `jwt`. @param options.byExpressions where a claim may not be named, but for an expression (AKS) */
export function authenticator(
  wants: ApiServerWants,
  { byExpressions = false }: { readonly byExpressions?: boolean } = {},
): Record<string, unknown> {
  const { issuer, audience, certificateAuthority, username, groups } = wants;
  const isShort = (mapped: MappedClaim) => isPlain(mapped) && !byExpressions;
  const open = [username, ...(groups === undefined ? [] : [groups])].some(({ prefix }) => leavesSystemOpen(prefix));
  return {
    issuer: {
      url: issuer,
      audiences: [audience],
      ...(certificateAuthority !== undefined && { certificateAuthority }),
    },
    // What the API server asks by itself of a claim that is called email.
    ...(byExpressions && isPlain(username) && username.path[0] === 'email' && { claimValidationRules: verified }),
    claimMappings: {
      username: isShort(username) ? plain(username) : { expression: usernameExpression(username) },
      ...(groups !== undefined && {
        groups: isShort(groups) ? plain(groups) : { expression: groupsExpression(groups, wants.groupsAreText) },
      }),
    },
    ...(open && { userValidationRules: notOfKubernetes }),
  };
}

const verified = [
  { expression: 'claims.?email_verified.orValue(true) == true', message: 'the address is not verified' },
];

/** Where no prefix keeps the names apart. */
const notOfKubernetes = [
  { expression: "!user.username.startsWith('system:')", message: 'the name begins with system:' },
  {
    expression: "user.groups.all(group, !group.startsWith('system:'))",
    message: 'the name of a group begins with system:',
  },
];

/** Flags take a claim by its name alone, and so does the shorter form of the configuration. */
export function isPlain({ path }: MappedClaim): boolean {
  return path.length === 1;
}

function plain({ path: [claim], prefix }: MappedClaim): Record<string, unknown> {
  return { claim, prefix };
}

/** CEL. A claim that is not there is an error, and the token is refused. */
export function usernameExpression({ path, prefix }: MappedClaim): string {
  return withPrefix(prefix, select(path));
}

/** CEL. A claim that is not there gives no groups. */
export function groupsExpression({ path, prefix }: MappedClaim, isText: boolean): string {
  if (isText) {
    const name = withPrefix(prefix, select(path));
    return `${optional(path)}.hasValue() ? ${name} : ''`;
  }
  const list = `${optional(path)}.orValue([])`;
  // A claim is of the type `any`, over which CEL does not go.
  return prefix === '' ? list : `dyn(${list}).map(each, ${withPrefix(prefix, 'each')})`;
}

function withPrefix(prefix: string, name: string): string {
  return prefix === '' ? name : `${quote(prefix)} + ${name}`;
}

// What follows a dot is a name, but for the words that CEL reads as something else (cel-spec, langdef.md).
const identifier = /^(?!(?:true|false|null|in)$)[A-Za-z_]\w*$/;

function select(path: readonly string[]): string {
  return `claims${path.map((name) => (identifier.test(name) ? `.${name}` : `[${quote(name)}]`)).join('')}`;
}

function optional(path: readonly string[]): string {
  return `claims${path.map((name) => (identifier.test(name) ? `.?${name}` : `[?${quote(name)}]`)).join('')}`;
}

/** A literal of CEL; in single quotes, which YAML need not escape. */
function quote(text: string): string {
  return `'${text.replaceAll(/[\\']/g, (char) => `\\${char}`)}'`;
}

/** What a shell, a unit of systemd or a manifest would take for the end of a flag, or act on. */
const notInFlags = /[\s"'`\\$;&|<>#]/u;

/** The flags of kube-apiserver that mean the same, or why there are none. */
export function oidcFlags(
  wants: ApiServerWants,
  caFile: string,
): { readonly flags: readonly string[] } | { readonly why: string } {
  const { issuer, audience, certificateAuthority, username, groups, algorithms } = wants;
  if (!isPlain(username) || (groups !== undefined && !isPlain(groups))) {
    return { why: 'The flags take a claim by its name alone, and none that is within another.' };
  }
  const flags = [
    `--oidc-issuer-url=${issuer}`,
    `--oidc-client-id=${audience}`,
    ...(certificateAuthority === undefined ? [] : [`--oidc-ca-file=${caFile}`]),
    `--oidc-username-claim=${username.path[0]}`,
    // An empty one means the issuer (oidc.go), and a dash none.
    `--oidc-username-prefix=${username.prefix === '' ? '-' : username.prefix}`,
    ...(groups === undefined ? [] : [`--oidc-groups-claim=${groups.path[0]}`]),
    ...(groups === undefined || groups.prefix === '' ? [] : [`--oidc-groups-prefix=${groups.prefix}`]),
    ...(algorithms.every((each) => each === 'RS256') ? [] : [`--oidc-signing-algs=${algorithms.join(',')}`]),
  ];
  const odd = flags.find((flag) => notInFlags.test(flag));
  if (odd === undefined) return { flags };
  const [name] = odd.split('=');
  return { why: `${name} would hold a character that whoever starts the API server may act on.` };
}
