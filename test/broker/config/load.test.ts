import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConfigFaults } from '../../../broker/config/documents.ts';
import { canonicalJson, loadConfig } from '../../../broker/config/load.ts';
import { longestTurn } from '../../support/turns.ts';
import { baseDocument, faultsOf, loadDocument, loadGrant, loadText } from '../policy/fixture.ts';

const base = stringify(baseDocument());
const header = 'apiVersion: kleis.dev/v1\nkind: BrokerConfig\n';

describe('a configuration', () => {
  it('is completed with defaults', () => {
    const { config } = loadGrant({ issuer: 'github', where: { repository_id: '1' } });
    expect(config.issuers['github']).toEqual({
      name: 'github',
      url: 'https://token.actions.githubusercontent.com',
      audience: 'https://kleis.example.com',
      platform: 'github',
      singleUse: false,
      leeway: 30_000,
      tenantClaim: 'repository_owner_id',
      idClaims: ['repository_id', 'repository_owner_id', 'enterprise_id'],
    });
    expect(config.clusters['prod']).toEqual({
      name: 'prod',
      credentials: { inCluster: true },
      identityNamespace: 'kleis-identities',
      ephemeralNamespace: 'kleis-ephemeral',
      systemNamespace: 'kleis-system',
      serviceAccount: 'kleis-broker',
    });
    expect(config.grants['g']).toMatchObject({
      name: 'g',
      account: { kind: 'identity', namespace: 'kleis-identities', name: 'deploy' },
      ttl: { default: 900_000, max: 3_600_000 },
      revocable: true,
      explain: false,
    });
    expect(config).toMatchObject({
      state: { cluster: 'prod', namespace: 'kleis-state' },
      audit: { file: '-' },
      admissionPolicy: 'required',
      reload: { maxStale: 86_400_000 },
      limits: { perAddress: 600, perTenant: 600, perIssuer: 6000, leases: { perGrant: 5000, perSubject: 500 } },
    });
    const limits = { perTenant: 5, leases: { perSubject: 7 } };
    expect(loadDocument({ limits }).config.limits).toEqual({
      ...{ perAddress: 600, perTenant: 5, perIssuer: 6000, leases: { perGrant: 5000, perSubject: 7 } },
    });
  });

  it('has a hash of its meaning, not of its spelling', () => {
    const one = loadGrant({ where: { a: 'x', b: { anyOf: ['p', 'q'] } } });
    const same = loadGrant({ where: { b: { anyOf: ['p', 'q'] }, a: 'x' }, explain: false });
    const other = loadGrant({ where: { a: 'x', b: { anyOf: ['p', 'r'] } } });
    expect(one.hash).toMatch(/^[0-9a-f]{64}$/);
    expect(same.hash).toBe(one.hash);
    expect(other.hash).not.toBe(one.hash);
  });

  it('tells all faults at once, each with its place', () => {
    const text = [
      'apiVersion: kleis.dev/v1',
      'kind: BrokerConfig',
      'publicURL: https://kleis.example.com',
      'listen: { address: ":8443" }',
      'state: { cluster: prod }',
      'issuers:',
      '  github: { url: "http://github.example.com?x", audience: https://kubernetes.default.svc, algorithms: [HS256] }',
      'clusters:',
      '  prod: { credentials: { inCluster: true } }',
      'grants:',
      '  g:',
      '    issuer: githb',
      '    cluster: prod',
      '    serviceAccount: 5',
      '    where: { a: [x] }',
      '    ttl: { default: 5m }',
      '    condition: claims.a ==',
    ].join('\n');
    const faults = ((): readonly { line: number; column: number; path: string; message: string }[] => {
      try {
        loadText(text);
        return [];
      } catch (error) {
        return (error as ConfigFaults).faults;
      }
    })();
    expect(faults.map(({ line, column, path: at }) => `${line}:${column} ${at}`)).toEqual([
      '1:1 publicUrl',
      '3:1 publicURL',
      '4:20 listen.address',
      '7:18 issuers.github.url',
      '7:18 issuers.github.url',
      '7:59 issuers.github.audience',
      '7:104 issuers.github.algorithms[0]',
      '12:13 grants.g.issuer',
      '14:21 grants.g.serviceAccount',
      '15:14 grants.g.where.a',
      '16:21 grants.g.ttl.default',
      '17:16 grants.g.condition',
    ]);
    expect(faults.map((fault) => fault.message).join('\n')).toContain('did you mean github?');
  });

  const grant =
    (fields: Record<string, unknown>, parts: Record<string, unknown> = {}) =>
    (): unknown =>
      loadGrant({ where: { a: 'x' }, ...fields }, parts);
  const whole = (parts: Record<string, unknown>) => (): unknown => loadDocument(parts);
  const issuer = (fields: Record<string, unknown>) =>
    whole({ issuers: { i: { url: 'https://i.example.com', audience: 'kleis', ...fields } } });
  const cluster = (fields: Record<string, unknown>) =>
    whole({ clusters: { prod: { credentials: { inCluster: true }, ...fields } } });
  const writer = (fields: Record<string, unknown>) =>
    whole({
      namespaces: { writers: [{ serviceAccount: 'cert-manager/cert-manager', secrets: ['kleis-tls'], ...fields }] },
    });
  const elsewhere = { serviceAccount: { namespace: 'web', name: 'deployer' } };

  it.each([
    ['unknown key, near', whole({ trustedProxy: ['loopback'] }), 'did you mean trustedProxies?'],
    ['unknown key, far', grant({ zzz: 1 }), 'is not known to Kleis 0.1.0: there are issuer, where'],
    ['number for a text', issuer({ audience: 5 }), 'is a number, not a text: quote it ("5")'],
    ['boolean for a text', issuer({ audience: true }), 'is a boolean, not a text: quote it ("true")'],
    ['text for a boolean', issuer({ singleUse: 'true' }), 'write true or false, without quotes'],
    ['number for a duration', grant({ ttl: { max: 900 } }), 'quote it ("900")'],
    ['duration without unit', grant({ ttl: { max: '900' } }), 'write a number with its unit'],
    ['missing', whole({ publicUrl: undefined }), 'publicUrl is missing. The URL at which callers reach the broker.'],
    ['grants left out', whole({ grants: undefined }), 'grants is missing'],
    ['grants empty', whole({ grants: null }), 'is empty: write a mapping, {} for none'],
    [
      'no credentials',
      cluster({ credentials: {} }),
      'write {inCluster} or {kubeconfig, context} or {tokenFile, renew}',
    ],
    ['misspelt credentials', cluster({ credentials: { kubeconfig: '/k', contxt: 'x' } }), 'did you mean context?'],
    [
      'grant name',
      whole({ grants: { Deploy_Web: { issuer: 'sso', cluster: 'prod', serviceAccount: 'x', where: { a: 'b' } } } }),
      'is no grant name',
    ],
    ['namespace', cluster({ identityNamespace: 'Kleis' }), 'is no namespace name'],
    ['symmetric algorithm', issuer({ algorithms: ['HS256'] }), 'whoever can check a token can make one'],
    ['no algorithm', issuer({ algorithms: ['none'] }), 'proves nothing'],
    ['http issuer', issuer({ url: 'http://i.example.com' }), 'must begin with https://'],
    [
      'http issuer with the opt-in, not loopback',
      issuer({ url: 'http://i.example.com', allowLoopbackHttp: true }),
      'must begin with https://',
    ],
    [
      'http issuer on a name like loopback',
      issuer({ url: 'http://127.evil.example', allowLoopbackHttp: true }),
      'must begin with https://',
    ],
    ['loopback issuer without the opt-in', issuer({ url: 'http://127.0.0.1:1234' }), 'allowLoopbackHttp: true'],
    ['issuer with a query', issuer({ url: 'https://i.example.com/?x=1' }), 'has a "?" or "#"'],
    ['issuer with a fragment', issuer({ url: 'https://i.example.com/#x' }), 'has a "?" or "#"'],
    ['issuer with a password', issuer({ url: 'https://u:p@i.example.com' }), 'user name or password'],
    ['issuer that is no URL', issuer({ url: 'i.example.com' }), 'is no URL'],
    ['issuer URL with a space', issuer({ url: 'https://i.example.com/ ' }), 'is no URL'],
    [
      'a host in the path of publicUrl',
      whole({ publicUrl: 'https://kleis.example.com//evil.example' }),
      'has "//" in its path',
    ],
    ['slashes behind publicUrl', whole({ publicUrl: 'https://kleis.example.com//' }), 'has "//" in its path'],
    ['the broker as issuer', issuer({ url: 'https://kleis.example.com/' }), 'is publicUrl'],
    [
      'two issuers with one URL',
      whole({
        issuers: {
          a: { url: 'https://i.example.com', audience: 'x' },
          b: { url: 'https://I.example.com/', audience: 'y' },
        },
      }),
      'is the URL of issuers.a too',
    ],
    [
      'two clusters with one URL, said twice',
      whole({
        clusters: { prod: { credentials: { inCluster: true } }, ci: { credentials: { inCluster: true } } },
        issuers: {
          a: { url: 'https://kubernetes.default.svc', cluster: 'prod', audience: 'x' },
          b: { url: 'https://kubernetes.default.svc', cluster: 'ci', audience: 'y' },
        },
      }),
      'issuers.b.url is the URL of issuers.a too: leave url out of both',
    ],
    [
      'audience of the API server',
      issuer({ audience: 'https://kubernetes.default.svc' }),
      'is what API servers accept',
    ],
    [
      'audience of a cluster',
      whole({
        issuers: { i: { url: 'https://i.example.com', audience: 'x' } },
        clusters: { prod: { credentials: { inCluster: true }, audiences: ['x'] } },
      }),
      'is accepted by the API server of clusters.prod',
    ],
    [
      'publicUrl as audience of a cluster',
      cluster({ audiences: ['https://kleis.example.com/'] }),
      'has publicUrl in it',
    ],
    ['an issuer without url and cluster', issuer({ url: undefined }), 'says neither url nor cluster'],
    [
      'unknown cluster of an issuer',
      issuer({ url: undefined, cluster: 'prd' }),
      'issuers.i.cluster is no entry of clusters: did you mean prod?',
    ],
    [
      'a file of keys beside a cluster',
      issuer({ url: undefined, cluster: 'prod', jwks: '/k' }),
      'issuers.i.jwks is a second source',
    ],
    [
      'an authority beside a cluster',
      issuer({ url: undefined, cluster: 'prod', certificateAuthority: '/k' }),
      'with cluster it is that of the cluster',
    ],
    [
      'two issuers of one cluster',
      whole({ issuers: { a: { cluster: 'prod', audience: 'x' }, b: { cluster: 'prod', audience: 'y' } } }),
      'issuers.b.cluster is that of issuers.a too',
    ],
    ['unknown platform', issuer({ platform: 'gitea' }), 'write github, gitlab,'],
    ['leeway', issuer({ leeway: '2m' }), 'is more than 60s'],
    ['unknown cluster', grant({ cluster: 'prd' }), 'did you mean prod?'],
    ['unknown issuer', grant({ issuer: 'zzz' }), 'there are github, gitlab, sso'],
    ['unknown cluster of state', whole({ state: { cluster: 'prd' } }), 'is no entry of clusters'],
    [
      'unknown issuer of admins',
      whole({ admins: [{ issuer: 'nope', claim: 'groups', value: 'x' }] }),
      'is no entry of issuers',
    ],
    ['prototype name as reference', grant({ cluster: 'constructor' }), 'is no entry of clusters'],
    ['ttl too short', grant({ ttl: { default: '5m' } }), 'the TokenRequest API gives no shorter token'],
    ['ttl too long', grant({ ttl: { max: '25h' } }), 'is more than 24h'],
    ['default above max', grant({ ttl: { default: '30m', max: '20m' } }), 'is more than ttl.max, 20m'],
    [
      'account in kube-system',
      grant({ serviceAccount: { namespace: 'kube-system', name: 'x' } }),
      'no token is minted for one in kube-system',
    ],
    [
      "the broker's own account",
      grant({ serviceAccount: { namespace: 'kleis-system', name: 'kleis-broker' } }),
      "is systemNamespace: the broker's own accounts",
    ],
    [
      'account in the state namespace',
      grant({ serviceAccount: { namespace: 'kleis-state', name: 'x' } }),
      'is state.namespace',
    ],
    [
      'identity namespace spelt out',
      grant({ serviceAccount: { namespace: 'kleis-identities', name: 'x' } }),
      'write serviceAccount: x',
    ],
    ['no account', grant({ serviceAccount: undefined }), 'names no serviceAccount'],
    ['kill switch in the identity namespace', grant({ killSwitch: 'kleis-x' }), 'is for an account elsewhere'],
    ['kill switch with another name', grant({ ...elsewhere, killSwitch: 'x' }), 'must begin with kleis-'],
    ['revocable elsewhere', grant({ ...elsewhere, revocable: true }), 'cannot be kept for an account elsewhere'],
    [
      'ephemeral with an account',
      grant({ ephemeral: true, access: [{ namespace: 'web', role: 'r' }] }),
      'leave one of the two out',
    ],
    [
      'ephemeral without access',
      grant({ serviceAccount: undefined, ephemeral: true }),
      'is ephemeral and says no access',
    ],
    [
      'ephemeral and not revocable',
      grant({
        serviceAccount: undefined,
        ephemeral: true,
        revocable: false,
        access: [{ namespace: 'web', role: 'r' }],
      }),
      'always has a lease',
    ],
    [
      'ephemeral without the policy',
      grant(
        { serviceAccount: undefined, ephemeral: true, access: [{ namespace: 'web', role: 'r' }] },
        { admissionPolicy: 'optional' },
      ),
      'needs admissionPolicy: required',
    ],
    [
      'the same Role twice',
      grant({
        access: [
          { namespace: 'web', role: 'r' },
          { namespace: 'web', role: 'r' },
        ],
      }),
      'twice',
    ],
    [
      'the same ClusterRole twice, in a list',
      grant({
        access: [
          { namespace: 'web', clusterRole: 'r' },
          { namespaces: ['api', 'web'], clusterRole: 'r' },
        ],
      }),
      'grants.g.access[1] names the ClusterRole r in web twice',
    ],
    [
      'a namespace twice in one list',
      grant({ access: [{ namespaces: ['web', 'web'], role: 'r' }] }),
      'names the Role r in web twice',
    ],
    [
      'the same in the whole cluster twice',
      grant({
        access: [
          { scope: 'cluster', clusterRole: 'r' },
          { scope: 'cluster', clusterRole: 'r' },
        ],
      }),
      'names the ClusterRole r in the whole cluster twice',
    ],
    ['access to no Role', grant({ access: [{ namespace: 'web' }] }), 'names neither a role nor a clusterRole'],
    [
      'access to two Roles in one entry',
      grant({ access: [{ namespace: 'web', role: 'a', clusterRole: 'b' }] }),
      'write an entry for each',
    ],
    ['access to a Role nowhere', grant({ access: [{ role: 'a' }] }), 'says not where: write namespace or namespaces'],
    ['access to a ClusterRole nowhere', grant({ access: [{ clusterRole: 'a' }] }), 'or scope: cluster'],
    [
      'access in a namespace and in several',
      grant({ access: [{ namespace: 'web', namespaces: ['api'], role: 'a' }] }),
      'by namespace and namespaces: leave all but one out',
    ],
    [
      'access in a namespace and in the whole cluster',
      grant({ access: [{ namespace: 'web', scope: 'cluster', clusterRole: 'a' }] }),
      'by namespace and scope: cluster',
    ],
    [
      'access to a Role in the whole cluster',
      grant({ access: [{ scope: 'cluster', role: 'a' }] }),
      'a Role is in one namespace: name a clusterRole',
    ],
    ['access of another scope', grant({ access: [{ scope: 'namespace', clusterRole: 'a' }] }), 'access[0].scope'],
    [
      'access to a ClusterRole that can be no name',
      grant({ access: [{ namespace: 'web', clusterRole: 'a/b' }] }),
      'is no name of a ClusterRole',
    ],
    [
      'more bindings than a lease can keep',
      grant({
        access: Array.from({ length: 2 }, (_, half) => ({
          namespaces: Array.from({ length: 600 }, (__, index) => `n${half * 600 + index}`),
          clusterRole: 'view',
        })),
      }),
      'comes to more than 1000 bindings',
    ],
    [
      'a ClusterRole of the whole cluster for each lease',
      grant({ serviceAccount: undefined, ephemeral: true, access: [{ scope: 'cluster', clusterRole: 'view' }] }),
      'is not for ephemeral accounts',
    ],
    [
      "access to Kleis's own namespace in a list",
      grant({ access: [{ namespaces: ['web', 'kleis-ephemeral'], clusterRole: 'view' }] }),
      "grants.g.access[0].namespaces[1] is one of Kleis's own",
    ],
    [
      "access to Kleis's own namespace",
      grant({ access: [{ namespace: 'kleis-identities', role: 'r' }] }),
      "is one of Kleis's own",
    ],
    [
      'namespaces that coincide',
      cluster({ identityNamespace: 'kleis-state' }),
      'uses the namespace kleis-state as identityNamespace and as state.namespace',
    ],
    [
      'identity namespace kube-system',
      cluster({ identityNamespace: 'kube-system' }),
      'choose a namespace that holds nothing else',
    ],
    ['plain HTTP to the network', whole({ listen: { address: ':8080' } }), 'would serve plain HTTP to the network'],
    ['no address', whole({ listen: { address: '8080' } }), 'is no address'],
    [
      'a writer that names no account',
      writer({ serviceAccount: 'cert-manager' }),
      'namespaces.writers[0].serviceAccount is no service account: write NAMESPACE/NAME',
    ],
    ['a writer of nothing', writer({ secrets: undefined }), 'names neither secrets nor configMaps'],
    ['a writer of no names', writer({ secrets: [] }), 'namespaces.writers[0].secrets'],
    ['a writer of what is no Secret', writer({ secrets: ['kleis_tls'] }), 'is no Kubernetes name'],
    ['a writer of everything', writer({ secrets: ['*'] }), 'is no Kubernetes name'],
    ['a writer of kube-system', writer({ serviceAccount: 'kube-system/csi' }), 'leave the entry out'],
    [
      'an account of a grant as writer',
      writer({ serviceAccount: 'kleis-identities/deploy-web' }),
      'is an account of kleis-identities, the identityNamespace',
    ],
    ['the broker as writer', writer({ serviceAccount: 'kleis-system/kleis-broker' }), 'the systemNamespace'],
    ['a writer in a cluster that is not there', writer({ cluster: 'prd' }), 'did you mean prod?'],
    [
      'a writer where the broker runs in no cluster',
      whole({
        clusters: { prod: { credentials: { kubeconfig: '/k' } } },
        namespaces: { writers: [{ serviceAccount: 'a/b', secrets: ['c'] }] },
      }),
      'says no cluster, and none has credentials inCluster',
    ],
    ['a writer misspelt', writer({ secret: ['kleis-tls'] }), 'did you mean secrets?'],
    ['every address as proxy', whole({ trustedProxies: ['0.0.0.0/0'] }), 'is neither an address'],
    ['a name as proxy', whole({ trustedProxies: ['proxy.example.com'] }), 'is neither an address'],
    ['token file without server', cluster({ credentials: { tokenFile: '/t' } }), 'has a tokenFile and no server'],
    [
      'server beside a kubeconfig',
      cluster({ server: 'https://x', credentials: { kubeconfig: '/k' } }),
      'is said by the kubeconfig',
    ],
    ['http server', cluster({ server: 'http://10.0.0.1' }), 'must begin with https://'],
    [
      'different kill switches for one account',
      whole({
        grants: {
          a: { issuer: 'sso', cluster: 'prod', where: { a: 'x' }, ...elsewhere, killSwitch: 'kleis-a' },
          b: { issuer: 'sso', cluster: 'prod', where: { a: 'x' }, ...elsewhere },
        },
      }),
      'differs from that of grants.a',
    ],
  ])('%s is a fault', (_, work, message) => {
    expect(faultsOf(work).join('\n')).toContain(message);
  });

  it('tells no fault that only follows from another one', () => {
    expect(faultsOf(grant({ serviceAccount: 5 }))).toHaveLength(1);
    expect(
      faultsOf(
        whole({
          issuers: { i: { url: 'https://i.example.com' } },
          grants: { g: { issuer: 'i', cluster: 'prod', serviceAccount: 'x', where: { a: 'x' } } },
        }),
      ),
    ).toHaveLength(1);
  });

  it.each([
    ['an issuer that is a cluster', issuer({ url: undefined, cluster: 'prod' })],
    ['http on loopback with the opt-in', issuer({ url: 'http://127.0.0.1:1234', allowLoopbackHttp: true })],
    ['plain HTTP on loopback', whole({ listen: { address: '[::1]:0' } })],
    ['plain HTTP behind a named proxy', whole({ listen: { address: ':8080' }, trustedProxies: ['10.0.0.0/8'] })],
    ['an account elsewhere with a kill switch', grant({ ...elsewhere, killSwitch: 'kleis-x' })],
    [
      'an ephemeral account',
      grant({ serviceAccount: undefined, ephemeral: true, access: [{ namespace: 'web', role: 'kubeadm:x' }] }),
    ],
    [
      'every form of access',
      grant({
        access: [
          { namespace: 'web', role: 'view' },
          { namespaces: ['web', 'api'], clusterRole: 'view' },
          { namespaces: ['api'], role: 'deployer' },
          { clusterRole: 'view', scope: 'cluster' },
        ],
      }),
    ],
    [
      'an ephemeral account with ClusterRoles',
      grant({
        serviceAccount: undefined,
        ephemeral: true,
        access: [{ namespaces: ['web', 'api'], clusterRole: 'system:x' }],
      }),
    ],
    [
      'a dotted grant name',
      whole({ grants: { 'web.prod-1': { issuer: 'sso', cluster: 'prod', serviceAccount: 'x', where: { a: 'x' } } } }),
    ],
    ['a writer', writer({ configMaps: ['kleis-ca'], cluster: 'prod' })],
    ['no grants, said so', whole({ grants: {} })],
  ])('%s is fine', (_, work) => {
    expect(faultsOf(work)).toEqual([]);
  });
});

