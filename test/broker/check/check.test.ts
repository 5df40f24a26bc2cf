import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { checkConfinement } from '../../../broker/check/confinement.ts';
import { checkWriters } from '../../../broker/check/writers.ts';
import type { Finding } from '../../../shared/findings.ts';
import type { Live } from '../../../broker/check/cluster-objects.ts';
import { findPowers } from '../../../shared/rbac/powers.ts';
import type { Rule } from '../../../shared/rbac/kinds.ts';
import type { Deps } from '../../../broker/surroundings.ts';
import { run } from '../../../broker/program.ts';
import { createAuthority } from '../../support/certificates.ts';
import { needs } from '../../support/needs.ts';
import { makeKey, startIssuer } from '../issuers/fixture.ts';
import { baseDocument } from '../policy/fixture.ts';
import { type Confined, startConfined } from '../rbac/cluster.ts';
import { everyGrant, load, needsOf, objectsOf } from '../rbac/fixture.ts';
import { until } from '../../support/wait.ts';

let folder = '';
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'kleis-check-test-'))));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function kleisBroker(args: readonly string[], env: Deps['env'] = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const stream = (chunks: string[]) => ({ write: (text: string) => chunks.push(text), isTTY: false, columns: 120 });
  const deps = {
    env,
    stdout: stream(out),
    stderr: stream(err),
    clock: { now: Date.now, sleep: async () => {} },
    host: 'here',
    signal: new AbortController().signal,
    onHangUp: () => () => {},
  } as unknown as Deps;
  const code = await run(args, deps);
  return { code, stdout: out.join(''), stderr: err.join('') };
}

