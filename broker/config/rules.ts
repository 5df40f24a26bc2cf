import { isIP } from 'node:net';
import type { Steps } from '../../shared/steps.ts';
import { clean } from '../../shared/text.ts';
import { formatDuration } from '../../shared/duration.ts';
import type { Grant } from '../policy/grant.ts';
import type { Path, PolicyFault } from '../policy/parse-where.ts';
import { accessFaults } from './access-rules.ts';
import { parseAddress } from './address.ts';
import { isLoopback, serverUrlFaults, type UrlFault } from '../../shared/net/url.ts';
import { nearest } from '../../shared/nearest.ts';
import type { BrokerConfig, ClusterConfig, IssuerConfig } from './broker-config.ts';
import type { BrokerDocument, GrantDocument, mergedSections } from './schema.ts';
import { clustersOf, writerFaults } from './writers.ts';

type Section = (typeof mergedSections)[number];
type Report = (path: Path, message: string, refersTo?: Section) => void;

/** `refersTo`: it is about a name that stands for no entry of that section. */
export interface RuleFault extends PolicyFault {
  readonly refersTo?: Section | undefined;
}

// What API servers accept when nobody told them otherwise.
const usualApiAudiences = [
  'https://kubernetes.default.svc',
  'https://kubernetes.default.svc.cluster.local',
  'https://kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes',
  'api',
];

const shortestTtl = 600_000;
const longestTtl = 86_400_000;
const shortestSession = 300_000;
const longestSession = 43_200_000;

/** Namespaces that Kubernetes itself lives in. */
export const systemNamespaces: ReadonlySet<string> = new Set(['kube-system', 'kube-public', 'kube-node-lease']);

/** Everything that takes more than one field to see. `document` is what `config` was completed from. */
export function* checkRules(config: BrokerConfig, document: BrokerDocument): Steps<RuleFault[]> {
  const faults: RuleFault[] = [];
  const report: Report = (path, message, refersTo) => faults.push({ path, message, refersTo });
  checkService(config, report);
  checkIssuers(config, document, report);
  checkWeb(config, report);
  checkClusters(config, report);
  const first = new Map<string, Grant>();
  for (const grant of Object.values(config.grants)) {
    checkGrant(grant, document.grants[grant.name]!, config, report);
    checkSharedAccount(grant, first, report);
    yield;
  }
  checkWriters(config, report);
  return faults;
}

function checkService(config: BrokerConfig, report: Report): void {
  checkUrl(config.publicUrl, ['publicUrl'], isLoopbackUrl(config.publicUrl), report);
  // Of the slashes at its end one was taken off. The page's own links begin with its path.
  if (/:\/\/.*\/(?:\/|$)/.test(config.publicUrl))
    report(['publicUrl'], 'has "//" in its path: browsers take what follows for another host');
  const address = parseAddress(config.listen.address);
  if (address === undefined) report(['listen', 'address'], 'is no address: write host:port, [ipv6]:port or :port');
  else if (config.listen.tls === undefined && !isLoopback(address.host) && config.trustedProxies.length === 0) {
    const message =
      'would serve plain HTTP to the network: give listen.tls, or name in trustedProxies the proxy that does TLS';
    report(['listen', 'address'], message);
  }
  if (config.metrics !== undefined && parseAddress(config.metrics.listen) === undefined) {
    report(['metrics', 'listen'], 'is no address: write host:port, [ipv6]:port or :port');
  }
  for (const [index, proxy] of config.trustedProxies.entries()) {
    if (!isProxy(proxy)) {
      report(
        ['trustedProxies', index],
        'is neither an address, nor a network like 10.0.0.0/8 (not all of them), nor loopback',
      );
    }
  }
  if (!('memory' in config.state))
    checkReference(config.state.cluster, config.clusters, ['state', 'cluster'], 'clusters', report);
  for (const [index, admin] of config.admins.entries()) {
    checkReference(admin.issuer, config.issuers, ['admins', index, 'issuer'], 'issuers', report);
  }
}

