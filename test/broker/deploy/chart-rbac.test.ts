import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigFaults } from '../../../broker/config/documents.ts';
import type { LoadedConfig } from '../../../broker/config/load.ts';
import { describeObject } from '../../../broker/rbac/manifests.ts';
import type { KubeObject } from '../../../shared/rbac/kinds.ts';
import { needs } from '../../support/needs.ts';
import { baseDocument, loadDocument } from '../policy/fixture.ts';
import { everyGrant, needsOf, objectsOf } from '../rbac/fixture.ts';
import { makeAll } from './helm.ts';

type Json = Record<string, unknown>;

// So few names that grants meet in accounts, namespaces and Roles, and some that need quoting, cutting or care.
const long = 'a'.repeat(63);
const namespace = fc.constantFrom('web', 'api', 'kleis-two', 'kube-system', 'default', 'kleis-identities', long);
const usual = fc.constantFrom('web', 'api', long, 'default');
const object = fc.constantFrom('web', 'deploy.er', `${long}.${long}.${long}.${'b'.repeat(61)}`, 'kleis-x', '0');
const role = fc.oneof(
  { arbitrary: fc.constantFrom('deployer', 'view', 'system:node', 'ClusterRole:a', 'y'.repeat(253)), weight: 3 },
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    .filter((name) => /^(?!\.{1,2}$)[^/%\s\p{Cc}]+$/u.test(name)),
  fc.constantFrom(
    `it's`,
    '"quoted"',
    '{{.Values}}',
    '\\n',
    '<&>',
    'é'.repeat(253),
    '😀'.repeat(253),
    '\ufffd',
    '$(x)',
    '`',
  ),
);
const duration = fc.constantFrom('10m', '1h', '90m', '1h30m', '24h', '3600s', '1h1m1s', '86400s', '0h15m', '5m', '25h');
const ttl = fc.oneof(
  { arbitrary: fc.constantFrom({ max: '2h' }, { default: '90m' }, { default: '10m', max: '1h1m1s' }, {}), weight: 9 },
  fc.record({ default: duration, max: duration }, { requiredKeys: [] }),
);

const place = fc.oneof(
  fc.record({ namespace: usual, role }),
  fc.record({ namespace: usual, clusterRole: role }),
  fc.record({ namespaces: fc.uniqueArray(usual, { minLength: 1 }), role }),
);
const everywhere = fc.record({ clusterRole: role, scope: fc.constant('cluster') });
const anything = fc.record(
  { namespace, namespaces: fc.constant(['web']), role, clusterRole: role, scope: fc.constant('cluster') },
  { requiredKeys: [] },
);
const several = (entry: fc.Arbitrary<object>) => fc.array(entry, { minLength: 1, maxLength: 3 });
const elsewhere = fc.record({ namespace: usual, name: object });
const ephemeral = fc.constant(true);
const revocable = fc.boolean();
const killSwitch = fc.constantFrom('kleis-kill', 'kleis-off');

// Of each kind what it may have, and now and then what nobody may.
const kinds = [
  fc.record(
    { serviceAccount: object, access: several(fc.oneof(place, everywhere)), revocable, ttl },
    { requiredKeys: ['serviceAccount'] },
  ),
  fc.record({ serviceAccount: elsewhere, access: several(place), ttl }, { requiredKeys: ['serviceAccount'] }),
  // One switch for an account, else its grants contradict each other.
  fc.record({
    serviceAccount: fc.record({ namespace: usual, name: fc.constant('switched') }),
    killSwitch: fc.constant('kleis-kill'),
    ttl,
  }),
  fc.record({ ephemeral, access: several(place), ttl }),
];
const wild = fc.record(
  {
    serviceAccount: fc.oneof(object, fc.record({ namespace, name: object })),
    ephemeral,
    access: several(fc.oneof(place, everywhere, anything)),
    ttl,
    revocable,
    killSwitch: fc.oneof(killSwitch, fc.constant('other')),
  },
  { requiredKeys: [] },
);
const grant = fc
  .tuple(
    fc.oneof(...kinds.map((arbitrary) => ({ arbitrary, weight: 12 })), { arbitrary: wild, weight: 2 }),
    fc.constantFrom('prod', 'prod', 'prod', 'edge'),
  )
  .map(([rest, name]): Json => ({ issuer: 'github', where: { repository_id: '1' }, cluster: name, ...rest }));

const cluster = fc.record(
  {
    audiences: fc.array(fc.constantFrom('https://a', 'b', 'it\'s "b"', '\u2028\u0007<é>', 'https://c'), {
      minLength: 1,
    }),
    systemNamespace: fc.constantFrom('kleis-system', 'kleis-two', long),
    identityNamespace: fc.constantFrom('kleis-identities', 'identities', 'identities', 'kleis-two'),
    ephemeralNamespace: fc.constantFrom('kleis-ephemeral', 'short'),
    serviceAccount: fc.constantFrom('kleis-broker', 'two', `${long}.${long}.${long}.${'b'.repeat(61)}`),
  },
  { requiredKeys: ['audiences'] },
);

