import { readAuthority } from '../../shared/net/certificates.ts';
import { shellFlag, shellWord } from '../../shared/shell.ts';
import { buildCluster, buildContext, buildUser } from '../kubeconfig/entry.ts';
import type { CheckedCluster } from '../kubeconfig/cluster-fields.ts';
import { type SignInFlags, toArguments } from '../settings/flags.ts';
import type { Settings } from '../settings/sign-in.ts';
import { toYaml } from './yaml.ts';

/** The cluster as developers reach it. */
export interface DeveloperCluster extends Omit<CheckedCluster, 'namespace'> {
  /** Of the context, and of the cluster. */
  readonly name: string;
  readonly namespace: string | undefined;
}

/** How people sign in: what an entry says, and nothing of how the admin does. */
export interface DeveloperSignIn {
  readonly settings: Settings;
  readonly flags: SignInFlags;
}

const ownChoices = [
  'login',
  'account',
  'cache',
  'minValidity',
  'loginTimeout',
] as const satisfies (keyof SignInFlags)[];

function forEverybody(flags: SignInFlags): SignInFlags {
  const own: readonly string[] = ownChoices;
  return Object.fromEntries(Object.entries(flags).filter(([name]) => !own.includes(name)));
}

/** `kleis kubeconfig add …`, with capitals where somebody has to fill something in. @param files of the authorities */
export function kubeconfigCommand(
  cluster: DeveloperCluster,
  { flags }: DeveloperSignIn,
  files: { readonly cluster: string; readonly provider: string },
): string[] {
  const { name, server, certificateAuthority, tlsServerName, namespace } = cluster;
  const {
    certificateAuthority: file,
    certificateAuthorityData: data,
    clientSecretFile,
    clientKeyFile,
    ...rest
  } = flags;
  const words = [
    ...(server === undefined ? ['--server=https://API-SERVER:6443'] : [`--server=${server}`]),
    ...(server !== undefined && certificateAuthority === undefined
      ? []
      : [`--cluster-certificate-authority=${files.cluster}`]),
    ...(tlsServerName === undefined ? [] : [`--tls-server-name=${tlsServerName}`]),
    ...(namespace === undefined ? [] : [`--namespace=${namespace}`]),
    ...toArguments(rest),
    ...(clientSecretFile === undefined ? [] : ['--client-secret-file=FILE']),
    ...(clientKeyFile === undefined ? [] : ['--client-key-file=FILE']),
    ...((file ?? data) === undefined ? [] : [`--certificate-authority=${files.provider}`]),
  ];
  const quoted = words.map((word) => shellFlag(word, 'linux', 4000));
  return fold(['kleis kubeconfig add', shellWord(name, 'linux', 4000), ...quoted]);
}

const longest = 90;

/** Broken between words as a shell takes it. */
function fold(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < longest) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(last === undefined ? word : `    ${word}`);
  }
  return lines.map((line, index) => (index < lines.length - 1 ? `${line} \\` : line));
}

/**
 * A kubeconfig that works as it is; undefined where it cannot: without a server, or where a client has a secret, which
 * is a file of each person.
 */
export async function kubeconfigFile(cluster: DeveloperCluster, signIn: DeveloperSignIn): Promise<string | undefined> {
  const { name, server, namespace } = cluster;
  const { settings } = signIn;
  if (server === undefined || (settings.clientSecretFile ?? settings.clientKeyFile) !== undefined) return undefined;
  const { certificateAuthority: _, ...flags } = forEverybody(signIn.flags);
  const pem = await readAuthority(settings.certificateAuthority);
  const args = toArguments({
    ...flags,
    ...(pem !== undefined && { certificateAuthorityData: Buffer.from(pem).toString('base64') }),
  });
  const user = `kleis-${name}`;
  return toYaml({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ cluster: buildCluster({ ...cluster, extension: undefined }, {}), name }],
    contexts: [{ context: buildContext({ cluster: name, user, namespace }, {}), name }],
    'current-context': name,
    users: [{ name: user, user: buildUser(args, {}, 'linux') }],
  });
}