async function write(parts: Record<string, unknown>): Promise<string> {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.yaml`);
  await writeFile(file, stringify(baseDocument(parts), { aliasDuplicateObjects: false }));
  return file;
}

const clusterWith = (audiences?: readonly string[]) => ({
  clusters: { prod: { credentials: { inCluster: true }, ...(audiences && { audiences }) } },
});

test('a kill switch that no grant names any more is left over, unless it is another broker’s', () => {
  const before = objectsOf(needsOf(load()));
  const own = before.find(({ kind }) => kind === 'Secret')!;
  const foreign = { ...own, metadata: { ...own.metadata, name: 'kleis-kill-other', labels: {} } };
  const { elsewhere: _, ...fewer } = everyGrant;
  const live = {
    ...{ namespaces: [], accounts: [], roles: [], bindings: [], policies: [], policyBindings: [] },
    killSwitches: [own, foreign],
    rulesOf: () => [],
  } as unknown as Live;
  const left = (grants: Record<string, unknown>) =>
    checkConfinement(needsOf(load(grants)), live).filter(({ code }) => code === 'left-over');
  expect(left(everyGrant)).toEqual([]);
  const next = "kubectl delete secret -n web 'kleis-kill-deployer'";
  expect(left(fewer)).toMatchObject([{ severity: 'warning', next, why: expect.stringContaining('bound to it') }]);
});

test('whom namespaces.writers lets in is said, and an account that is not there is warned of', () => {
  const writers = [{ serviceAccount: 'cert-manager/cert-manger', secrets: ['kleis-tls'] }];
  const accounts = ['cert-manager', 'default'].map((name) => ({ metadata: { name, namespace: 'cert-manager' } }));
  const found = (listed: object[]) =>
    checkWriters(needsOf(load(everyGrant, { namespaces: { writers: listed } })), { accounts } as unknown as Live);
  expect(found([])).toEqual([]);
  expect(found(writers)).toMatchObject([
    {
      severity: 'warning',
      code: 'writer-missing',
      what: 'namespaces.writers names the account cert-manager/cert-manger, which is not there.',
      next: expect.stringContaining('These are there: cert-manager.'),
    },
  ]);
  expect(found([{ ...writers[0], serviceAccount: 'cert-manager/cert-manager' }])).toMatchObject([
    {
      severity: 'ok',
      code: 'writer',
      what: 'The policy kleis-namespaces keeps others out, but cert-manager/cert-manager writes Secret kleis-tls in kleis-system.',
    },
  ]);
});

describe('without a cluster', () => {
  test('tells every fault of the configuration, with its place, and ends with 6', async () => {
    const file = await write({
      grants: { a: { issuer: 'nobody', cluster: 'prod', serviceAccount: 'x', where: { a: 'b' } } },
    });
    const { code, stdout } = await kleisBroker(['check', '--config', file]);
    expect(code).toBe(6);
    expect(stdout).toContain(`${file}:`);
    expect(stdout).toContain('is no entry of issuers');
  });

  test('tells what is unwise, and ends with 0', async () => {
    const file = await write({ grants: { a: { ...everyGrant.plain, access: undefined } } });
    const { code, stdout } = await kleisBroker(['check', '--config', file, '-o', 'json']);
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
    expect([code, ok]).toEqual([0, true]);
    expect(findings).toContainEqual(expect.objectContaining({ severity: 'warning', code: 'no-access' }));
  });

  test('a file that is named and missing, or is not what it should be, is found with its place', async () => {
    const authority = await createAuthority();
    const [pair, other] = await Promise.all([
      authority.issueServer(['localhost']),
      authority.issueServer(['localhost']),
    ]);
    const put = (name: string, text: string) => writeFile(join(folder, name), text);
    const key = await makeKey('k');
    await Promise.all([
      put('tls.crt', pair.cert),
      put('tls.key', pair.key),
      put('ca.pem', authority.cert),
      put('token', 'x'),
    ]);
    await put('jwks.json', JSON.stringify({ keys: [key.jwk] }));
    const parts = {
      listen: { address: ':0', tls: { certFile: 'tls.crt', keyFile: 'tls.key' } },
      audit: { file: 'audit.jsonl' },
      issuers: { ci: { url: 'https://ci.example.com', platform: 'other', audience: 'kleis', jwks: 'jwks.json' } },
      clusters: {
        prod: { server: 'https://k.example.com', certificateAuthority: 'ca.pem', credentials: { tokenFile: 'token' } },
      },
    };
    const file = await write(parts);
    const look = async (...more: string[]) => {
      const { code, stdout } = await kleisBroker(['check', '--config', file, '-o', 'json', ...more]);
      const { findings } = JSON.parse(stdout) as { findings: Finding[] };
      return { code, found: findings.filter((each) => each.code.startsWith('file')) };
    };
    expect(await look()).toMatchObject({ code: 0, found: [{ severity: 'ok', code: 'files' }] });
    const spoilt: [name: string, text: string | undefined, code: string, what: string][] = [
      ['tls.crt', undefined, 'file-missing', 'listen.tls.certFile names'],
      ['tls.key', other.key, 'file-unusable', 'not the key of the certificate'],
      ['tls.key', 'nonsense', 'file-unusable', 'no private key'],
      ['ca.pem', pair.key, 'file-unusable', 'private key'],
      ['jwks.json', '{"keys":[]}', 'file-unusable', 'no public key'],
      ['jwks.json', undefined, 'file-missing', 'it does not exist'],
      ['token', '', 'file-unusable', 'it is empty'],
      ['token', undefined, 'file-missing', 'it does not exist'],
    ];
    for (const [name, text, code, what] of spoilt) {
      const next = expect.stringMatching(name === 'token' ? /kubectl create token kleis-broker/ : /^Put it there/);
      const held = await readFile(join(folder, name), 'utf8');
      await (text === undefined ? rm(join(folder, name)) : put(name, text));
      const { code: exit, found } = await look();
      expect([name, exit, found]).toMatchObject([
        name,
        6,
        [{ severity: 'error', code, what: expect.stringContaining(what), next }],
      ]);
      expect(found[0]!.about).toMatch(/\.yaml:\d+:\d+$/);
      expect(JSON.stringify(found)).not.toContain('PRIVATE');
      expect((await look('--no-files')).code).toBe(0);
      await put(name, held);
    }
    const lost = await write({ ...parts, audit: { file: 'nowhere/audit.jsonl' } });
    const { code, stdout } = await kleisBroker(['check', '--config', lost]);
    expect([code, stdout]).toEqual([6, expect.stringContaining('audit.file names')]);
  });

  test('--online asks each issuer for its keys', async () => {
    const key = await makeKey('k');
    const issuer = await startIssuer([key]);
    try {
      const ci = { url: issuer.url, allowLoopbackHttp: true, platform: 'other', audience: 'kleis' };
      const dead = { ...ci, url: 'http://127.0.0.1:1' };
      const file = await write({ issuers: { ci, dead }, grants: {} });
      expect((await kleisBroker(['check', '--config', file])).code).toBe(0);
      const { code, stdout } = await kleisBroker(['check', '--config', file, '--online', '-o', 'json']);
      const { findings } = JSON.parse(stdout) as { findings: Finding[] };
      expect(code).toBe(6);
      expect(findings).toContainEqual(
        expect.objectContaining({
          severity: 'ok',
          code: 'issuer',
          about: 'issuers.ci',
          what: 'It gives one key that can be used.',
        }),
      );
      expect(findings).toContainEqual(
        expect.objectContaining({ severity: 'error', code: 'issuer-keys', about: 'issuers.dead' }),
      );
    } finally {
      await issuer.stop();
    }
  });

  test('rbac is about one cluster at a time, and needs to know its audiences', async () => {
    const two = await write({
      clusters: { prod: { credentials: { inCluster: true } }, edge: { credentials: { inCluster: true } } },
    });
    const which = await kleisBroker(['rbac', '--config', two]);
    expect([which.code, which.stdout]).toEqual([2, '']);
    expect(which.stderr).toContain('--cluster prod or --cluster edge');
    const what = await kleisBroker(['rbac', '--config', two, '--cluster', 'edge']);
    expect([what.code, what.stdout]).toEqual([6, '']);
    expect(what.stderr).toContain('clusters.edge.audiences');
  });

  test('rbac --role prints a Role to begin with, for as many namespaces as are named', async () => {
    const { code, stdout } = await kleisBroker([
      'rbac',
      '--role',
      'deployer',
      '--namespace',
      'web',
      'api',
      '-o',
      'json',
    ]);
    expect(code).toBe(0);
    const { items } = JSON.parse(stdout) as { items: { metadata: { namespace: string }; rules: Rule[] }[] };
    expect(items.map(({ metadata }) => metadata.namespace)).toEqual(['web', 'api']);
    const yaml = await kleisBroker(['rbac', '--role', 'deployer']);
    expect(parse(yaml.stdout)).toEqual({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'deployer' },
      rules: items[0]!.rules,
    });
    // In a namespace it starts pods by changing Deployments; bound in the whole cluster by mistake, no worse than that.
    expect(findPowers(items[0]!.rules, 'namespace').map(({ id, severity }) => [id, severity])).toEqual([
      ['workloads', 'warning'],
    ]);
    expect(findPowers(items[0]!.rules, 'cluster').filter(({ severity }) => severity === 'error')).toEqual([]);
  });

  test.each([
    [['rbac', '--role', 'admin'], 'There is no Role "admin"'],
    [['rbac', '--role', 'constructor'], 'There is no Role "constructor"'],
    [['rbac', '--role', 'deployer', '--namespace', 'a: b'], 'is no name of a namespace'],
    [['rbac', '--role', 'deployer', '--config', 'x.yaml'], 'for no configuration'],
    [['rbac', '--namespace', 'web'], '--namespace is for --role'],
    [['rbac'], 'none is named'],
  ])('%j is a wrong use', async (args, message) => {
    const { code, stdout, stderr } = await kleisBroker(args);
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(message)]);
  });

  test('rbac prints a List as JSON', async () => {
    const file = await write({ ...clusterWith(['api.example.com']), grants: everyGrant });
    const { code, stdout } = await kleisBroker(['rbac', '--config', file, '-o', 'json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'List', items: expect.arrayContaining([]) as unknown });
  });
});

test('docs/rbac.md explains every code of a finding', async () => {
  const source = new URL('../../../broker/check/', import.meta.url);
  const files = await Promise.all((await readdir(source)).map((name) => readFile(new URL(name, source), 'utf8')));
  const codes = files.flatMap((text) =>
    Array.from(text.matchAll(/\bcode(?::|: .*\?|=) '([a-z-]+)'(?: : '([a-z-]+)')?/g)),
  );
  const docs = await readFile(new URL('../../../docs/rbac.md', import.meta.url), 'utf8');
  const named = new Set(codes.flatMap(([, ...names]) => names.filter((name) => name !== undefined)));
  expect(named.size).toBeGreaterThan(25);
  expect([...named].filter((name) => !docs.includes(`\`${name}\``))).toEqual([]);
});

