import { kubeconfigCommand } from '../../cli/setup/developers.ts';
import { type ProviderName, providerNames } from '../../cli/setup/flags.ts';
import { type ClientWanted, fill, providerKind } from '../../cli/setup/registration.ts';
import { defaultListenAddresses } from '../../cli/settings/listen-address.ts';
import { type Part, table } from './reference.ts';

/** Where each kind has its page, with an issuer and a client as they look there. */
const pages = {
  keycloak: { page: 'keycloak', issuer: 'https://sso.example.com/realms/acme', client: 'kleis' },
  okta: { page: 'okta', issuer: 'https://acme.okta.com', client: '0oa1gjh63g214q0Hq0g4' },
  auth0: { page: 'auth0', issuer: 'https://acme.eu.auth0.com/', client: 'CLIENT-ID' },
  entra: { page: 'entra-id', issuer: 'https://login.microsoftonline.com/TENANT-ID/v2.0', client: 'APPLICATION-ID' },
  google: { page: 'google', issuer: 'https://accounts.google.com', client: 'CLIENT-ID.apps.googleusercontent.com' },
  gitlab: { page: 'gitlab', issuer: 'https://gitlab.com', client: 'APPLICATION-ID' },
  dex: { page: 'dex', issuer: 'https://dex.example.com', client: 'kleis' },
  zitadel: { page: 'zitadel', issuer: 'https://acme-x7k2pq.eu1.zitadel.cloud', client: 'CLIENT-ID' },
  oci: { page: 'oci-iam', issuer: 'https://idcs-0a1b2c.identity.oraclecloud.com', client: 'CLIENT-ID' },
  other: { page: 'README', issuer: 'https://login.example.com', client: 'kleis' },
} as const satisfies Readonly<Record<ProviderName, { page: string; issuer: string; client: string }>>;

const file = (name: ProviderName) => `docs/providers/${pages[name].page}.md`;

/** What `kleis setup` says of each kind of provider, each on its page. */
export const providerParts: readonly Part[] = [
  { file: 'docs/providers/README.md', name: 'providers', make: overview },
  ...providerNames.flatMap((name): Part[] => {
    const { steps, groupSteps, notes } = providerKind(name);
    return [
      ...listPart(name, 'registration', steps),
      ...listPart(name, 'groups', groupSteps),
      ...listPart(name, 'notes', notes),
      { file: file(name), name: 'command', make: () => command(name) },
    ];
  }),
];

function overview(): string {
  const code = (text: string) => `\`${text}\``;
  const rows = providerNames
    .filter((name) => name !== 'other')
    .map((name) => {
      const { title, username, groups, scopes } = providerKind(name);
      return [
        `[${title}](${pages[name].page}.md)`,
        code(pages[name].issuer),
        code(username),
        groups === undefined ? 'none' : code(groups),
        scopes.map(code).join(' '),
      ];
    });
  return table(['provider', 'an issuer looks like', 'claim for the name', 'claim for groups', 'scopes'], rows);
}

function listPart(name: ProviderName, part: string, lines: readonly string[]): Part[] {
  if (lines.length === 0) return [];
  const client: ClientWanted = {
    clientId: 'kleis',
    redirectUris: defaultListenAddresses.map((address) => `http://${address}`),
  };
  return [{ file: file(name), name: part, make: () => lines.map((line) => `* ${fill(line, client)}`).join('\n') }];
}

/** What an admin runs, and what it tells developers to run. */
function command(name: ProviderName): string {
  const { issuer, client } = pages[name];
  const clientId = client === 'kleis' ? {} : { clientId: client };
  const secret = name === 'google' ? { clientSecretFile: 'FILE' } : {};
  const setup = [
    `kleis setup --issuer-url ${issuer}`,
    ...(client === 'kleis' ? [] : [`--client-id ${client}`]),
    ...(name === 'google' ? ['--client-secret-file ~/.config/kleis/secrets/google'] : []),
  ];
  const developers = kubeconfigCommand(
    {
      name: 'prod',
      server: 'https://prod.example.com:6443',
      certificateAuthority: 'prod-ca.crt',
      tlsServerName: undefined,
      namespace: undefined,
    },
    {
      settings: undefined as never,
      flags: { issuerUrl: issuer, ...clientId, scope: [...providerKind(name).scopes], ...secret },
    },
    { cluster: 'prod-ca.crt', provider: 'oidc-ca.crt' },
  );
  return ['```sh', `${setup.join(' ')}   # the admin, once`, '', ...developers, '```'].join('\n');
}
