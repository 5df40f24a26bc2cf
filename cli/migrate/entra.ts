import type { Plugin } from '../kubeconfig/method.ts';
import type { Mapping } from '../kubeconfig/document.ts';
import type { FlagTable } from './go-flags.ts';
import { OldFlags, textIn, Translation, Untranslatable } from './translation.ts';

// Azure/kubelogin, pkg/internal/token/options.go, 0.0.20 to 0.2; and the auth-provider `azure` that it took the place of.

const table: FlagTable = {
  login: 'text',
  l: 'text',
  'server-id': 'text',
  'client-id': 'text',
  'tenant-id': 'text',
  t: 'text',
  environment: 'text',
  e: 'text',
  'client-secret': 'text',
  'client-certificate': 'text',
  'client-certificate-password': 'text',
  username: 'text',
  password: 'text',
  'identity-resource-id': 'text',
  'federated-token-file': 'text',
  'authority-host': 'text',
  'token-cache-dir': 'text',
  'login-hint': 'text',
  'redirect-url': 'text',
  timeout: 'text',
  'pop-enabled': 'switch',
  'pop-claims': 'text',
  legacy: 'switch',
  'use-azurerm-env-vars': 'switch',
  'disable-environment-override': 'switch',
  'disable-instance-discovery': 'switch',
  v: 'text',
};

const reasons: Readonly<Record<string, string>> = {
  username: 'Kleis takes no passwords: Entra asks you',
  password: 'Kleis takes no passwords: Entra asks you',
  'token-cache-dir': 'Kleis keeps sessions in a place of its own',
  timeout: '--login-timeout says how long a sign-in may take',
  legacy: 'the audience is the server itself, without spn:',
  'use-azurerm-env-vars': 'Kleis takes nothing of it from the environment',
  'disable-environment-override': 'Kleis takes nothing of it from the environment',
  'disable-instance-discovery': 'Kleis asks the tenant alone',
  v: '--verbose and KLEIS_LOG say more',
};

const authorities: Readonly<Record<string, string>> = {
  azurepubliccloud: 'https://login.microsoftonline.com',
  azureusgovernmentcloud: 'https://login.microsoftonline.us',
  azureusgovernment: 'https://login.microsoftonline.us',
  azurechinacloud: 'https://login.chinacloudapi.cn',
};
/** What Azure registered for people at clusters of AKS. */
const aksClient = '80faf920-1908-4b52-b5ef-a8e7bedfc67a';

/** Undefined if it is another program. */
export function entraArgs({ program, args }: Plugin): readonly string[] | undefined {
  if (program !== 'kubelogin' && program !== 'azure-kubelogin') return undefined;
  return args[0] === 'get-token' && args.some((each) => each.startsWith('--server-id')) ? args.slice(1) : undefined;
}

/** Throws `Untranslatable`. */
export function translateEntra(args: readonly string[]): Translation {
  const old = new OldFlags(args, table);
  const result = new Translation('Azure kubelogin');
  const login = old.text('login') ?? old.text('l') ?? 'devicecode';
  if (old.isOn('pop-enabled')) throw new Untranslatable('sends tokens that are bound to a key, which Kleis does not');
  const how: Readonly<Record<string, string>> = { devicecode: 'device', interactive: 'browser' };
  const isApp = login === 'spn';
  if (
    ['msi', 'workloadidentity', 'azurepipelines'].includes(login) ||
    (isApp && old.text('client-secret') === undefined)
  ) {
    throw new Untranslatable(`signs in with ${login} and no secret of a client, which Kleis has no counterpart for`);
  }
  const tenant = old.text('tenant-id') ?? old.text('t');
  const [client, server] = [old.text('client-id'), old.text('server-id')];
  const cloud = old.text('environment') ?? old.text('e');
  takeEntra(result, {
    tenant: { from: '--tenant-id', value: tenant },
    server: { from: '--server-id', value: server },
    client: { from: '--client-id', value: login === 'azurecli' || login === 'azd' ? undefined : client },
    authority: { from: '--environment', value: old.text('authority-host') ?? cloud },
    isApp,
  });
  if (isApp) {
    result.take('--login', 'identity', 'client-credentials');
    result.takeSecret('--client-secret', old.text('client-secret') ?? '');
  } else if (how[login] !== undefined) result.take('--login', 'login', how[login]);
  else result.leave('--login', `${login} is replaced by a sign-in of yours with Kleis`);
  const hint = old.text('login-hint');
  if (hint !== undefined) result.take('--login-hint', 'account', hint);
  const redirect = old.text('redirect-url');
  if (redirect !== undefined) result.takeRedirect('--redirect-url', redirect);
  old.leaveRest(result, reasons);
  return result;
}

/** `auth-provider: {name: azure}`, which kubectl 1.26 no longer has. Throws `Untranslatable`. */
export function translateAzureProvider(config: Mapping): Translation {
  const result = new Translation('the removed auth-provider azure');
  takeEntra(result, {
    tenant: { from: 'tenant-id', value: textIn(config, 'tenant-id') },
    server: { from: 'apiserver-id', value: textIn(config, 'apiserver-id') },
    client: { from: 'client-id', value: textIn(config, 'client-id') },
    authority: { from: 'environment', value: textIn(config, 'environment') },
    isApp: false,
  });
  for (const key of ['access-token', 'refresh-token']) {
    if (config[key] !== undefined) result.leave(key, 'it is not taken over: you sign in once');
  }
  return result;
}

interface Said {
  readonly from: string;
  readonly value: string | undefined;
}

interface EntraClient {
  readonly tenant: Said;
  readonly server: Said;
  readonly client: Said;
  /** Of a cloud, or the address itself. */
  readonly authority: Said;
  /** It signs in as itself: without a person there is nothing to renew. */
  readonly isApp: boolean;
}

function takeEntra(result: Translation, { tenant, server, client, authority, isApp }: EntraClient): void {
  if (tenant.value === undefined) throw new Untranslatable('names no tenant');
  if (server.value === undefined) throw new Untranslatable('names no server');
  const cloud = authority.value ?? 'AzurePublicCloud';
  const base = cloud.startsWith('https://') ? cloud.replace(/\/+$/, '') : authorities[cloud.toLowerCase()];
  if (base === undefined) throw new Untranslatable('is for a cloud whose address Kleis does not know');
  result.take(tenant.from, 'issuerUrl', `${base}/${tenant.value}/v2.0`);
  result.take(client.value === undefined ? '(the client of AKS)' : client.from, 'clientId', client.value ?? aksClient);
  // An application that is named by its id alone gives tokens for itself: Microsoft identity platform, `/.default`.
  result.take(server.from, 'scope', [`${server.value}/.default`, ...(isApp ? [] : ['offline_access'])]);
  result.take(`${server.from} (an access token)`, 'token', 'access');
}