describe('YAML', () => {
  const bomb = `a: &a [x]\n${'bcdefgh'.replaceAll(/./g, (name, index: number) => `${name}: &${name} [${`*${'abcdefg'[index]},`.repeat(9)}]\n`)}`;
  it.each([
    ['a key twice', `${header}audit: {file: "-"}\naudit: {file: x}\n`, '"audit" is there twice: first at line 3'],
    ['a nested key twice', `${header}audit: {file: "-", file: x}\n`, '"file" is there twice'],
    ['a number as key', `${header}grants: {1: {}}\n`, 'is a number key: quote it ("1")'],
    ['a boolean as key', `${header}grants: {true: {}}\n`, 'is a boolean key: quote it ("true")'],
    ['a merge key', `${header}grants: {<<: {a: {}}}\n`, 'is no merge key'],
    ['__proto__', `${header}grants: {g: {where: {__proto__: {a: x}}}}\n`, '"__proto__" cannot be a name here'],
    ['broken', `${header}grants: {\n`, 'is no valid YAML'],
    ['an unknown tag', `${header}publicUrl: !env X\n`, 'is no valid YAML'],
    ['an undefined alias', `${header}publicUrl: *x\n`, 'is no valid YAML'],
    ['a bomb of aliases', header + bomb, 'stands for a part that has an alias in it'],
    ['a cycle', `${header}grants: &a {x: *a}\n`, 'stands for a part that has an alias in it'],
    ['aliases without end', `${header}a: &a x\nb: [${'*a,'.repeat(1001)}]\n`, 'one alias too many'],
    [
      'aliases that add up',
      `${header}a: &a "${'x'.repeat(100_000)}"\nb: [${'*a,'.repeat(500)}]\n`,
      'larger than 16 MiB',
    ],
    ['brackets without end', header + '['.repeat(50_000), 'is no valid YAML'],
    ['nothing', '', 'is empty'],
    ['comments only', '# nothing\n', 'has no configuration in it'],
    ['a mark alone', '---\n', 'has no configuration in it'],
    ['a list', '- a\n', 'is no mapping'],
    ['a text', 'hello\n', 'is no mapping'],
    ['another kind', 'apiVersion: kleis.dev/v1\nkind: Secret\n', 'kind is "Secret": write kind: BrokerConfig'],
    ['another version', 'apiVersion: v1\nkind: BrokerConfig\n', 'apiVersion is "v1": write apiVersion: kleis.dev/v1'],
  ])('%s is a fault', (_, text, message) => {
    expect(faultsOf(() => loadText(text)).join('\n')).toContain(message);
  });

  it('may say something once and refer to it', () => {
    const text = `${stringify(baseDocument({ grants: undefined }))}grants:\n  a: {issuer: sso, cluster: prod, serviceAccount: a, where: &w {team: x}}\n  b: {issuer: sso, cluster: prod, serviceAccount: b, where: *w}\n`;
    expect(loadText(text).config.grants['b']!.where).toEqual({ team: 'x' });
  });

  it.each(['---\n', '---\n# the end\n', '...\n', '---\nnull\n'])('nothing after a mark is no document: %j', (end) => {
    expect(faultsOf(() => loadText(base + end))).toEqual([]);
  });

  it('may hold several documents in one file', () => {
    const more = `${header}grants: {g: {issuer: sso, cluster: prod, serviceAccount: a, where: {team: x}}}\n`;
    expect(Object.keys(loadText(`${base}---\n${more}`).config.grants)).toEqual(['g']);
    expect(faultsOf(() => loadText(`${base}---\n${more.replace('sso', 'nope')}`))[0]).toContain(
      'grants.g.issuer is no entry',
    );
  });
});