describe.skipIf(!needs('kube-1.30') || !needs('kubectl-new'))('against a live cluster (1.30)', () => {
  test('what rbac printed is found to be as it should be, and in force', async () => {
    const world = await startConfined('1.30', false);
    try {
      const file = await write({ ...clusterWith([world.cluster.server]), grants: everyGrant });
      const args = ['check', '--config', file, '--kubeconfig', world.cluster.adminKubeconfig];
      const { code, stdout } = await kleisBroker(args);
      expect(stdout).toMatch(/\n0 errors, \d+ warnings, \d+ ok\n$/);
      expect(stdout).toContain('as the broker is refused by the policy kleis-broker: it is in force.');
      expect(code).toBe(0);
    } finally {
      await world.stop();
    }
  }, 120_000);
});

describe.skipIf(!needs('kube-controllers') || !needs('kubectl-new'))('against a live cluster (1.36)', () => {
  let world: Confined;
  let file = '';
  const undo: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    world = await startConfined('1.36', true);
    file = await write({ ...clusterWith([world.cluster.server]), grants: everyGrant });
  }, 120_000);
  afterEach(async () => {
    for (const each of undo.splice(0).toReversed()) await each();
  });
  afterAll(() => world?.stop());

  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const admission = '/apis/admissionregistration.k8s.io/v1';

  async function check(config = file) {
    const args = ['check', '--config', config, '--kubeconfig', world.cluster.adminKubeconfig, '-o', 'json'];
    const { code, stdout, stderr } = await kleisBroker(args);
    if (stdout === '') throw new Error(stderr);
    return { code, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
  }
  const errors = (findings: readonly Finding[]) => findings.filter(({ severity }) => severity === 'error');

  /** Makes an object for one test. */
  async function make(path: string, body: { metadata: { name: string } } & Record<string, unknown>): Promise<void> {
    await world.admin('POST', path, body);
    undo.push(() => world.admin('DELETE', `${path}/${body.metadata.name}`));
  }
  /** Takes an object away for one test. */
  async function take(path: string, name: string): Promise<void> {
    const {
      uid: _,
      resourceVersion: __,
      creationTimestamp: ___,
      ...metadata
    } = (await world.admin('GET', `${path}/${name}`)).metadata as Record<string, unknown>;
    const held = await world.admin('GET', `${path}/${name}`);
    await world.admin('DELETE', `${path}/${name}`);
    undo.push(() => world.admin('POST', path, { ...held, metadata }));
  }
  /** Gives what was there. Controllers of the cluster write too: who comes second reads again. */
  const replace = (path: string, edit: (object: Record<string, unknown>) => unknown) =>
    until('it is replaced', async () => {
      const held = await world.admin('GET', path);
      try {
        await world.admin('PUT', path, edit(held));
        return held;
      } catch (error) {
        if (/: 409 /.test(String(error))) return undefined;
        throw error;
      }
    });

  async function change(path: string, edit: (object: Record<string, unknown>) => unknown): Promise<void> {
    const held = await replace(path, edit);
    undo.push(() => replace(path, (now) => ({ ...held, metadata: now['metadata'] })));
  }
  const bind = (name: string, kind: string, role: string, subjects: object[]) => ({
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: role },
    subjects,
  });
  const deployWeb = { kind: 'ServiceAccount', name: 'deploy-web', namespace: 'kleis-identities' };

  const inForce = async () => (await world.broker.probe()).policy === 'in_force';

  test('what rbac printed is found to be as it should be, and in force', async () => {
    const { code, findings } = await check();
    expect(errors(findings)).toEqual([]);
    expect(code).toBe(0);
    const ok = findings.filter(({ severity }) => severity === 'ok').map(({ code: what, about }) => `${what} ${about}`);
    expect(ok).toEqual(
      expect.arrayContaining([
        'version clusters.prod',
        'tokens clusters.prod',
        'policy broker',
        'broker broker',
        'policy-in-force broker',
        'namespaces-policy-in-force broker',
        'account grants.deploy-web',
        'account grants.plain',
        'account grants.lease',
        'access-review clusters.prod',
      ]),
    );
  });

  test('whoever stands above the policies, or may mint for an account elsewhere, is listed', async () => {
    const { findings } = await check();
    for (const code of ['others-impersonate', 'others-above', 'others-mint']) {
      expect(findings).toContainEqual(
        expect.objectContaining({ code, what: expect.stringContaining('web/editor') as unknown }),
      );
    }
    const above = findings.filter(({ what }) => what.includes('stand above the policies'));
    expect(above.map(({ code }) => code)).toEqual(['others-impersonate', 'others-above']);
    expect(findings.filter(({ what }) => what.includes('refuses it'))).toEqual([]);
    expect(findings.filter(({ what }) => what.includes('system:masters') || what.includes('kube-system'))).toEqual([]);
  });

  test('the policy is said to refuse only who cannot get around it, by whatever binding', async () => {
    const writer = { kind: 'ServiceAccount', name: 'stranger', namespace: 'web' };
    const rule = (resource: string, verb: string) => ({ apiGroups: [''], resources: [resource], verbs: [verb] });
    await make(`${rbac}/clusterroles`, { metadata: { name: 'writer' }, rules: [rule('secrets', 'create')] });
    await make(`${rbac}/clusterrolebindings`, bind('writer', 'ClusterRole', 'writer', [writer]));
    const refused = async () =>
      (await check()).findings.filter(({ what }) => what.includes('web/stranger') && what.includes('refuses it'));
    expect(await refused()).toMatchObject([{ severity: 'ok', code: 'others-write' }]);
    // The policy takes accounts of kube-system for the control plane.
    const addon = { kind: 'ServiceAccount', name: 'addon', namespace: 'kube-system' };
    await make(`${rbac}/clusterrolebindings`, bind('addon', 'ClusterRole', 'writer', [addon]));
    const ofAddon = (await check()).findings.filter(({ what }) => what.includes('kube-system/addon'));
    expect(ofAddon).toMatchObject([{ severity: 'warning', code: 'others-above' }]);
    expect(ofAddon[0]!.what).not.toContain('refuses');
    // In kube-system there are accounts that may remove the policies.
    const inSystem = `${rbac}/namespaces/kube-system`;
    await make(`${inSystem}/roles`, { metadata: { name: 'starter' }, rules: [rule('pods', 'create')] });
    await make(`${inSystem}/rolebindings`, bind('starter', 'Role', 'starter', [writer]));
    expect(await refused()).toEqual([]);
    expect((await check()).findings).toContainEqual(
      expect.objectContaining({
        code: 'others-above',
        what: expect.stringMatching(/web\/stranger.* may, in kube-system: start pods\. They stand above/) as unknown,
      }),
    );
  });

  test('--online asks an API server for its keys through the connection, and two entries for one are told', async () => {
    const prod = { credentials: { kubeconfig: world.cluster.adminKubeconfig } };
    const issuers = { one: { cluster: 'prod', audience: 'kleis' }, two: { cluster: 'again', audience: 'kleis' } };
    const both = await write({ clusters: { prod, again: prod }, issuers, grants: {} });
    const { code, stdout } = await kleisBroker(['check', '--config', both, '--online', '-o', 'json']);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    expect(code).toBe(6);
    const found = findings.filter((finding) => finding.code.startsWith('issuer'));
    expect(found.map((finding) => `${finding.severity} ${finding.code} ${finding.about}`)).toEqual([
      'error issuer-shared issuers.two',
      'ok issuer issuers.one',
    ]);
  });

  describe('of ClusterRoles', () => {
    const of = (findings: readonly Finding[], grant: string) =>
      findings.filter(({ about, severity }) => about === `grants.${grant}` && severity !== 'ok');
    const reader = 'kleis:ClusterRole:kleis-identities:reader:';

    test('a binding that is missing, in a namespace or in the whole cluster, is found', async () => {
      await take(`${rbac}/clusterrolebindings`, `${reader}node-reader`);
      await take(`${rbac}/namespaces/web/rolebindings`, `${reader}observer`);
      const { code, findings } = await check();
      expect(code).toBe(6);
      expect(of(findings, 'reader').map(({ code: what, what: text }) => `${what}: ${text}`)).toEqual([
        'binding-missing: No ClusterRoleBinding gives kleis-identities/reader the ClusterRole node-reader.',
        'binding-missing: No RoleBinding in web gives kleis-identities/reader the ClusterRole observer.',
      ]);
    });

    test('one that is not there is found, for an account that stays and for those of leases', async () => {
      await take(`${rbac}/clusterroles`, 'observer');
      const { findings } = await check();
      for (const grant of ['reader', 'lease'])
        expect(of(findings, grant)).toContainEqual(
          expect.objectContaining({ code: 'role-missing', what: 'ClusterRole observer is not there.' }),
        );
    });

    test('bound further than access says, or as another kind, it is more than access says', async () => {
      const account = { kind: 'ServiceAccount', name: 'reader', namespace: 'kleis-identities' };
      await make(`${rbac}/clusterrolebindings`, bind('wide', 'ClusterRole', 'observer', [account]));
      await make(`${rbac}/namespaces/web/roles`, { metadata: { name: 'observer' }, rules: [] });
      await make(`${rbac}/namespaces/web/rolebindings`, bind('kind', 'Role', 'observer', [account]));
      const { findings } = await check();
      expect(of(findings, 'reader').map(({ code, what }) => `${code}: ${what}`)).toEqual([
        expect.stringContaining('binding-extra: RoleBinding web/kind gives'),
        expect.stringContaining('binding-extra: ClusterRoleBinding wide gives'),
      ]);
    });

    test('what is aggregated into one counts where it is bound, of a lease too', async () => {
      const rules = [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }];
      await change(`${rbac}/clusterroles/observer`, (held) => ({
        ...held,
        aggregationRule: { clusterRoleSelectors: [{ matchLabels: { 'example.com/to-observer': 'true' } }] },
      }));
      await make(`${rbac}/clusterroles`, {
        metadata: { name: 'added', labels: { 'example.com/to-observer': 'true' } } as { name: string },
        rules,
      });
      // What decides at the API server hears of a new ClusterRole a moment later.
      const escapes = await until('all three are found', async () => {
        const found = (await check()).findings.filter(({ code }) => code === 'escape');
        return found.length >= 3 ? found.map(({ about, what }) => `${about}: ${what}`) : undefined;
      });
      expect(escapes).toEqual([
        expect.stringMatching(/^grants\.reader: .* may in default, by .*ClusterRole observer\): read Secrets/),
        expect.stringMatching(/^grants\.reader: .* may in web, by .*ClusterRole observer\): read Secrets/),
        expect.stringMatching(/^grants\.lease: .* may in web, by .*ClusterRole observer\): read Secrets/),
      ]);
    });

    test('what only a binding in the whole cluster gives is found there', async () => {
      await change(`${rbac}/clusterroles/node-reader`, (held) => ({
        ...held,
        rules: [{ apiGroups: [''], resources: ['nodes/proxy'], verbs: ['get'] }],
      }));
      const [found, ...more] = await until('it is found', async () => {
        const escapes = of((await check()).findings, 'reader').filter(({ code }) => code === 'escape');
        return escapes.length > 0 ? escapes : undefined;
      });
      expect(more).toEqual([]);
      expect(found!.what).toMatch(/reader may in the whole cluster, by ClusterRoleBinding .*: talk to kubelets/);
    });

    test('a binding of a grant that is gone is left over', async () => {
      const { reader: _, ...fewer } = everyGrant;
      const config = await write({ ...clusterWith([world.cluster.server]), grants: fewer });
      const left = (await check(config)).findings.filter(({ code }) => code === 'left-over').map(({ next }) => next);
      expect(left).toContain(`kubectl delete clusterrolebinding '${reader}node-reader'`);
      expect(left).toContain(`kubectl delete rolebinding -n web '${reader}observer'`);
    });
  });

  test('constrained impersonation, with which a token lists Secrets, is a way out', async () => {
    const rules = [
      { apiGroups: ['authentication.k8s.io'], resources: ['serviceaccounts'], verbs: ['impersonate:serviceaccount'] },
      { apiGroups: [''], resources: ['secrets'], verbs: ['impersonate-on:serviceaccount:list'] },
    ];
    await make(`${rbac}/clusterroles`, { metadata: { name: 'deputy' }, rules });
    await make(`${rbac}/clusterrolebindings`, bind('deputy', 'ClusterRole', 'deputy', [deployWeb]));
    const token = await world.mintAsAdmin('kleis-identities', 'deploy-web');
    const asEditor = { headers: { 'impersonate-user': 'system:serviceaccount:web:editor' } };
    await until('it lists Secrets as another account', async () => {
      const { status } = await world.as(token)('GET', '/api/v1/namespaces/web/secrets', asEditor);
      return status === 200;
    });
    const { code, findings } = await check();
    expect(code).toBe(6);
    const escape = findings.filter(({ about, what }) => about === 'grants.deploy-web' && what.includes('deputy'));
    expect(escape.map((finding) => finding.code)).toEqual(['binding-extra', 'escape', 'escape-by-pods']);
    expect(escape[1]!.what).toContain('impersonate others (impersonate:serviceaccount)');
    expect(findings).not.toContainEqual(expect.objectContaining({ code: 'account', about: 'grants.deploy-web' }));
  });

  test.each(['edit', 'admin'])('the stock role %s is named as a way out, with what to use instead', async (role) => {
    await make(`${rbac}/namespaces/web/rolebindings`, bind('stock', 'ClusterRole', role, [deployWeb]));
    const { code, findings } = await check();
    expect(code).toBe(6);
    const escape = findings.find((finding) => finding.code === 'escape' && finding.about === 'grants.deploy-web');
    for (const part of ['mint tokens', 'read Secrets', 'impersonate', 'RoleBinding web/stock'])
      expect(escape?.what).toContain(part);
    expect(escape?.next).toContain(`The stock role ${role}`);
    expect(findings).toContainEqual(
      expect.objectContaining({ severity: 'error', code: 'binding-extra', about: 'grants.deploy-web' }),
    );
    expect(findings).not.toContainEqual(expect.objectContaining({ code: 'account', about: 'grants.deploy-web' }));
  });

  test('a Role of access that was widened is a way out', async () => {
    await change(`${rbac}/namespaces/web/roles/viewer`, (role) => ({
      ...role,
      rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
    }));
    const found = errors((await check()).findings);
    expect(found).toContainEqual(expect.objectContaining({ code: 'escape', about: 'grants.plain' }));
    expect(found).not.toContainEqual(expect.objectContaining({ about: 'grants.deploy-web' }));
  });

  test('rules that are aggregated into a ClusterRole count', async () => {
    const labels = { 'example.com/into': 'all' };
    await make(`${rbac}/clusterroles`, {
      metadata: { name: 'part', labels } as { name: string },
      rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['list'] }],
    });
    await make(`${rbac}/clusterroles`, {
      metadata: { name: 'whole' },
      aggregationRule: { clusterRoleSelectors: [{ matchLabels: labels }] },
      rules: [],
    });
    await make(`${rbac}/clusterrolebindings`, bind('whole', 'ClusterRole', 'whole', [deployWeb]));
    const escape = errors((await check()).findings).find(({ code }) => code === 'escape');
    expect(escape?.what).toMatch(/in the whole cluster.*read Secrets/);
  });

  test('a binding that names the account as a user, or its groups, is found', async () => {
    const user = {
      kind: 'User',
      name: 'system:serviceaccount:kleis-identities:plain',
      apiGroup: 'rbac.authorization.k8s.io',
    };
    const group = {
      kind: 'Group',
      name: 'system:serviceaccounts:kleis-identities',
      apiGroup: 'rbac.authorization.k8s.io',
    };
    await make(`${rbac}/namespaces/web/rolebindings`, bind('by-user', 'Role', 'other', [user]));
    await make(`${rbac}/clusterrolebindings`, bind('by-group', 'ClusterRole', 'edit', [group]));
    const { findings } = await check();
    expect(findings).toContainEqual(expect.objectContaining({ code: 'binding-extra', about: 'grants.plain' }));
    expect(findings).toContainEqual(expect.objectContaining({ code: 'group-binding' }));
    expect(errors(findings)).toContainEqual(
      expect.objectContaining({
        code: 'escape',
        what: expect.stringContaining('The group system:serviceaccounts:kleis-identities') as unknown,
      }),
    );
  });

  test('what is missing is named: account, Role, binding, kill switch', async () => {
    await take('/api/v1/namespaces/kleis-identities/serviceaccounts', 'plain');
    await take(`${rbac}/namespaces/web/roles`, 'viewer');
    await take(`${rbac}/namespaces/web/rolebindings`, 'kleis:kleis-identities:deploy-web:deployer');
    await take('/api/v1/namespaces/web/secrets', 'kleis-kill-deployer');
    const { code, findings } = await check();
    expect(code).toBe(6);
    expect(errors(findings).map(({ code: what, about }) => `${what} ${about}`)).toEqual([
      'binding-missing grants.deploy-web',
      'account-missing grants.plain',
      'role-missing grants.plain',
      'kill-switch-missing grants.elsewhere',
    ]);
  });

  test('a policy that is bound with Warn is changed and not in force', async () => {
    // Undone in the opposite order.
    undo.push(() => until('the policy is in force again', inForce));
    await change(`${admission}/validatingadmissionpolicybindings/kleis-broker`, (binding) => ({
      ...binding,
      spec: { policyName: 'kleis-broker', validationActions: ['Warn'] },
    }));
    await expect
      .poll(async () => errors((await check()).findings).map(({ code }) => code), { timeout: 15_000, interval: 250 })
      .toEqual(['policy-changed', 'policy-in-force']);
  });

  test('a policy that is gone is an error, and a warning where the configuration does without', async () => {
    undo.push(() => until('the policy is in force again', inForce));
    await take(`${admission}/validatingadmissionpolicybindings`, 'kleis-broker');
    const { lease: _, ...fewer } = everyGrant;
    const parts = { ...clusterWith([world.cluster.server]), grants: fewer };
    const codes = async (severity: Finding['severity'], config: Record<string, unknown>) =>
      (await check(await write(config))).findings
        .filter((finding) => finding.severity === severity)
        .map(({ code }) => code);
    const missing = expect.arrayContaining(['policy-missing', 'policy-in-force']) as unknown;
    await expect.poll(() => codes('error', parts), { timeout: 15_000, interval: 250 }).toEqual(missing);
    expect(await codes('warning', { ...parts, admissionPolicy: 'optional' })).toEqual(missing);
  });

  test('a policy that is another configuration’s is told from ours', async () => {
    const longer = { ...everyGrant, plain: { ...everyGrant.plain, ttl: { max: '2h' } } };
    const { findings } = await check(await write({ ...clusterWith([world.cluster.server]), grants: longer }));
    expect(errors(findings)).toEqual([
      expect.objectContaining({ code: 'policy-changed', what: expect.stringContaining('spec.variables') as unknown }),
    ]);
  });

  test('whatever else the broker was given is an error, and what it no longer needs a warning', async () => {
    const broker = { kind: 'ServiceAccount', name: 'kleis-broker', namespace: 'kleis-system' };
    await make(`${rbac}/clusterrolebindings`, bind('convenient', 'ClusterRole', 'view', [broker]));
    const { ephemeral: _, lease: __, ...fewer } = { ephemeral: undefined, ...everyGrant };
    const { findings } = await check(await write({ ...clusterWith([world.cluster.server]), grants: fewer }));
    expect(findings).toContainEqual(expect.objectContaining({ severity: 'error', code: 'broker-binding-extra' }));
    expect(findings).toContainEqual(
      expect.objectContaining({
        severity: 'warning',
        code: 'left-over',
        next: "kubectl delete role -n kleis-ephemeral 'kleis-broker'",
      }),
    );
  });

  test('audiences that the API server does not accept, or an issuer shares, are errors', async () => {
    const foreign = await check(await write({ ...clusterWith(['vault']), grants: everyGrant }));
    expect(errors(foreign.findings)).toContainEqual(expect.objectContaining({ code: 'audience-foreign' }));
    const issuers = { github: { url: 'https://token.actions.githubusercontent.com', audience: world.cluster.server } };
    const shared = await check(await write({ ...clusterWith(), issuers, grants: everyGrant }));
    expect(errors(shared.findings)).toContainEqual(expect.objectContaining({ code: 'audience-shared' }));
  });

  test('rbac asks the API server for its audiences, and prints what is in force', async () => {
    const asking = await write({ ...clusterWith(), grants: everyGrant });
    const args = ['rbac', '--config', asking, '--kubeconfig', world.cluster.adminKubeconfig];
    const { code, stdout } = await kleisBroker(args);
    expect(code).toBe(0);
    expect(stdout).toContain(`['${world.cluster.server}']`);
    expect(errors((await check(asking)).findings)).toEqual([]);
  });

  test('an admin may sign in with a program, as kubectl lets them', async () => {
    const config = JSON.parse(await readFile(world.cluster.adminKubeconfig, 'utf8')) as {
      users: { user: Record<string, string> }[];
    };
    const { user } = config.users[0]!;
    const pem = (field: string) => Buffer.from(user[field]!, 'base64').toString();
    const status = { clientCertificateData: pem('client-certificate-data'), clientKeyData: pem('client-key-data') };
    const credential = join(folder, 'credential.json');
    await writeFile(
      credential,
      JSON.stringify({ apiVersion: 'client.authentication.k8s.io/v1', kind: 'ExecCredential', status }),
    );
    const plugin = join(folder, 'plugin');
    await writeFile(plugin, '#!/bin/sh\n[ -n "$KUBERNETES_EXEC_INFO" ] && exec cat "$1"\n');
    await chmod(plugin, 0o700);
    const exec = {
      apiVersion: 'client.authentication.k8s.io/v1',
      command: './plugin',
      args: [credential],
      interactiveMode: 'Never',
    };
    const kubeconfig = join(folder, 'kubeconfig');
    await writeFile(kubeconfig, JSON.stringify({ ...config, users: [{ name: 'admin', user: { exec } }] }));
    const { code } = await kleisBroker(['check', '--config', file, '--kubeconfig', kubeconfig], {
      PATH: '/usr/bin:/bin',
    });
    expect(code).toBe(0);
  });

  test('who may not look is told so, and no finding is made up', async () => {
    const config = { apiVersion: 'v1', kind: 'Config', 'current-context': 'a' };
    const contexts = [{ name: 'a', context: { cluster: 'a', user: 'a' } }];
    const clusters = [
      { name: 'a', cluster: { server: world.cluster.server, 'certificate-authority': world.cluster.caFile } },
    ];
    const kubeconfig = join(folder, 'broker-kubeconfig');
    const users = [{ name: 'a', user: { token: world.brokerToken } }];
    await writeFile(kubeconfig, JSON.stringify({ ...config, contexts, clusters, users }));
    const { code, stdout, stderr } = await kleisBroker(['check', '--config', file, '--kubeconfig', kubeconfig]);
    expect([code, stdout]).toEqual([5, '']);
    expect(stderr).toContain('cluster-admin');
  });

  test('five hundred grants are checked within seconds', async () => {
    const grants = Object.fromEntries(
      Array.from({ length: 500 }, (_, index) => [
        `g${index}`,
        { ...everyGrant['deploy-web'], serviceAccount: `g${index}` },
      ]),
    );
    const many = await write({ ...clusterWith([world.cluster.server]), grants: { ...everyGrant, ...grants } });
    const began = performance.now();
    const { findings } = await check(many);
    expect(findings.filter(({ code }) => code === 'account-missing')).toHaveLength(500);
    // A bound that a call for each of a few things and each grant would break, on a busy machine.
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});
