import { formatJson } from '../../shared/json.ts';
import { KleisError } from '../../shared/errors.ts';
import type { AmbientSettings } from '../settings/ambient.ts';
import { describeSettings } from '../settings/origins.ts';
import { loadConfig } from '../settings/person.ts';
import { type ContextSettings, contextSettings } from '../settings/of-context.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { SignInFlags, TokenFlags } from '../settings/flags.ts';
import { checkCertificates } from '../../shared/net/certificates.ts';
import { checkCluster, checkServer } from '../kubeconfig/cluster-fields.ts';
import { printBlock } from '../kubeconfig/print.ts';
import { clusterIdentity, type ExecCluster } from '../kubeconfig/cluster-identity.ts';
import { scriptToken, type TokenText } from '../get-token/script-token.ts';
import { allowClientFiles } from '../session/client-files.ts';
import { isAmbient, resolveRequest, type Settings } from '../settings/sign-in.ts';

/** `kleis token`: what kubectl would get, for scripts. */
export async function token(flags: TokenFlags, surroundings: Deps): Promise<void> {
  const { settings: given, entry, deps } = await settingsFor(flags, surroundings);
  const settings = flags.signIn === true ? anew(given) : given;
  const byPerson = (flags.clientSecretFile ?? flags.clientKeyFile) !== undefined;
  await allowClientFiles(settings, { byPerson, mayAsk: deps.stdin.isTTY }, deps);
  const cluster = await targetOf(flags, entry);
  if (flags.output === 'kubeconfig' && cluster === undefined) {
    throw new KleisError('usage', 'A kubeconfig needs to know the cluster.', {
      hint: 'Name it with --server and --cluster-certificate-authority, or a context with --context.',
    });
  }
  const text = await scriptToken(settings, entry?.identity ?? (cluster && clusterIdentity(cluster)), deps);
  deps.stdout.write(format(flags, text, cluster));
}

/** A sign-in, whatever is kept. Throws `usage` where nobody signs in. */
function anew(settings: Settings | AmbientSettings): Settings {
  if (isAmbient(settings) || settings.identity === 'client-credentials') {
    throw new KleisError('usage', '--sign-in is for people, and here nobody signs in.', {
      hint: '--force gets a new token.',
    });
  }
  return { ...settings, force: true, signIn: true };
}

/** Flags, and where they name neither provider nor identity nor broker, those of a context of the kubeconfig below them. */
export async function settingsFor(
  flags: SignInFlags & { readonly context?: string; readonly kubeconfig?: string },
  surroundings: Deps,
): Promise<{
  readonly settings: Settings | AmbientSettings;
  readonly entry: ContextSettings | undefined;
  /** Those of the context. */
  readonly deps: Deps;
}> {
  const alone = flags.issuerUrl ?? flags.identity ?? flags.broker;
  const entry =
    flags.context !== undefined || alone === undefined ? await contextSettings(flags, surroundings) : undefined;
  const deps = entry?.deps ?? surroundings;
  const person = await loadConfig(deps);
  const all = { ...entry?.flags, ...flags };
  deps.report.debug(describeSettings(all, entry?.extension, person));
  return { settings: resolveRequest(all, entry?.extension, person.choices), entry, deps };
}

type Target = Pick<
  ExecCluster,
  'server' | 'tls-server-name' | 'certificate-authority-data' | 'insecure-skip-tls-verify' | 'proxy-url'
>;

/**
 * The cluster that a kubeconfig or the variables are to name: that of the flags, else that of the context. What is
 * printed is checked as `kubeconfig add` does, wherever it comes from.
 */
async function targetOf(flags: TokenFlags, entry: ContextSettings | undefined): Promise<Target | undefined> {
  const { server, certificateAuthority, tlsServerName } = await checkCluster(flags);
  const base: Target | undefined = server === undefined ? entry?.cluster : { server };
  if (base === undefined) return undefined;
  const { 'insecure-skip-tls-verify': insecure, ...rest } = base;
  const cluster = {
    ...rest,
    ...(insecure === true && certificateAuthority === undefined && { 'insecure-skip-tls-verify': true }),
    ...(tlsServerName !== undefined && { 'tls-server-name': tlsServerName }),
    ...(certificateAuthority !== undefined && { 'certificate-authority-data': toBase64(certificateAuthority) }),
  };
  return flags.output === 'kubeconfig' || flags.output === 'env' ? checkPrinted(cluster) : cluster;
}

function checkPrinted(cluster: Target): Target {
  checkServer('The server', cluster.server);
  const data = cluster['certificate-authority-data'];
  if (data === undefined) return cluster;
  const text = checkCertificates(Buffer.from(data, 'base64').toString(), 'The certificate authority of the cluster');
  return { ...cluster, 'certificate-authority-data': toBase64(text) };
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function format(flags: TokenFlags, text: TokenText, cluster: Target | undefined): string {
  switch (flags.output) {
    case 'json':
      return formatJson(text);
    case 'env':
      return formatVariables(text, cluster);
    case 'kubeconfig':
      return formatKubeconfig(text, cluster, flags.namespace);
    case 'token':
      return `${text.token}\n`;
  }
}

/** For `eval` in a POSIX shell. The names are those that Terraform's Kubernetes and Helm providers read. */
function formatVariables(text: TokenText, cluster: Target | undefined): string {
  const authority = cluster?.['certificate-authority-data'];
  const variables = {
    KUBE_TOKEN: text.token,
    KUBE_TOKEN_EXPIRES_AT: text.expiresAt,
    KUBE_HOST: cluster?.server,
    KUBE_CLUSTER_CA_CERT_DATA: authority === undefined ? undefined : Buffer.from(authority, 'base64').toString('utf8'),
    KUBE_TLS_SERVER_NAME: cluster?.['tls-server-name'],
  };
  return Object.entries(variables)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `export ${name}='${String(value).replaceAll("'", String.raw`'\''`)}'\n`)
    .join('');
}

/** With the token itself in it, until that ends: for programs that run no plugin. */
function formatKubeconfig(text: TokenText, cluster: Target | undefined, namespace: string | undefined): string {
  const name = 'kleis';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': name,
    clusters: [{ cluster: withoutConfig(cluster), name }],
    contexts: [{ context: { cluster: name, ...(namespace !== undefined && { namespace }), user: name }, name }],
    users: [{ name, user: { token: text.token } }],
  };
  const end = text.expiresAt === undefined ? '' : `# Until ${text.expiresAt}.\n`;
  return `${end}${printBlock(config, { listIndent: 0 }).join('\n')}\n`;
}

function withoutConfig(cluster: Target | undefined): Record<string, unknown> {
  const { config: _config, ...rest } = (cluster ?? {}) as Partial<ExecCluster>;
  return rest;
}
