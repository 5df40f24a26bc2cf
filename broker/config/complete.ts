import { parseDuration } from '../../shared/duration.ts';
import type { Steps } from '../../shared/steps.ts';
import { guessPlatform, knownPlatform } from './platforms.ts';
import type { Access } from '../policy/access.ts';
import type { Grant, GrantAccount, Where } from '../policy/grant.ts';
import type { BrokerConfig, ClusterConfig, IssuerConfig, WriterConfig } from './broker-config.ts';
import type { AccessDocument, BrokerDocument, GrantDocument, IssuerDocument, WriterDocument } from './schema.ts';

const minute = 60_000;
const defaultTtl = 15 * minute;
const defaultMaxTtl = 60 * minute;

/** Fills in what a document of the right shape leaves out. */
export function* completeConfig(document: BrokerDocument): Steps<BrokerConfig> {
  const clusters = mapEntries(document.clusters, completeCluster);
  const grants: Record<string, Grant> = {};
  for (const [name, grant] of Object.entries(document.grants)) {
    grants[name] = completeGrant(name, grant, clusters);
    yield;
  }
  return {
    publicUrl: document.publicUrl.replace(/\/$/, ''),
    listen: defined(document.listen),
    state: 'memory' in document.state ? document.state : { namespace: 'kleis-state', ...defined(document.state) },
    audit: document.audit ?? { file: '-' },
    admins: document.admins ?? [],
    issuers: mapEntries(document.issuers, completeIssuer),
    clusters,
    grants,
    admissionPolicy: document.admissionPolicy ?? 'required',
    namespaces: { writers: (document.namespaces?.writers ?? []).map(completeWriter) },
    trustedProxies: document.trustedProxies ?? [],
    // A pipeline of a hundred jobs starts within a minute, often behind one address; an organisation has many of them.
    limits: completeLimits(document.limits),
    ...(document.web && {
      web: { ...defined(document.web), session: milliseconds(document.web.session) ?? 60 * minute },
    }),
    ...(document.metrics && { metrics: document.metrics }),
    reload: { maxStale: milliseconds(document.reload?.maxStale) ?? 24 * 60 * minute },
  };
}

function completeLimits({ leases, ...rates }: NonNullable<BrokerDocument['limits']> = {}): BrokerConfig['limits'] {
  return {
    perAddress: 600,
    perTenant: 600,
    perIssuer: 6000,
    ...defined(rates),
    // Three tokens for each of some hundred jobs of one project that run at once.
    leases: { perGrant: 5000, perSubject: 500, ...defined(leases ?? {}) },
  };
}

function completeIssuer(name: string, issuer: IssuerDocument): IssuerConfig {
  const { allowLoopbackHttp: _, maxAge, leeway, signIn, ...rest } = issuer;
  const platform = issuer.platform ?? guessPlatform(issuer);
  const known = knownPlatform(platform);
  return {
    // OpenID Connect Core 2: `sub` is never given to somebody else.
    idClaims: known?.idClaims ?? ['sub'],
    ...(known?.tenantClaim !== undefined && { tenantClaim: known.tenantClaim }),
    ...defined(rest),
    name,
    url: issuer.url,
    platform,
    singleUse: issuer.singleUse ?? false,
    leeway: milliseconds(leeway) ?? 30_000,
    ...(maxAge !== undefined && { maxAge: milliseconds(maxAge)! }),
    ...(signIn && { signIn: completeSignIn(signIn, issuer) }),
  };
}

function completeSignIn(
  signIn: NonNullable<IssuerDocument['signIn']>,
  { audience, certificateAuthority }: IssuerDocument,
): NonNullable<IssuerConfig['signIn']> {
  return { ...defined({ certificateAuthority }), ...defined(signIn), clientId: signIn.clientId ?? audience };
}

function completeCluster(name: string, cluster: BrokerDocument['clusters'][string]): ClusterConfig {
  return {
    identityNamespace: 'kleis-identities',
    ephemeralNamespace: 'kleis-ephemeral',
    systemNamespace: 'kleis-system',
    serviceAccount: 'kleis-broker',
    ...defined(cluster),
    credentials: defined(cluster.credentials),
    name,
  };
}

function completeWriter({ serviceAccount, ...rest }: WriterDocument): WriterConfig {
  const [namespace = '', name = ''] = serviceAccount.split('/');
  return { secrets: [], configMaps: [], ...defined(rest), account: { namespace, name } };
}

function completeGrant(name: string, grant: GrantDocument, clusters: Readonly<Record<string, ClusterConfig>>): Grant {
  const { ttl, where, access, ...rest } = grant;
  const account = accountOf(grant, clusters);
  const longest = milliseconds(ttl?.max);
  const usual = milliseconds(ttl?.default);
  const max = longest ?? Math.max(defaultMaxTtl, usual ?? 0);
  return {
    ...defined(rest),
    name,
    // The policy compiler says what is wrong with it.
    where: (where ?? {}) as Where,
    account,
    ...(access && { access: access.flatMap(completeAccess) }),
    ttl: { default: usual ?? Math.min(defaultTtl, max), max },
    revocable: grant.revocable ?? account.kind !== 'elsewhere',
    explain: grant.explain ?? false,
  };
}

/** One for each namespace. Of an entry that says too little nothing is left: rules report it. */
export function completeAccess({ role, clusterRole, namespace, namespaces, scope }: AccessDocument): Access[] {
  if (scope !== undefined)
    return clusterRole === undefined ? [] : [{ kind: 'ClusterRole', name: clusterRole, namespace: undefined }];
  const name = role ?? clusterRole;
  if (name === undefined) return [];
  const places = namespaces ?? (namespace === undefined ? [] : [namespace]);
  return places.map((place) => ({ kind: role === undefined ? 'ClusterRole' : 'Role', name, namespace: place }));
}

function accountOf(grant: GrantDocument, clusters: Readonly<Record<string, ClusterConfig>>): GrantAccount {
  // Rules report a cluster that is not there; until then the usual namespaces stand in for its own.
  const cluster = Object.hasOwn(clusters, grant.cluster) ? clusters[grant.cluster] : undefined;
  if (grant.ephemeral === true || grant.serviceAccount === undefined) {
    return { kind: 'ephemeral', namespace: cluster?.ephemeralNamespace ?? 'kleis-ephemeral' };
  }
  if (typeof grant.serviceAccount === 'object') return { kind: 'elsewhere', ...grant.serviceAccount };
  return { kind: 'identity', namespace: cluster?.identityNamespace ?? 'kleis-identities', name: grant.serviceAccount };
}

/** Of the schema's spelling, so it always reads. */
function milliseconds(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDuration(text);
}

function mapEntries<From, To>(
  entries: Record<string, From>,
  complete: (name: string, entry: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(entries).map(([name, entry]) => [name, complete(name, entry)]));
}

type Defined<T> = T extends unknown ? { [Key in keyof T]: Exclude<T[Key], undefined> } : never;

/** Takes away what is spelled out as undefined, which YAML cannot write and the schema's types allow. */
function defined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as Defined<T>;
}