const names = fc.array(object, { minLength: 1 });
const account = fc.constantFrom('cert-manager/cert-manager', 'x/y', 'web/web');
const writers = fc.array(
  fc.oneof(
    { arbitrary: fc.record({ serviceAccount: account, secrets: names, configMaps: names }), weight: 5 },
    { arbitrary: fc.record({ serviceAccount: account, secrets: names, cluster: fc.constantFrom('prod') }), weight: 5 },
    fc.record(
      {
        serviceAccount: fc.oneof(account, fc.constantFrom('kube-system/x', 'kleis-two/x', 'identities/x')),
        configMaps: names,
        cluster: fc.constantFrom('prod', 'edge', 'none'),
      },
      { requiredKeys: ['serviceAccount'] },
    ),
  ),
  { maxLength: 2 },
);

const configuration = fc
  .record(
    {
      prod: cluster,
      edge: fc.option(cluster, { freq: 10, nil: undefined }),
      state: fc.constantFrom<Json>(
        { cluster: 'prod' },
        { cluster: 'prod' },
        { cluster: 'edge' },
        { cluster: 'prod', namespace: 'leases' },
      ),
      grants: fc.dictionary(fc.stringMatching(/^[a-z0-9]{1,3}$/), grant, { maxKeys: 7 }),
      namespaces: fc.record({ writers }, { requiredKeys: [] }),
      admissionPolicy: fc.constantFrom('required', 'required', 'required', 'optional'),
    },
    { requiredKeys: ['prod', 'edge', 'grants'] },
  )
  .map(({ prod, edge, ...rest }): Json =>
    baseDocument({
      ...rest,
      listen: { address: ':8443', tls: { certFile: '/tls/tls.crt', keyFile: '/tls/tls.key' } },
      clusters: {
        prod: { ...prod, credentials: { inCluster: true } },
        ...(edge !== undefined && { edge: { ...edge, server: 'https://edge', credentials: { tokenFile: '/t' } } }),
      },
    }),
  );

const byName = (objects: readonly KubeObject[]) => new Map(objects.map((each) => [describeObject(each), each]));

function loaded(document: Json): LoadedConfig | undefined {
  try {
    return loadDocument(document);
  } catch (error) {
    if (error instanceof ConfigFaults) return undefined;
    throw error;
  }
}

/** What `kleis-broker rbac` prints; undefined where it refuses the configuration. */
const printed = (config: LoadedConfig) => objectsOf(needsOf(config, config.config.clusters['prod']!.audiences));

describe.skipIf(!needs('helm'))('the objects of the chart', () => {
  it('are, one by one, those that kleis-broker rbac prints, and none are made where that refuses', async () => {
    // One call for all of them: helm takes a tenth of a second, a configuration a hundredth.
    const documents = fc.sample(configuration, 200).filter((each) => isOfShape(each));
    const made = await makeAll(documents);
    const counts = { same: 0, refused: 0 };
    for (const [index, document] of documents.entries()) {
      const config = loaded(document);
      const { objects, faults } = made[index]!;
      if (config === undefined) {
        expect(faults, JSON.stringify(document)).not.toEqual([]);
        counts.refused += 1;
      } else {
        expect(faults, JSON.stringify(document)).toEqual([]);
        expect(byName(objects), JSON.stringify(document)).toEqual(byName(printed(config)));
        expect(objects).toHaveLength(byName(objects).size);
        counts.same += 1;
      }
    }
    // So that neither half says nothing.
    expect(counts.same).toBeGreaterThan(30);
    expect(counts.refused).toBeGreaterThan(30);
  }, 60_000);

  it('are the same where a table is too long for one expression', async () => {
    const grants = Object.fromEntries(
      Array.from({ length: 450 }, (_, index) => [
        `g${index}`,
        {
          ...everyGrant[index % 2 === 0 ? 'elsewhere' : 'deploy-web'],
          serviceAccount: { namespace: 'web', name: `account-${'x'.repeat(50)}.${'y'.repeat(60)}.${index}` },
          killSwitch: `kleis-${'x'.repeat(50)}.${'y'.repeat(60)}.${index}`,
        },
      ]),
    );
    const clusters = { prod: { credentials: { inCluster: true }, audiences: ['a'] } };
    const document = baseDocument({ clusters, grants });
    const [made] = await makeAll([document]);
    expect(made!.faults).toEqual([]);
    const expected = printed(loadDocument(document));
    expect(JSON.stringify(expected)).toContain('variables.killSwitch2');
    expect(byName(made!.objects)).toEqual(byName(expected));
  }, 60_000);
});

/** What values.schema.json has refused by then. */
function isOfShape(document: Json): boolean {
  try {
    loadDocument(document);
    return true;
  } catch (error) {
    if (!(error instanceof ConfigFaults)) throw error;
    return !error.faults.some(({ message }) => /^is no |is empty|is longer/.test(message));
  }
}