function checkIssuers(config: BrokerConfig, document: BrokerDocument, report: Report): void {
  const urls = new Map<string, string>();
  for (const issuer of Object.values(config.issuers)) {
    const path = ['issuers', issuer.name];
    checkKeysOf(issuer, config, path, report);
    if (issuer.url !== undefined) {
      const http = document.issuers[issuer.name]?.allowLoopbackHttp === true;
      checkUrl(issuer.url, [...path, 'url'], http && isLoopbackUrl(issuer.url), report, isLoopbackUrl(issuer.url));
      const key = canonicalUrl(issuer.url);
      const other = urls.get(key);
      if (other === undefined) urls.set(key, issuer.name);
      else {
        const clusters = issuer.cluster !== undefined && config.issuers[other]!.cluster !== undefined;
        const help = clusters
          ? 'leave url out of both, and they are told apart by their keys'
          : 'a token must belong to one entry';
        report([...path, 'url'], `is the URL of issuers.${other} too: ${help}`);
      }
      if (key === canonicalUrl(config.publicUrl))
        report([...path, 'url'], "is publicUrl: the broker's own tokens open nothing here");
    }
    if (issuer.leeway > 60_000) report([...path, 'leeway'], 'is more than 60s: set the clocks instead');
    if (issuer.maxAge !== undefined && issuer.maxAge < 1000)
      report([...path, 'maxAge'], 'is less than 1s: no token is that young');
    checkAudience(issuer.audience, [...path, 'audience'], config, report);
    if (issuer.signIn !== undefined && issuer.cluster !== undefined)
      report([...path, 'signIn'], 'is for people, and nobody signs in at an API server: leave it out');
  }
}

function checkWeb({ web, issuers }: BrokerConfig, report: Report): void {
  if (web === undefined) return;
  const { issuer: name, session, contact } = web;
  checkReference(name, issuers, ['web', 'issuer'], 'issuers', report);
  if (Object.hasOwn(issuers, name) && issuers[name]!.cluster !== undefined)
    report(['web', 'issuer'], 'is an API server, at which nobody signs in: name the provider of your people');
  if (session < shortestSession) report(['web', 'session'], 'is less than 5m: people would sign in all the time');
  else if (session > longestSession)
    report(['web', 'session'], 'is more than 12h: what a provider says of somebody is to be asked again by then');
  if (contact?.trim() === '') report(['web', 'contact'], 'is blank: leave it out, or say whom people ask');
}

/** Where the keys come from: discovery at `url`, a file, or the API server of a cluster. */
function checkKeysOf(
  { url, cluster, jwks, certificateAuthority, name }: IssuerConfig,
  config: BrokerConfig,
  path: Path,
  report: Report,
): void {
  if (cluster === undefined) {
    if (url === undefined)
      report(path, 'says neither url nor cluster: write the issuer as it stands in `iss`, or the cluster that it is');
    return;
  }
  checkReference(cluster, config.clusters, [...path, 'cluster'], 'clusters', report);
  if (jwks !== undefined)
    report([...path, 'jwks'], 'is a second source of keys beside cluster: leave one of the two out');
  if (certificateAuthority !== undefined)
    report(
      [...path, 'certificateAuthority'],
      'is for discovery: with cluster it is that of the cluster, so leave it out',
    );
  const other = Object.values(config.issuers).find((each) => each.cluster === cluster);
  if (other !== undefined && other.name !== name)
    report([...path, 'cluster'], `is that of issuers.${other.name} too: a token must belong to one entry`);
}

/** Tokens meant for an API server must not open the broker, nor the other way round. */
function checkAudience(audience: string, path: Path, config: BrokerConfig, report: Report): void {
  const taker = Object.values(config.clusters).find((cluster) => cluster.audiences?.includes(audience));
  if (taker !== undefined) {
    report(path, `is accepted by the API server of clusters.${taker.name} too: choose one for the broker alone`);
  } else if (usualApiAudiences.includes(audience)) {
    report(path, 'is what API servers accept: choose one for the broker alone, like its publicUrl');
  }
}

