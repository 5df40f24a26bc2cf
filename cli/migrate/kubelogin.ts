import type { Plugin } from '../kubeconfig/method.ts';
import type { FlagTable } from './go-flags.ts';
import { OldFlags, Translation, Untranslatable } from './translation.ts';

// int128/kubelogin, pkg/cmd/get_token.go, authentication.go, tls.go and tokencache.go, 1.20 to 1.36.

const table: FlagTable = {
  'oidc-issuer-url': 'text',
  'oidc-client-id': 'text',
  'oidc-client-secret': 'text',
  'oidc-redirect-url': 'text',
  'oidc-redirect-url-hostname': 'text',
  'oidc-redirect-url-authcode-keyboard': 'text',
  'oidc-extra-scope': 'list',
  'oidc-use-access-token': 'switch',
  'oidc-use-pkce': 'switch',
  'oidc-pkce-method': 'text',
  'oidc-request-header': 'pairs',
  'oidc-auth-request-extra-params': 'pairs',
  'force-refresh': 'switch',
  'token-cache-dir': 'text',
  'token-cache-storage': 'text',
  'certificate-authority': 'each',
  'certificate-authority-data': 'each',
  'insecure-skip-tls-verify': 'switch',
  'tls-renegotiation-once': 'switch',
  'tls-renegotiation-freely': 'switch',
  'grant-type': 'text',
  'listen-address': 'list',
  'listen-port': 'list',
  'skip-open-browser': 'switch',
  'browser-command': 'text',
  'authentication-timeout-sec': 'text',
  'local-server-cert': 'text',
  'local-server-key': 'text',
  'open-url-after-authentication': 'text',
  username: 'text',
  password: 'text',
  // klog's.
  v: 'text',
  vmodule: 'text',
  logtostderr: 'switch',
  alsologtostderr: 'switch',
};

const reasons: Readonly<Record<string, string>> = {
  'oidc-redirect-url-authcode-keyboard': 'Kleis takes the address that the browser ends at',
  'oidc-use-pkce': 'Kleis always does',
  'oidc-pkce-method': 'Kleis always uses S256',
  'oidc-request-header': 'Kleis sends no headers of others',
  'force-refresh': 'Kleis renews a token when it has to',
  'token-cache-dir': 'Kleis keeps sessions in a place of its own',
  'insecure-skip-tls-verify': 'Kleis verifies every certificate; --certificate-authority FILE names yours',
  'tls-renegotiation-once': 'Kleis never renegotiates',
  'tls-renegotiation-freely': 'Kleis never renegotiates',
  'skip-open-browser': 'Kleis shows the address beside; --login paste opens nothing',
  'browser-command': 'no kubeconfig may name one: browserCommand in config.yaml does',
  'local-server-cert': 'Kleis listens with http on loopback alone',
  'local-server-key': 'Kleis listens with http on loopback alone',
  'open-url-after-authentication': 'Kleis shows a page of its own',
  username: 'Kleis takes no passwords: the provider asks you',
  password: 'Kleis takes no passwords: the provider asks you',
  v: '--verbose and KLEIS_LOG say more',
  vmodule: '--verbose and KLEIS_LOG say more',
  logtostderr: 'Kleis writes to stderr',
  alsologtostderr: 'Kleis writes to stderr',
};

/** Undefined if it is another program. */
export function kubeloginArgs({ program, args }: Plugin): readonly string[] | undefined {
  const rest = program === 'kubectl' ? (args[0] === 'oidc-login' ? args.slice(1) : undefined) : args;
  if (!['kubectl', 'kubelogin', 'kubectl-oidc_login', 'kubectl-oidc-login'].includes(program)) return undefined;
  if (rest?.[0] !== 'get-token' || !rest.some((each) => each.startsWith('--oidc-'))) return undefined;
  return rest.slice(1);
}

/** Throws `Untranslatable`, and `config_invalid` for a certificate authority. */
export async function translateKubelogin(args: readonly string[]): Promise<Translation> {
  const old = new OldFlags(args, table);
  const result = new Translation('kubelogin');
  const issuer = old.text('oidc-issuer-url');
  if (issuer === undefined) throw new Untranslatable('names no issuer');
  result.take('--oidc-issuer-url', 'issuerUrl', issuer);
  const client = old.text('oidc-client-id');
  if (client !== undefined) result.take('--oidc-client-id', 'clientId', client);
  result.takeSecret('--oidc-client-secret', old.text('oidc-client-secret') ?? '');
  const scopes = old.list('oidc-extra-scope').filter((scope) => scope !== 'openid');
  if (scopes.length > 0) result.take('--oidc-extra-scope', 'scope', scopes);
  if (old.isOn('oidc-use-access-token')) result.take('--oidc-use-access-token', 'token', 'access');
  result.takeParams('--oidc-auth-request-extra-params', old.list('oidc-auth-request-extra-params'));
  takeGrantType(old.text('grant-type') ?? 'auto', result);
  const redirect = old.text('oidc-redirect-url');
  if (redirect !== undefined) result.takeRedirect('--oidc-redirect-url', redirect);
  const host = old.text('oidc-redirect-url-hostname');
  const [addresses, ports] = [old.list('listen-address'), old.list('listen-port')];
  if (addresses.length > 0) result.takeListening('--listen-address', addresses, host);
  else if (ports.length > 0)
    result.takeListening(
      '--listen-port',
      ports.map((port) => `:${port}`),
      host,
    );
  else if (host !== undefined) result.takeListening('--oidc-redirect-url-hostname', [':8000', ':18000'], host);
  const seconds = old.text('authentication-timeout-sec');
  if (seconds !== undefined) result.take('--authentication-timeout-sec', 'loginTimeout', `${seconds}s`);
  const storage = old.text('token-cache-storage');
  if (storage === 'keyring' || storage === 'none') result.take('--token-cache-storage', 'cache', storage);
  if (storage === 'disk') result.take('--token-cache-storage', 'cache', 'file');
  await result.takeAuthorities(
    old.list('certificate-authority'),
    old.list('certificate-authority-data'),
    '--certificate-authority',
  );
  old.leaveRest(result, reasons);
  return result;
}

function takeGrantType(grantType: string, result: Translation): void {
  const logins: Readonly<Record<string, string>> = {
    authcode: 'browser',
    'authcode-keyboard': 'paste',
    'device-code': 'device',
  };
  const login = logins[grantType];
  if (login !== undefined) result.take('--grant-type', 'login', login);
  else if (grantType === 'client-credentials') result.take('--grant-type', 'identity', 'client-credentials');
  else if (grantType !== 'auto') result.leave('--grant-type', 'Kleis takes no passwords: the provider asks you');
}
