import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import { describe, expect, it } from 'vitest';
import { brokerJsonSchema } from '../../../broker/config/json-schema.ts';
import { documentSchema } from '../../../broker/config/schema.ts';
import { isObject } from '../../../shared/json.ts';
import { examples } from '../../docs/examples.ts';
import { baseDocument, faultsOf, loadDocument, loadText } from '../policy/fixture.ts';

const isConfig = new Ajv2020({ strict: true, allowUnionTypes: true, strictRequired: false }).compile(
  brokerJsonSchema(),
);
const head = { apiVersion: 'kleis.dev/v1', kind: 'BrokerConfig' };

/** Every setting once. */
const rich = baseDocument({
  listen: { address: ':8443', tls: { certFile: 'tls.crt', keyFile: 'tls.key' } },
  state: { cluster: 'prod', namespace: 'kleis-state' },
  audit: { file: 'audit.jsonl' },
  admins: [{ issuer: 'sso', claim: 'groups', value: 'platform' }],
  issuers: {
    sso: {
      url: 'https://login.example.com',
      platform: 'other',
      audience: 'kleis',
      singleUse: true,
      tenantClaim: 'org',
      algorithms: ['RS256'],
      maxAge: '1h',
      leeway: '30s',
      idClaims: ['org'],
      signIn: { clientId: 'kleis', scopes: ['groups'] },
    },
  },
  clusters: {
    prod: { server: 'https://k.example.com', credentials: { tokenFile: 'token', renew: true }, audiences: ['x'] },
    other: { credentials: { kubeconfig: 'k', context: 'c' } },
  },
  grants: {
    deploy: {
      issuer: 'sso',
      where: { org: { anyOf: ['a', 'b'] }, ref: { glob: 'refs/*' }, n: 1, deep: { a: { not: 'x' } } },
      condition: 'claims.n > 0',
      cluster: 'prod',
      serviceAccount: { namespace: 'web', name: 'deployer' },
      access: [{ namespaces: ['web'], role: 'deployer' }],
      ttl: { default: '15m', max: '1h' },
      explain: true,
    },
    short: {
      issuer: 'sso',
      where: { org: 'a' },
      cluster: 'other',
      ephemeral: true,
      access: [{ namespace: 'web', clusterRole: 'view' }],
    },
  },
  trustedProxies: ['10.0.0.0/8'],
  limits: { perAddress: 600, leases: { perGrant: 5 } },
  metrics: { listen: ':9090' },
  reload: { maxStale: '24h' },
});

const programTakes = (document: unknown) => faultsOf(() => loadText(JSON.stringify(document))).length === 0;

describe('the schema of a configuration', () => {
  it('is found by its $id, and takes what the program takes', () => {
    expect(brokerJsonSchema()).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: expect.stringMatching(/^https:\/\/.*\/docs\/broker-config\.schema\.json$/),
    });
    expect(faultsOf(() => loadText(JSON.stringify(rich)))).toEqual([]);
    expect([isConfig(rich), isConfig.errors]).toEqual([true, null]);
  });

  const shown = examples()
    .filter(({ language }) => language === 'yaml')
    .flatMap(({ page, line, text }) => {
      const value: unknown = parseAllDocuments(text)[0]?.toJS();
      if (!isObject(value) || !Object.keys(value).every((name) => name in documentSchema.shape)) return [];
      // A kubeconfig has a list.
      if (Array.isArray(value['clusters'])) return [];
      return [{ where: `${page}:${line}`, value, whole: 'kind' in value }];
    });

  it('has examples to judge', () => {
    expect(shown.length).toBeGreaterThan(8);
    expect(shown.some(({ whole }) => whole)).toBe(true);
  });

  it.each(shown)('takes $where, and so does the program where it is whole', ({ value, whole }) => {
    const document = { ...head, ...value };
    expect([isConfig(document), isConfig.errors]).toEqual([true, null]);
    if (whole && 'publicUrl' in document) expect(faultsOf(() => loadText(JSON.stringify(document)))).toEqual([]);
  });

  it.each<[string, Record<string, unknown>]>([
    ['a name that is not known', { grant: {} }],
    ['a name of a grant that is none', { grants: { 'A b': { issuer: 'sso', cluster: 'prod', serviceAccount: 'x' } } }],
    ['another version', { apiVersion: 'kleis.dev/v2' }],
    ['a number where a duration belongs', { reload: { maxStale: 3600 } }],
    ['a duration without a unit', { reload: { maxStale: '3600' } }],
    [
      'an algorithm without a key',
      { issuers: { sso: { url: 'https://a.example.com', audience: 'x', algorithms: ['HS256'] } } },
    ],
    ['credentials of two kinds', { clusters: { prod: { credentials: { inCluster: true, tokenFile: 'x' } } } }],
    ['no audience', { issuers: { sso: { url: 'https://a.example.com' } } }],
    [
      'an empty list',
      { grants: { g: { issuer: 'sso', cluster: 'prod', serviceAccount: 'x', where: { a: 'x' }, access: [] } } },
    ],
    [
      'an operator that is none',
      { grants: { g: { issuer: 'sso', cluster: 'prod', serviceAccount: 'x', where: { a: { glob: 1 } } } } },
    ],
    ['where as a list', { grants: { g: { issuer: 'sso', cluster: 'prod', serviceAccount: 'x', where: ['a'] } } }],
    ['nothing in where', { grants: { g: { issuer: 'sso', cluster: 'prod', serviceAccount: 'x', where: {} } } }],
    ['a limit of nothing', { limits: { perAddress: 0 } }],
    ['a text for a truth', { grants: { g: { issuer: 'sso', cluster: 'prod', ephemeral: 'true' } } }],
  ])('refuses %s, and so does the program', (_, parts) => {
    expect(isConfig(baseDocument(parts))).toBe(false);
    expect(faultsOf(() => loadDocument(parts))).not.toEqual([]);
  });

  const value = fc.constantFrom<unknown>(
    ...[null, '', 'x', 'X y', '15m', 'kleis', 0, 1, -1, 1.5, 10_000_001, true, false],
    ...[
      [],
      ['x'],
      [1],
      ['x', null],
      {},
      { x: 1 },
      { glob: '*' },
      { anyOf: ['a'] },
      { not: { exists: true } },
      { namespace: 'web' },
    ],
  );

  it('refuses nothing that the program takes, and every shape that the program refuses, however a document is changed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(), fc.constantFrom('set', 'drop', 'add'), value), { minLength: 1, maxLength: 2 }),
        (changes) => {
          const document = structuredClone(rich);
          for (const [pick, change, next] of changes) {
            const places = placesIn(document);
            const [parent, key] = places[pick % places.length]!;
            if (change === 'set') parent[key] = next;
            else if (change === 'drop') Reflect.deleteProperty(parent, key);
            else parent[`${key}x`] = next;
          }
          const schemaTakes = isConfig(document);
          if (programTakes(document)) expect([document, isConfig.errors]).toEqual([document, null]);
          const shape = documentSchema.safeParse({ ...rich, ...document });
          if (!shape.success) expect([document, schemaTakes]).toEqual([document, false]);
        },
      ),
      { numRuns: 400 },
    );
  });
});

/** Everything that has a name, with what it is in. */
function placesIn(inner: unknown): [parent: Record<string, unknown>, key: string][] {
  if (Array.isArray(inner)) return inner.flatMap(placesIn);
  if (!isObject(inner)) return [];
  return Object.keys(inner).flatMap((key) => [
    [inner, key] as [Record<string, unknown>, string],
    ...placesIn(inner[key]),
  ]);
}