function checkClusters(config: BrokerConfig, report: Report): void {
  for (const cluster of Object.values(config.clusters)) {
    const path = ['clusters', cluster.name];
    const { credentials } = cluster;
    if (cluster.server !== undefined) {
      checkUrl(cluster.server, [...path, 'server'], false, report);
      if ('kubeconfig' in credentials) report([...path, 'server'], 'is said by the kubeconfig: leave it out');
    } else if ('tokenFile' in credentials) {
      report(path, 'has a tokenFile and no server: say which API server the token is for');
    }
    if (cluster.audiences?.some((audience) => canonicalUrl(audience) === canonicalUrl(config.publicUrl)) === true) {
      report([...path, 'audiences'], 'has publicUrl in it: tokens for the cluster would be tokens for the broker');
    }
    checkNamespaces(cluster, config, path, report);
  }
}

function checkNamespaces(cluster: ClusterConfig, config: BrokerConfig, path: Path, report: Report): void {
  const seen = new Map<string, string>();
  for (const [namespace, field] of ownNamespaces(cluster, config)) {
    const other = seen.get(namespace);
    if (other !== undefined)
      report(path, `uses the namespace ${namespace} as ${other} and as ${field}: each holds nothing else`);
    if (systemNamespaces.has(namespace) || namespace === 'default') {
      report(path, `uses ${namespace} as ${field}: choose a namespace that holds nothing else`);
    }
    seen.set(namespace, field);
  }
}

function ownNamespaces(cluster: ClusterConfig, config: BrokerConfig): [namespace: string, field: string][] {
  const { state } = config;
  return [
    [cluster.identityNamespace, 'identityNamespace'],
    [cluster.ephemeralNamespace, 'ephemeralNamespace'],
    [cluster.systemNamespace, 'systemNamespace'],
    ...('memory' in state || state.cluster !== cluster.name
      ? []
      : ([[state.namespace, 'state.namespace']] as [string, string][])),
  ];
}

function checkWriters(config: BrokerConfig, report: Report): void {
  for (const [index, writer] of config.namespaces.writers.entries()) {
    const path = ['namespaces', 'writers', index];
    if (writer.cluster !== undefined)
      checkReference(writer.cluster, config.clusters, [...path, 'cluster'], 'clusters', report);
    const own = clustersOf(writer, config).flatMap((cluster) => ownNamespaces(cluster, config));
    for (const { path: at, message } of writerFaults(writer, config, own)) report([...path, ...at], message);
  }
}

function checkGrant(grant: Grant, document: GrantDocument, config: BrokerConfig, report: Report): void {
  const path = ['grants', grant.name];
  checkReference(grant.issuer, config.issuers, [...path, 'issuer'], 'issuers', report);
  checkReference(grant.cluster, config.clusters, [...path, 'cluster'], 'clusters', report);
  const cluster = Object.hasOwn(config.clusters, grant.cluster) ? config.clusters[grant.cluster] : undefined;
  checkTtl(grant, path, report);
  checkAccount(grant, document, cluster, config, path, report);
  const own = new Set(cluster === undefined ? [] : ownNamespaces(cluster, config).map(([namespace]) => namespace));
  for (const { path: at, message } of accessFaults(document, own)) report([...path, 'access', ...at], message);
}

function checkTtl(grant: Grant, path: Path, report: Report): void {
  const { default: usual, max } = grant.ttl;
  if (max < shortestTtl) {
    report([...path, 'ttl', 'max'], 'is less than 10m: the TokenRequest API gives no shorter token');
  } else if (max > longestTtl) {
    report([...path, 'ttl', 'max'], 'is more than 24h: a job that runs longer asks again');
  }
  if (usual < shortestTtl) {
    report([...path, 'ttl', 'default'], 'is less than 10m: the TokenRequest API gives no shorter token');
  }
  if (usual > max) report([...path, 'ttl', 'default'], `is more than ttl.max, ${formatDuration(max)}`);
}

