import { open } from 'node:fs/promises';
import packageJson from '../../package.json' with { type: 'json' };
import { KleisError } from '../../shared/errors.ts';
import { isObject, formatJson } from '../../shared/json.ts';
import { withoutPassword } from '../../shared/net/proxy.ts';
import { systemCode, systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import { readToken } from '../get-token/present.ts';
import type { ContextSettings } from '../settings/of-context.ts';
import { configRows, loadConfig } from '../settings/person.ts';
import type { Deps } from '../surroundings/deps.ts';
import { thisProcess } from '../surroundings/process.ts';
import type { Present } from '../get-token/present.ts';
import type { Examined } from './examine.ts';
import { redact } from './redact.ts';

/** What stands in a bundle, for who sends it to read first. */
const contents = [
  'the findings of kleis doctor, with the names and addresses in them',
  'versions of Kleis and Node, and the platform',
  'the context: its name, server, and how it runs Kleis; of environment variables the names alone',
  'your settings, and the proxy variables without user and password',
  'the session: provider, client, scopes, times; who is signed in',
  'the token: issuer, audience, algorithm, times, and the names of its other claims',
  'no token, no secret, no password, no certificate, no cookie',
];

/** Everything that may help somebody else to help, and nothing that opens a door. */
export async function readBundle({ findings, entry, present }: Examined, deps: Deps): Promise<Record<string, unknown>> {
  const config = await loadConfig(entry?.deps ?? deps).catch(() => undefined);
  const bundle = {
    kind: 'kleis support bundle',
    contents,
    createdAt: new Date(deps.clock.now()).toISOString(),
    kleis: packageJson.version,
    node: thisProcess.nodeVersion,
    platform: deps.platform,
    findings,
    context: entry && describeContext(entry),
    settings: config && configRows(config).map(({ key, value, source }) => ({ key, value, source })),
    environment: describeEnvironment(entry?.deps.env ?? deps.env),
    session: present && describeSession(present),
    token: present && describeClaims(present),
  };
  return redact(bundle, secretsOf(present));
}

function describeContext({ entry, cluster, extension }: ContextSettings): Record<string, unknown> {
  const { context, namespace, user, exec, args, env } = entry;
  const proxy = cluster['proxy-url'];
  return {
    context,
    namespace,
    user,
    server: cluster.server,
    command: exec['command'],
    apiVersion: exec['apiVersion'],
    interactiveMode: exec['interactiveMode'],
    provideClusterInfo: exec['provideClusterInfo'],
    args: args.map(plainArgument),
    env: Object.keys(env),
    extension: isObject(extension) ? extension : undefined,
    tlsServerName: cluster['tls-server-name'],
    insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'],
    proxy: proxy === undefined ? undefined : withoutPassword(proxy),
    hasAuthority: cluster['certificate-authority-data'] !== undefined,
  };
}

/** Parameters for the provider may hold anything; certificates are long. */
function plainArgument(argument: string, index: number, all: readonly string[]): string {
  const hides = /^--(auth-param|certificate-authority-data|broker-certificate-authority-data)(=|$)/;
  const name = hides.exec(argument)?.[1];
  if (name !== undefined) return argument.includes('=') ? `--${name}=…` : argument;
  return hides.test(all[index - 1] ?? '') && !(all[index - 1] ?? '').includes('=') ? '…' : argument;
}

const proxies = ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'];
const plain =
  /^(NO_PROXY|no_proxy|KLEIS_(STATE_DIR|CACHE_DIR|LOG)|KUBECONFIG|KUBERC|PATH|SHELL|TERM|CI|XDG_[A-Z]+_(DIR|HOME)|SSL_CERT_(FILE|DIR)|DISPLAY|WAYLAND_DISPLAY)$/;

function describeEnvironment(env: Deps['env']): Record<string, string> {
  const entries = Object.entries(env).flatMap(([name, value]) => {
    if (value === undefined || value === '') return [];
    if (proxies.includes(name)) return [[name, withoutPassword(value)] as const];
    return plain.test(name) ? [[name, clean(value, 2000)] as const] : [];
  });
  return Object.fromEntries(entries);
}

function describeSession({ session, name, platform, expiresAt }: Present): Record<string, unknown> {
  return {
    name,
    platform,
    expiresAt: time(expiresAt),
    ...(session && {
      issuer: session.what.issuerUrl,
      clientId: session.what.clientId,
      scopes: session.what.scopes,
      audience: session.what.audience,
      resource: session.what.resource,
      storage: session.storage,
      generation: session.generation,
      renewsItself: session.tokens.refreshToken !== undefined,
      signedInAt: time(session.signedInAt),
      refreshedAt: time(session.refreshedAt),
    }),
  };
}

function time(value: number | undefined): string | undefined {
  return value === undefined ? undefined : new Date(value).toISOString();
}

function describeClaims({ token }: Present): Record<string, unknown> {
  const jwt = readToken(token);
  if (jwt === undefined) return { form: 'opaque' };
  const { iss, aud, exp, iat, nbf, ...others } = jwt.claims;
  const { alg, kid, typ } = jwt.header;
  return { form: 'JWT', alg, kid, typ, iss, aud, exp, iat, nbf, otherClaims: Object.keys(others).slice(0, 200) };
}

function secretsOf(present: Present | undefined): string[] {
  if (present === undefined) return [];
  const { token, session } = present;
  const { idToken, accessToken, refreshToken, dpopKey } = session?.tokens ?? {};
  const texts = [token, idToken, accessToken, refreshToken].flatMap((each) =>
    each === undefined ? [] : [each.reveal()],
  );
  return typeof dpopKey?.d === 'string' ? [...texts, dpopKey.d] : texts;
}

/** A new file that only its owner can read. Throws `storage_unavailable`, for one that is there already too. */
export async function writeBundle(file: string, bundle: Record<string, unknown>, deps: Deps): Promise<void> {
  const name = clean(file, 400);
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile(formatJson(bundle));
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    const why =
      systemCode(error) === 'EEXIST' ? 'it is there already, and nothing is overwritten' : systemReason(error);
    throw new KleisError('storage_unavailable', `${name} cannot be written: ${why}.`, {
      hint: 'Name another file with --bundle.',
      cause: error,
    });
  }
  deps.report.info(`Wrote ${name}, which only you can read. Look at it before you send it. In it:`);
  for (const line of contents) deps.report.info(`  ${line}`);
}