describe('a folder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'kleis-config-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const grantFile = (name: string): string =>
    `${header}grants: {${name}: {issuer: sso, cluster: prod, serviceAccount: a, where: {team: x}}}\n`;
  const write = (name: string, text: string): Promise<void> => writeFile(path.join(folder, name), text);
  const failure = async (): Promise<ConfigFaults> => {
    const error = await loadConfig(folder).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ConfigFaults);
    return error as ConfigFaults;
  };

  it('of many grants is read in steps, between which others have their turn', async () => {
    const grant = { issuer: 'sso', cluster: 'prod', serviceAccount: 'deploy', where: { team: 'x' } };
    const grants = Object.fromEntries(Array.from({ length: 2000 }, (_, index) => [`g${index}`, grant]));
    await writeFile(
      path.join(folder, 'many.yaml'),
      stringify(baseDocument({ grants }), { aliasDuplicateObjects: false }),
    );
    // Once before, so that nothing is compiled for the first time.
    await loadConfig(folder);
    expect(await longestTurn(async () => loadConfig(folder, { work: 1, rest: 0 }))).toBeLessThan(0.3);
  });

  it('of many grants is the same in one step and in many, and so is what it is known by', async () => {
    const grant = { issuer: 'sso', cluster: 'prod', serviceAccount: 'deploy', where: { team: '"grants":{}' } };
    const grants = Object.fromEntries(['b', '10', 'a', '2', '1'].map((name) => [name, grant]));
    await write('some.yaml', stringify(baseDocument({ grants }), { aliasDuplicateObjects: false }));
    const [whole, stepped] = [await loadConfig(folder), await loadConfig(folder, { work: 0, rest: 0 })];
    expect(stepped.config).toEqual(whole.config);
    expect(stepped.warnings).toEqual(whole.warnings);
    const hash = createHash('sha256').update(canonicalJson(whole.config)).digest('hex');
    expect([whole.hash, stepped.hash]).toEqual([hash, hash]);
  });

  it('is one configuration of all its YAML files', async () => {
    await write('a.yaml', base);
    await write('b.yml', grantFile('one'));
    await write('c.yaml', grantFile('two'));
    await write('notes.txt', 'grants: nonsense');
    await write('.hidden.yaml', 'nonsense');
    await mkdir(path.join(folder, 'sub.d'));
    const loaded = await loadConfig(folder);
    expect(Object.keys(loaded.config.grants)).toEqual(['one', 'two']);
    expect(loaded.files.map((file) => path.basename(file))).toEqual(['a.yaml', 'b.yml', 'c.yaml']);
  });

  it('names both places of a name that is there twice', async () => {
    await write('a.yaml', base);
    await write('b.yaml', grantFile('one'));
    await write('c.yaml', `${grantFile('one')}publicUrl: https://other.example.com\n`);
    const { faults } = await failure();
    expect(faults.map(({ file, line, path: at, message }) => [path.basename(file), line, at, message])).toEqual([
      ['c.yaml', 3, 'grants.one', `is said twice: first at ${path.join(folder, 'b.yaml')}:3`],
      ['c.yaml', 4, 'publicUrl', `is said twice: first at ${path.join(folder, 'a.yaml')}:3`],
    ]);
  });

  it('with a broken file tells the faults of the others too, and none that the broken file could explain', async () => {
    await write('a.yaml', base.replace('publicUrl', 'publicURL'));
    await write('b.yaml', grantFile('one').replace('{team: x}', '{team: [x]}').replace('sso', 'elsewhere'));
    await write('c.yaml', `${header}issuers: [\n`);
    await write('d.yaml', '- a list\n');
    await symlink('/nowhere', path.join(folder, 'e.yaml'));
    const { faults, empty } = await failure();
    expect(faults.map(({ file, path: at, message }) => `${path.basename(file)} ${at} ${message.slice(0, 20)}`)).toEqual(
      [
        'a.yaml publicURL is not known to Klei',
        'b.yaml grants.one.where.team is a list: write {an',
        'c.yaml  is no valid YAML: Fl',
        'd.yaml  is no mapping: begin',
        'e.yaml  cannot be read: it d',
      ],
    );
    expect(empty).toBe(false);
  });

  it('with an empty file warns of it; of empty files alone each is named', async () => {
    await write('a.yaml', base);
    await write('b.yaml', '');
    const { warnings } = await loadConfig(folder);
    expect(warnings[0]).toMatchObject({
      code: 'file-empty',
      file: path.join(folder, 'b.yaml'),
      message: 'is empty: it configures nothing',
    });
    await write('a.yaml', '---\n');
    const { faults, empty } = await failure();
    expect(faults.map(({ file, message }) => `${path.basename(file)} ${message}`)).toEqual([
      'a.yaml has no configuration in it',
      'b.yaml is empty',
    ]);
    expect(empty).toBe(true);
  });

  it('that is not there any more is said to be gone', async () => {
    const error = await loadConfig(path.join(folder, 'gone')).catch((reason: unknown) => reason as ConfigFaults);
    expect(error).toMatchObject({ empty: true, message: expect.stringContaining('it does not exist') as unknown });
  });

  it('names files relative to the file that names them', async () => {
    await write('a.yaml', base.replace('grants: {}', 'audit: {file: log/audit.jsonl}'));
    const issuers =
      'issuers: {own: {url: "https://own.example.com", audience: kleis, platform: other, jwks: keys.json}}';
    await write('b.yaml', `${header}${issuers}\ngrants: {}\n`);
    const { config, named, hash } = await loadConfig(folder);
    expect(config.issuers['own']!.jwks).toBe(path.join(folder, 'keys.json'));
    expect(config.audit.file).toBe(path.join(folder, 'log/audit.jsonl'));
    expect(named.map(({ kind, place }) => `${kind} ${path.basename(place.file)}:${place.line} ${place.path}`)).toEqual([
      expect.stringMatching(/^audit a\.yaml:\d+ audit\.file$/),
      'keys b.yaml:3 issuers.own.jwks',
    ]);
    // What it means is the same elsewhere.
    const other = await mkdtemp(path.join(tmpdir(), 'kleis-config-'));
    await cp(folder, other, { recursive: true });
    expect((await loadConfig(other)).hash).toBe(hash);
    await rm(other, { recursive: true });
  });

  it('names the file of each fault', async () => {
    await write('a.yaml', base);
    await write('b.yaml', grantFile('one').replace('sso', 'nope'));
    const { faults, message } = await failure();
    expect(faults[0]).toMatchObject({ file: path.join(folder, 'b.yaml'), line: 3, path: 'grants.one.issuer' });
    expect(message).toMatch(/b\.yaml:3:\d+: grants\.one\.issuer is no entry of issuers: there are/);
  });

  it('of a mounted ConfigMap is read from one version of it', async () => {
    await mkdir(path.join(folder, '..v1'));
    await writeFile(path.join(folder, '..v1', 'a.yaml'), base);
    await mkdir(path.join(folder, '..v2'));
    await writeFile(
      path.join(folder, '..v2', 'a.yaml'),
      base.replace('grants: {}', grantFile('two').slice(header.length).trim()),
    );
    await symlink('..v2', path.join(folder, '..data'));
    // A link that still points at the old version, as between two steps of kubelet.
    await symlink('..v1/a.yaml', path.join(folder, 'a.yaml'));
    const loaded = await loadConfig(folder);
    expect(Object.keys(loaded.config.grants)).toEqual(['two']);
    expect(loaded.files).toEqual([path.join(folder, 'a.yaml')]);
  });

  it('without YAML files, a missing one, a pipe, bytes that are no text, or too many are faults', async () => {
    expect(await failure()).toMatchObject({ empty: true });
    await symlink('/nowhere', path.join(folder, 'a.yaml'));
    expect((await failure()).message).toContain('a.yaml:1:1: cannot be read: it does not exist');
    await rm(path.join(folder, 'a.yaml'));
    await symlink('/dev/zero', path.join(folder, 'a.yaml'));
    expect((await failure()).message).toContain('it is no regular file');
    await rm(path.join(folder, 'a.yaml'));
    await writeFile(path.join(folder, 'a.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
    expect((await failure()).message).toContain('it is no UTF-8 text');
    await write('a.yaml', `#${' '.repeat(4 * 1024 * 1024)}`);
    expect((await failure()).message).toContain('it is larger than 4 MiB');
    await expect(loadConfig(path.join(folder, 'nope.yaml'))).rejects.toThrow('it does not exist');
  });
});
