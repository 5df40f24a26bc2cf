import type { Claims } from '../../shared/jwt.ts';
import { type ProviderName, providerNames } from './flags.ts';

/** What is registered at a provider, whichever it is. */
export interface ClientWanted {
  readonly clientId: string;
  readonly redirectUris: readonly string[];
}

/** What there is to know of one kind of provider. Markdown of one line each; `CLIENT` stands for the client. */
export interface ProviderKind {
  readonly title: string;
  /** Whether an issuer is surely one of these. */
  readonly fits: (issuer: URL) => boolean;
  /** Asked for, where discovery does not say that there is no such scope. */
  readonly scopes: readonly string[];
  readonly username: string;
  /** Undefined where there is none. */
  readonly groups: string | undefined;
  readonly steps: readonly string[];
  /** How groups come into the ID token. */
  readonly groupSteps: readonly string[];
  readonly notes: readonly string[];
}

const usual = { scopes: ['email', 'groups', 'offline_access'], username: 'sub', groups: 'groups' } as const;

const ends = (host: string, ...domains: readonly string[]) =>
  domains.some((domain) => host === domain || host.endsWith(`.${domain}`));

const providers = {
  keycloak: {
    ...usual,
    title: 'Keycloak',
    // Its refresh tokens need no scope; with offline_access they would have no end.
    scopes: ['email', 'groups'],
    fits: ({ pathname }) => /\/realms\/[^/]+\/?$/.test(pathname),
    steps: [
      'The issuer is `https://HOST/realms/REALM`.',
      '*Clients*, *Create client*: type OpenID Connect, client ID `CLIENT`, *Client authentication* off.',
      '*Capability config*: *Standard flow* on. *OAuth 2.0 Device Authorization Grant* on, if people work over SSH: discovery lists it, but it is off for each client until somebody turns it on.',
      '*Valid redirect URIs*: REDIRECTS. *Advanced*, *Proof Key for Code Exchange Code Challenge Method*: S256.',
    ],
    groupSteps: [
      '*Client scopes*, *Create client scope* `groups`, *Include in token scope* on. In it *Mappers*, *Configure a new mapper*, *Group Membership*: claim `groups`, *Full group path* off, *Add to ID token* on.',
      'The client, *Client scopes*, *Add client scope*: `groups`, as default or optional.',
    ],
    notes: [
      'Until the device grant is on Keycloak answers `unauthorized_client`; with `--login auto` Kleis says so and goes on to the next way.',
      'One scope that the realm does not have refuses the whole request, `Invalid scopes: openid email groups`. Kleis names the one that discovery does not list.',
      "Tokens live a minute by default (realm, *Tokens*, *Access token lifespan*, which is the ID token's too): make it five to fifteen, or kubectl waits for a refresh every minute.",
      'Behind a proxy set `--hostname` with `https://`, else discovery mixes http with https, and Kleis names the endpoint that it may not use when it needs it.',
      'People can change `email`, and `preferred_username` where the realm lets them (*Edit username*).',
    ],
  },
  okta: {
    ...usual,
    title: 'Okta',
    fits: ({ hostname }) => ends(hostname, 'okta.com', 'oktapreview.com', 'okta-emea.com'),
    steps: [
      'The issuer is `https://ORG.okta.com`, or `https://ORG.okta.com/oauth2/SERVER` of an authorization server of yours.',
      '*Applications*, *Create App Integration*: *OIDC*, *Native Application*. Okta chooses the client ID: give it to `--client-id`.',
      '*Grant type*: *Authorization Code*, *Refresh Token*; *Device Authorization*, if people work over SSH. *Client authentication*: none, with PKCE.',
      '*Sign-in redirect URIs*: REDIRECTS. *Assignments*: the people or groups who may sign in.',
    ],
    groupSteps: [
      'At the issuer `https://ORG.okta.com`: the application, *Sign On*, *OpenID Connect ID Token*, *Groups claim filter*: `groups`, *Matches regex*, `.*` or fewer.',
      'At a server of yours: *Security*, *API*, the server, *Claims*, *Add Claim* `groups`: *ID Token*, *Always*, value type *Groups*, with a filter; and the scope `groups`, if it is to be asked for.',
    ],
    notes: ['More than 100 groups that fit the filter refuse the sign-in: filter them.'],
  },
  auth0: {
    ...usual,
    title: 'Auth0',
    scopes: ['email', 'offline_access'],
    groups: 'https://kleis/groups',
    fits: ({ hostname }) => ends(hostname, 'auth0.com'),
    steps: [
      'The issuer is `https://TENANT.REGION.auth0.com/`, with the slash at its end.',
      '*Applications*, *Create Application*: *Native*. Auth0 chooses the client ID: give it to `--client-id`.',
      '*Allowed Callback URLs*: REDIRECTS.',
      '*Advanced Settings*, *Grant Types*: *Authorization Code*, *Refresh Token*; *Device Code*, if people work over SSH.',
    ],
    groupSteps: [
      "*Actions*, *Triggers*, *post-login*, an Action with `api.idToken.setCustomClaim('https://kleis/groups', event.authorization?.roles ?? [])`. A claim of your own has the name of a URL.",
    ],
    notes: [
      'It takes a `prompt=consent` with `offline_access` only where *Allow Offline Access* is on for the API, and the device code where the grant is on for the application.',
    ],
  },
  entra: {
    ...usual,
    title: 'Entra ID',
    scopes: ['email', 'offline_access'],
    username: 'oid',
    fits: ({ hostname }) =>
      ends(hostname, 'login.microsoftonline.com', 'login.microsoftonline.us', 'login.partner.microsoftonline.cn'),
    steps: [
      'The issuer is `https://login.microsoftonline.com/TENANT-ID/v2.0`. `common`, `organizations` and `consumers` stand for every tenant; no token names them, and the API server takes one issuer.',
      '*App registrations*, *New registration*: accounts of this directory only. The *Application (client) ID* is what `--client-id` takes.',
      '*Authentication*, *Add a platform*, *Mobile and desktop applications*: REDIRECTS. *Allow public client flows*: yes. Else Entra answers `AADSTS7000218`: it wants a secret, `--client-secret-file`.',
    ],
    groupSteps: [
      '*Token configuration*, *Add groups claim*: *Groups assigned to the application*, in the ID token. *Enterprise applications*, the application, *Users and groups*: assign the groups.',
    ],
    notes: [
      'A group claim holds object IDs, and with more than 200 groups a link instead, which the API server cannot follow: assign groups to the application.',
      '`sub` is another one for each application, `oid` the same in the whole tenant. `email`, `upn` and `preferred_username` change, and are given to others.',
    ],
  },
  google: {
    ...usual,
    title: 'Google',
    scopes: ['email'],
    username: 'email',
    groups: undefined,
    fits: ({ hostname }) => hostname === 'accounts.google.com',
    steps: [
      'The issuer is `https://accounts.google.com`.',
      '*Google Auth Platform*, *Clients*, *Create client*: type *Desktop app*. Google chooses the client ID: give it to `--client-id`. Loopback addresses need not be registered.',
      'It has a secret, which Google wants together with PKCE: put it into a file and give `--client-secret-file`. Without it Google answers `client_secret is missing`.',
      '*Audience*: *Internal*, or everybody who has an account at Google can sign in. What they may do is for the bindings to say.',
    ],
    groupSteps: [],
    notes: [
      'Kleis asks with `access_type=offline`, and never for `offline_access`, which Google refuses. A refresh token comes with a consent only: where the last sign-in brought none, Kleis asks with `prompt=consent`. `--auth-param access_type=online` asks for none.',
      'There is no claim of groups: bind people by name, or put a broker or a provider such as Dex between.',
    ],
  },
  gitlab: {
    ...usual,
    title: 'GitLab',
    scopes: ['email'],
    groups: 'groups_direct',
    fits: ({ hostname }) => hostname === 'gitlab.com',
    steps: [
      'The issuer is `https://gitlab.com`, or the address of your GitLab.',
      '*Applications* of a group, or of the *Admin area*: *Confidential* off, scopes `openid`, `email`. GitLab chooses the application ID: give it to `--client-id`.',
      '*Redirect URI*: REDIRECTS, one a line.',
    ],
    groupSteps: ['Nothing: `groups_direct` of the ID token has the groups that somebody is a direct member of.'],
    notes: [
      'It does not list `offline_access` and gives refresh tokens by its own rules.',
      'Whoever can make groups can name them: bind groups below one that is yours, such as `acme/platform`.',
    ],
  },
  dex: {
    ...usual,
    title: 'Dex',
    fits: ({ hostname, pathname }) => hostname.startsWith('dex.') || /\/dex\/?$/.test(pathname),
    steps: [
      'The issuer is `issuer` of its configuration.',
      '`staticClients`: an entry with `id: CLIENT`, `name: Kleis`, `public: true`, and as `redirectURIs` REDIRECTS.',
      '`oauth2`, `grantTypes`: `authorization_code`, `refresh_token`; `urn:ietf:params:oauth:grant-type:device_code`, if people work over SSH.',
    ],
    groupSteps: [
      'The connector gives them (LDAP, GitHub, OIDC with `insecureEnableGroups`); the scope `groups` asks for them.',
    ],
    notes: ['`sub` is made of the connector and the name there: with another connector it is another one.'],
  },
  zitadel: {
    ...usual,
    title: 'Zitadel',
    scopes: ['email', 'offline_access'],
    fits: ({ hostname }) => ends(hostname, 'zitadel.cloud'),
    steps: [
      'The issuer is `https://INSTANCE.REGION.zitadel.cloud`, or the address of your Zitadel.',
      'A project, *New application*: *Native*. Zitadel chooses the client ID: give it to `--client-id`.',
      '*Redirect URIs*: REDIRECTS. *Grant types*: *Authorization Code*, *Refresh Token*; *Device Code*, if people work over SSH.',
      '*Token settings*: *User roles inside ID token* and *User Info inside ID token* on.',
    ],
    groupSteps: [
      "Its own claim of roles is a mapping, which the API server does not take. An action that completes the token (*Actions*, *Complement Token*) makes a list of it: `api.v1.claims.setClaim('groups', ctx.v1.user.grants?.grants.flatMap((grant) => grant.roles) ?? [])`.",
    ],
    notes: [],
  },
  oci: {
    ...usual,
    title: 'OCI IAM',
    scopes: ['email', 'offline_access'],
    fits: ({ hostname }) => ends(hostname, 'identity.oraclecloud.com'),
    steps: [
      'The issuer is what discovery of the identity domain says (`https://idcs-….identity.oraclecloud.com/.well-known/openid-configuration`). If that is `https://identity.oraclecloud.com/`, set the issuer of the domain to its own URL: the API server looks for discovery there.',
      '*Domain settings*: *Configure client access* to the signing certificate on, or the API server gets no keys.',
      '*Integrated applications*, *Add application*: *Mobile application*, as public client. The client ID is what `--client-id` takes.',
      '*Allowed grant types*: *Authorization code*, *Refresh token*; *Device code*, if people work over SSH. *Allow non-HTTPS URLs* on; *Redirect URL*: REDIRECTS.',
    ],
    groupSteps: [
      'A custom claim: `POST https://idcs-….identity.oraclecloud.com/admin/v1/CustomClaims` with `{"schemas": ["urn:ietf:params:scim:schemas:oracle:idcs:CustomClaim"], "name": "groups", "value": "$user.groups.*.display", "expression": true, "mode": "always", "tokenType": "IT", "allScopes": true}`.',
    ],
    notes: ['Oracle sends a list of audiences without `azp`; it is taken.'],
  },
  other: {
    ...usual,
    title: 'Others',
    fits: () => false,
    steps: [],
    groupSteps: [
      'Let the provider put a list of names into the ID token, as the claim `groups`: that is a scope, a claim or a mapper there.',
    ],
    notes: [
      '**Cognito** does not list `offline_access` and gives refresh tokens by its own rules; its groups are `cognito:groups`. Others that do not list it may take it nevertheless: `--scope offline_access`.',
      '**NetSuite, IdentityServer** send a list of audiences without `azp`, **Supabase** answers 201; both are taken.',
    ],
  },
} as const satisfies Readonly<Record<ProviderName, ProviderKind>>;