function checkAccount(
  grant: Grant,
  document: GrantDocument,
  cluster: ClusterConfig | undefined,
  config: BrokerConfig,
  path: Path,
  report: Report,
): void {
  const { account, killSwitch } = grant;
  if (killSwitch !== undefined && account.kind !== 'elsewhere') {
    report([...path, 'killSwitch'], 'is for an account elsewhere: tokens of this one can be revoked each by itself');
  }
  if (killSwitch !== undefined && !killSwitch.startsWith('kleis-')) {
    report(
      [...path, 'killSwitch'],
      'must begin with kleis-: the admission policy lets the broker delete no other Secret',
    );
  }
  if (account.kind === 'ephemeral') return checkEphemeral(document, config, path, report);
  if (account.kind === 'identity') return;

  if (document.revocable === true) {
    const message =
      'cannot be kept for an account elsewhere, where the broker may make no Secret to bind a token to: use killSwitch, or an account in the identity namespace';
    report([...path, 'revocable'], message);
  }
  const at = [...path, 'serviceAccount', 'namespace'];
  if (systemNamespaces.has(account.namespace)) {
    report(
      at,
      `is where Kubernetes keeps its own accounts, which may do nearly everything: no token is minted for one in ${account.namespace}`,
    );
  }
  const own = cluster && ownNamespaces(cluster, config).find(([namespace]) => namespace === account.namespace);
  if (own?.[1] === 'identityNamespace') report(at, `is the identity namespace: write serviceAccount: ${account.name}`);
  else if (own !== undefined) report(at, `is ${own[1]}: the broker's own accounts are nobody's grant`);
}

function checkEphemeral(document: GrantDocument, config: BrokerConfig, path: Path, report: Report): void {
  if (document.ephemeral !== true) {
    return report(
      path,
      'names no serviceAccount: name one, or write ephemeral: true for one that is made for each lease',
    );
  }
  if (document.serviceAccount !== undefined) {
    report(
      [...path, 'serviceAccount'],
      'is named, but ephemeral accounts are made for each lease: leave one of the two out',
    );
  }
  if (document.access === undefined) report(path, 'is ephemeral and says no access: its account could do nothing');
  if (document.revocable === false)
    report([...path, 'revocable'], 'is false, but an ephemeral account always has a lease, to be removed by');
  if (config.admissionPolicy !== 'required') {
    report(
      [...path, 'ephemeral'],
      'needs admissionPolicy: required, since RBAC alone would let the broker bind the Role to anyone',
    );
  }
}

/** The admission policy and RBAC know accounts, not grants: two grants for one account cannot say different things. */
function checkSharedAccount(grant: Grant, first: Map<string, Grant>, report: Report): void {
  if (grant.account.kind !== 'elsewhere') return;
  const key = JSON.stringify([grant.cluster, grant.account.namespace, grant.account.name]);
  const other = first.get(key);
  if (other === undefined) first.set(key, grant);
  else if (other.killSwitch !== grant.killSwitch) {
    const message = `differs from that of grants.${other.name}, which has the same account`;
    report(['grants', grant.name, 'killSwitch'], message);
  }
}

function checkReference(
  name: string,
  entries: Readonly<Record<string, unknown>>,
  path: Path,
  section: Section,
  report: Report,
): void {
  if (Object.hasOwn(entries, name)) return;
  const names = Object.keys(entries);
  const near = nearest(name, names);
  const help = near === undefined ? `there are ${names.slice(0, 10).join(', ') || 'none'}` : `did you mean ${near}?`;
  report(path, `is no entry of ${section}: ${help}`, section);
}

function checkUrl(text: string, path: Path, httpAllowed: boolean, report: Report, offerHttp = false): void {
  const faults = new Set<UrlFault>(serverUrlFaults(text));
  if (!httpAllowed && /^http:/i.test(text)) faults.add('scheme');
  const words: Readonly<Record<UrlFault, string>> = {
    syntax: 'is no URL: write https://host or https://host/path',
    scheme: `must begin with https://${offerHttp ? ' (or say allowLoopbackHttp: true, for trying out)' : ''}`,
    userinfo: 'has a user name or password in it: leave it out',
    query: 'has a "?" or "#" in it: leave that part out',
  };
  for (const fault of faults) report(path, words[fault]);
}

function isLoopbackUrl(text: string): boolean {
  return URL.canParse(text) && isLoopback(new URL(text).hostname);
}

function canonicalUrl(text: string): string {
  return (URL.canParse(text) ? new URL(text).href : clean(text)).replace(/\/$/, '');
}

function isProxy(text: string): boolean {
  if (text === 'loopback') return true;
  const [address = '', bits] = text.split('/');
  const version = isIP(address);
  if (version === 0) return false;
  if (bits === undefined) return true;
  return /^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (version === 4 ? 32 : 128);
}
