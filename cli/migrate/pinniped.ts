import type { Plugin } from '../kubeconfig/method.ts';
import type { FlagTable } from './go-flags.ts';
import { OldFlags, Translation, Untranslatable } from './translation.ts';

// Pinniped, cmd/pinniped/cmd/login_oidc.go, 0.10 to 0.40.

const table: FlagTable = {
  issuer: 'text',
  'client-id': 'text',
  'listen-port': 'text',
  scopes: 'list',
  'skip-browser': 'switch',
  'skip-listen': 'switch',
  'session-cache': 'text',
  'ca-bundle': 'list',
  'ca-bundle-data': 'list',
  'debug-session-cache': 'switch',
  'request-audience': 'text',
  'enable-concierge': 'switch',
  'concierge-authenticator-type': 'text',
  'concierge-authenticator-name': 'text',
  'concierge-endpoint': 'text',
  'concierge-ca-bundle-data': 'text',
  'concierge-api-group-suffix': 'text',
  'concierge-namespace': 'text',
  'credential-cache': 'text',
  'upstream-identity-provider-name': 'text',
  'upstream-identity-provider-type': 'text',
  'upstream-identity-provider-flow': 'text',
};

const reasons: Readonly<Record<string, string>> = {
  'session-cache': 'Kleis keeps sessions in a place of its own',
  'credential-cache': 'Kleis keeps credentials in a place of its own',
  'debug-session-cache': '--verbose and KLEIS_LOG say more',
  'skip-browser': 'Kleis shows the address beside; --login paste opens nothing',
  'upstream-identity-provider-flow': 'Kleis signs in in a browser',
};

/** Undefined if it is another program. */
export function pinnipedArgs({ program, args }: Plugin): readonly string[] | undefined {
  return program === 'pinniped' && args[0] === 'login' && args[1] === 'oidc' ? args.slice(2) : undefined;
}

/** Throws `Untranslatable`, and `config_invalid` for a certificate authority. */
export async function translatePinniped(args: readonly string[]): Promise<Translation> {
  const old = new OldFlags(args, table);
  const result = new Translation('Pinniped');
  if (old.isOn('enable-concierge')) {
    throw new Untranslatable(
      'gets a certificate from the Concierge, whose API server does not know the provider itself',
    );
  }
  if (old.text('request-audience') !== undefined) {
    throw new Untranslatable('exchanges its token at the Supervisor for another audience, which Kleis does not');
  }
  const issuer = old.text('issuer');
  if (issuer === undefined) throw new Untranslatable('names no issuer');
  result.take('--issuer', 'issuerUrl', issuer);
  const client = old.text('client-id');
  result.take(client === undefined ? '(the client of Pinniped)' : '--client-id', 'clientId', client ?? 'pinniped-cli');
  const given = old.list('scopes');
  // The default of Pinniped, without what its Supervisor alone knows.
  const wanted = given.length > 0 ? given : ['offline_access', 'username', 'groups'];
  const scopes = wanted.filter((scope) => scope !== 'openid' && scope !== 'pinniped:request-audience');
  if (scopes.length > 0) result.take(given.length > 0 ? '--scopes' : '(the scopes of Pinniped)', 'scope', scopes);
  const port = old.text('listen-port') ?? '0';
  result.takeRedirect('--listen-port', `http://127.0.0.1:${port}/callback`);
  if (old.isOn('skip-listen')) result.take('--skip-listen', 'login', 'paste');
  const upstream = [
    ['name', old.text('upstream-identity-provider-name')],
    ['type', old.text('upstream-identity-provider-type')],
  ].flatMap(([what, value]) => (value === undefined ? [] : [`pinniped_idp_${what}=${value}`]));
  result.takeParams('--upstream-identity-provider-…', upstream);
  await result.takeAuthorities(old.list('ca-bundle'), old.list('ca-bundle-data'), '--ca-bundle');
  old.leaveRest(result, reasons);
  return result;
}