export function providerKind(name: ProviderName): ProviderKind {
  return providers[name];
}

export function guessProvider(issuer: string): ProviderName {
  const url = new URL(issuer);
  return providerNames.find((name) => providers[name].fits(url)) ?? 'other';
}

/** Of those of the kind, what the provider lists; all where it lists none. */
export function scopesOf(name: ProviderName, listed: readonly string[] | undefined): string[] {
  return providerKind(name).scopes.filter((scope) => listed?.includes(scope) ?? true);
}

/** The steps with their names in place. */
export function registrationSteps(name: ProviderName, client: ClientWanted): string[] {
  const { steps, groupSteps } = providerKind(name);
  return [...steps, ...groupSteps.map((step, index) => (index === 0 ? `Groups: ${step}` : step))].map((step) =>
    fill(step, client),
  );
}

/** The names of a client in a step. */
export function fill(step: string, { clientId, redirectUris }: ClientWanted): string {
  return step.replaceAll(/\b(?:REDIRECTS|CLIENT)\b/g, (word) =>
    word === 'CLIENT' ? clientId : redirectUris.map((uri) => `\`${uri}\``).join(', '),
  );
}

/** Whether these claims are of a person with more groups than a token of Entra takes. */
export function leftGroupsOut(claims: Claims): boolean {
  return Object.hasOwn(claims, '_claim_names') || claims['hasgroups'] === true;
}
