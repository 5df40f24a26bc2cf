import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { RE2JS } from '@bufbuild/re2';
import { describe, expect, it } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { brokerJsonSchema, type JsonSchema } from '../../../broker/config/json-schema.ts';
import type { KubeObject } from '../../../shared/rbac/kinds.ts';
import { patternForGo, valuesSchema } from '../../house/chart/values-schema.ts';
import { needs } from '../../support/needs.ts';
import { loadText } from '../policy/fixture.ts';
import { needsOf, objectsOf } from '../rbac/fixture.ts';
import { chart, helm } from './helm.ts';

type Json = Record<string, unknown>;

const grant = { issuer: 'github', where: { a: 'b' }, cluster: 'prod', serviceAccount: 'web' };
const config = {
  publicUrl: 'https://kleis.example.com',
  issuers: { github: { url: 'https://token.actions.githubusercontent.com', audience: 'https://kleis.example.com' } },
  clusters: { prod: { credentials: { inCluster: true }, audiences: ['https://kubernetes.default.svc'] } },
  grants: { web: { ...grant, access: [{ namespace: 'web', role: 'deployer' }] } },
};
const values = { config, certificate: { secretName: 'kleis-tls' } };

const template = async (given: object, ...flags: string[]) =>
  helm(
    ['template', 'kleis', chart, '--namespace', 'kleis', '--kube-version', '1.36.0', '--values', '-', ...flags],
    // helm reads YAML 1.1, in which these end a line.
    JSON.stringify(given).replaceAll('\u2028', '\\u2028').replaceAll('\u0085', '\\u0085'),
  );
const objectsIn = (text: string) =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);

/** Each place of the schema at which a value may stand, with a document that has something there which may not. */
interface Wrong {
  readonly path: string;
  readonly value: unknown;
}

function wrongs(schema: JsonSchema, path: string, choose: (schema: JsonSchema) => unknown): Wrong[] {
  const { properties, additionalProperties, items, anyOf = [] } = schema;
  const here = choose(schema);
  const own = here === undefined ? [] : [{ path, value: here }];
  if (properties !== undefined)
    return [...own, ...Object.entries(properties).flatMap(([name, part]) => wrongs(part, `${path}/${name}`, choose))];
  const [first] = anyOf.filter((each) => each.properties !== undefined);
  if (first !== undefined) return wrongs(first, path, choose);
  if (typeof additionalProperties === 'object' && additionalProperties.properties !== undefined)
    return [...own, ...wrongs(additionalProperties, `${path}/a`, choose)];
  if (items?.properties !== undefined) return [...own, ...wrongs(items, `${path}/0`, choose)];
  return own;
}

/** All of them in one document, deepest last. */
function documentOf(all: readonly Wrong[]): Json {
  const document: Json = {};
  for (const { path, value } of all) {
    const keys = path.split('/').slice(1);
    let at: Json = document;
    for (const [index, key] of keys.slice(0, -1).entries()) {
      at[key] ??= keys[index + 1] === '0' ? [] : {};
      at = at[key] as Json;
    }
    at[keys.at(-1)!] = value;
  }
  return document;
}

const isLeaf = ({ properties, additionalProperties, items, anyOf = [] }: JsonSchema) =>
  properties === undefined &&
  anyOf.every((each) => each.properties === undefined) &&
  (additionalProperties as JsonSchema | undefined)?.properties === undefined &&
  items?.properties === undefined;

function ofAnotherType({ type, ...schema }: JsonSchema): unknown {
  if (type === 'string' || schema['enum'] !== undefined) return 5;
  return ['boolean', 'integer', 'object', 'array'].includes(String(type)) ? 'x' : [];
}

/** `not named`: what was taken, or refused without its path. */
async function notNamed(all: readonly Wrong[]): Promise<string[]> {
  const { code, stderr } = await template(documentOf(all));
  expect(code).not.toBe(0);
  return all.map(({ path }) => path).filter((path) => !stderr.includes(`at '${path}`));
}

describe.skipIf(!needs('helm'))('values of the chart', () => {
  it('that are of another type are refused, each by its path', async () => {
    const all = wrongs(valuesSchema(), '', (schema) => (isLeaf(schema) ? ofAnotherType(schema) : undefined));
    expect(all.length).toBeGreaterThan(110);
    // What is not read.
    expect(await notNamed(all.filter(({ path }) => !path.endsWith('/where')))).toEqual([]);
    const groups = Object.entries(valuesSchema().properties ?? {}).map(([name, schema]) => ({
      path: `/${name}`,
      value: ofAnotherType(schema),
    }));
    expect(await notNamed(groups)).toEqual([]);
  });

  it('that nobody knows are refused wherever they stand', async () => {
    const objects = wrongs(valuesSchema(), '', (schema) => (schema.properties === undefined ? undefined : 'x'));
    const all = objects.map(({ path }) => ({ path: `${path}/nonsense`, value: 1 }));
    const { stderr } = await template(documentOf(all));
    for (const { path } of objects)
      expect(stderr).toMatch(new RegExp(`at '${path}': additional properties (?:'\\w+', )*'nonsense'`));
    expect(objects.length).toBeGreaterThan(25);
  });

  it('that are not of their form are refused, and never an empty or a strange name', async () => {
    const formed = (schema: JsonSchema) => schema['pattern'] !== undefined || schema['allOf'] !== undefined;
    for (const value of ['a b\n', '{{ .Release }}', `"'`]) {
      const all = wrongs(valuesSchema(), '', (schema) => (formed(schema) && isLeaf(schema) ? value : undefined));
      expect(all.length).toBeGreaterThan(25);
      // Roles have nearly any name, and a contact is any line.
      expect(await notNamed(all.filter(({ path }) => !/\/(?:role|clusterRole|path|contact)$/.test(path)))).toEqual([]);
    }
  });

  it('that contradict each other or the cluster are refused together, each with what to do', async () => {
    const cases: readonly (readonly [Json, ...RegExp[]])[] = [
      [
        {
          config: {
            ...config,
            publicUrl: 'http://kleis.example.com/at',
            state: { memory: true },
            clusters: { prod: { credentials: { inCluster: true }, certificateAuthority: 'ca.pem' } },
            listen: { address: '127.0.0.1:8443' },
            metrics: { listen: ':80' },
            web: { issuer: 'github', clientId: 'x', cookieKeyFile: '/secrets/key' },
          },
          certificate: {},
          ingress: { enabled: true },
          httpRoute: { enabled: true },
          files: { 'more.yaml': 'x' },
          mounts: [{ name: 'tls', path: '/etc/kleis/.', source: {} }],
        },
        /certificate says not where the certificate of the broker comes from: write one of/,
        /config\.publicUrl must begin with https/,
        /config\.publicUrl has a path/,
        /config\.state\.memory is for one replica, and replicas is 2/,
        /config\.clusters\.prod\.audiences is missing: .*kubectl get --raw/,
        /config\.clusters\.prod\.certificateAuthority is ca\.pem, which would not be there: put it into files/,
        /config\.web\.cookieKeyFile is \/secrets\/key, which would not be there/,
        /config\.listen\.address is 127\.0\.0\.1:8443: a pod is reached/,
        /config\.metrics\.listen is :80: the broker is not root/,
        /httpRoute\.parentRefs is empty/,
        /files\.more\.yaml would be read as one more file of the configuration/,
        /mounts has \/etc\/kleis\/\., where something is mounted already/,
        /mounts has the name tls, which is the chart's own/,
      ],
      [
        {
          config: {
            ...config,
            clusters: { edge: { server: 'https://edge', credentials: { tokenFile: '/t' } } },
            state: { cluster: 'none' },
            metrics: { listen: ':8443' },
          },
          certificate: { endedByProxy: true, secretName: 'x' },
        },
        /certificate has secretName and endedByProxy: write one of them/,
        /config\.trustedProxies is missing/,
        /config\.clusters has no cluster with credentials: \{ inCluster: true \}/,
        /config\.state\.cluster is none, which is no entry/,
        /config\.grants\.web\.cluster is prod, which is no entry/,
        /config\.metrics\.listen has the port of config\.listen/,
      ],
      [
        {
          ...values,
          config: { ...config, clusters: { prod: config.clusters.prod, again: config.clusters.prod } },
        },
        /config\.clusters has inCluster more than once \(again, prod\)/,
      ],
    ];
    for (const [given, ...messages] of cases) {
      const { code, stderr } = await template(given);
      expect(code).not.toBe(0);
      for (const message of messages) expect(stderr).toMatch(message);
    }
    const release = await template(values, '--namespace', 'kleis-state');
    expect(release.stderr).toContain('--namespace is kleis-state, which the chart itself makes');
    // A cluster that has kinds, and not these.
    const asked = { ...values, certificate: { issuerRef: { name: 'x' } }, serviceMonitor: { enabled: true } };
    const bare = await template(asked, '--api-versions', 'v1/Namespace');
    expect(bare.stderr).toMatch(/certificate\.issuerRef needs cert-manager, and the cluster has no/);
    expect(bare.stderr).toMatch(/serviceMonitor\.enabled needs the Prometheus operator/);
    expect(bare.stderr).toContain('has no ValidatingAdmissionPolicy');
  });

  it('never become anything but values, whatever is in them', async () => {
    const long = 'a'.repeat(63);
    const plain = (strange: string): Json => ({
      ...values,
      config: {
        ...config,
        issuers: { [long]: { url: 'https://x', audience: `of-${strange}` }, github: config.issuers.github },
        clusters: { [long]: { ...config.clusters.prod, audiences: [strange, 'b'] } },
        admins: [{ issuer: long, claim: strange, value: strange }],
        grants: {
          [long]: {
            ...grant,
            issuer: long,
            cluster: long,
            where: { [strange]: strange },
            condition: strange,
            serviceAccount: long,
          },
        },
      },
      files: { 'x.pem': strange.replaceAll(/[\u2028\u0085]/g, '') },
      env: [{ name: 'X', value: strange.replaceAll(/[\u2028\u0085]/g, '') }],
      podAnnotations: { x: strange },
      service: { annotations: { x: strange } },
      ingress: { enabled: true, annotations: { x: strange } },
      mounts: [{ name: 'm', path: '/m', source: { csi: { driver: strange } } }],
    });
    const kinds = (objects: readonly KubeObject[]) =>
      objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted();
    const usual = kinds(objectsIn((await template(plain('x'))).stdout));
    const stranges = [
      '"}}\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: x }\n',
      `it's {{ .Values.config | toYaml }} {{ "\${x}" }} \`x\` %s \\n`,
      '\u2028\u0085é😀\t #: - & * ! | > @ % null true 0x1f 1e3 ~',
    ];
    for (const strange of stranges) {
      const given = plain(strange);
      const { stdout, stderr } = await template(given);
      expect(stderr).toBe('');
      const objects = objectsIn(stdout);
      expect(kinds(objects)).toEqual(usual);
      const { data } = objects.find(({ kind }) => kind === 'ConfigMap') as unknown as { data: Record<string, string> };
      expect(parse(data['broker.yaml']!)).toMatchObject(given['config'] as object);
      expect(data['x.pem']).toBe((given['files'] as Json)['x.pem']);
      const deployment = JSON.stringify(objects.find(({ kind }) => kind === 'Deployment'));
      expect(deployment).toContain(JSON.stringify((given['env'] as Json[])[0]));
    }
  });

  it('with an issuer of cert-manager let its account write that Secret, in the configuration and in the policy', async () => {
    const { stdout } = await template({ ...values, certificate: { issuerRef: { name: 'x' } } });
    const objects = objectsIn(stdout);
    const find = (wanted: string) => objects.find(({ kind }) => kind === wanted) as unknown as Json & { data: Json };
    expect(find('Certificate')).toMatchObject({
      metadata: { name: 'kleis-tls', namespace: 'kleis-system' },
      spec: { secretName: 'kleis-tls', dnsNames: ['kleis.example.com'], issuerRef: { name: 'x' } },
    });
    const made = String(find('ConfigMap').data['broker.yaml']);
    expect(parse(made)).toMatchObject({
      namespaces: { writers: [{ serviceAccount: 'cert-manager/cert-manager', secrets: ['kleis-tls'] }] },
    });
    // As `rbac` makes of that very configuration.
    const loaded = loadText(made);
    const expected = objectsOf(needsOf(loaded, loaded.config.clusters['prod']!.audiences));
    for (const policy of expected.filter(({ kind }) => kind === 'ValidatingAdmissionPolicy'))
      expect(objects).toContainEqual(expect.objectContaining({ kind: policy.kind, spec: policy['spec'] }));
    expect(JSON.stringify(expected)).toContain('system:serviceaccount:cert-manager:cert-manager secrets/kleis-tls');
  });

  it('whose names look like numbers and booleans stay texts', async () => {
    const cluster = { systemNamespace: '1e3', identityNamespace: '123', ephemeralNamespace: 'true' };
    const given = {
      config: { ...config, clusters: { prod: { ...config.clusters.prod, ...cluster, serviceAccount: '10' } } },
      mounts: [{ name: '7', path: '/x', source: { secret: { secretName: '8' } } }],
      ingress: { enabled: true, tlsSecretName: '6' },
    };
    for (const certificate of [
      { secretName: '1e4' },
      {
        pem: { certificate: '-----BEGIN CERTIFICATE-----', privateKey: '-----BEGIN PRIVATE KEY-----' },
      },
    ]) {
      const { stdout, stderr } = await template({ ...given, certificate });
      expect(stderr).toBe('');
      // As the API server has it of YAML 1.1.
      const objects = parseAllDocuments(stdout, { version: '1.1' }).map((document) => document.toJS() as unknown);
      const wrong: string[] = [];
      JSON.stringify(objects, (key, value: unknown) => {
        if (/^(?:name|namespace|.*Name)$/.test(key) && typeof value !== 'string')
          wrong.push(`${key}: ${String(value)}`);
        return value;
      });
      expect(wrong).toEqual([]);
    }
  });

  it('that are a bomb end helm, and not the machine', async () => {
    const lines = Array.from(
      { length: 12 },
      (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(9)}]`,
    );
    const bomb = `config:\n  a0: &a0 [x]\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
    const { code, stderr } = await helm(['template', 'kleis', chart, '--values', '-'], bomb);
    expect(code).not.toBe(0);
    expect(stderr.length).toBeLessThan(10_000);
  });

  it('of the docs are taken, without a warning of the lint', async () => {
    const page = readFileSync('docs/broker.md', 'utf8');
    const [, block = ''] = /`values\.yaml` has the configuration[^]*?```yaml\n([^]*?)```/.exec(page) ?? [];
    const given = { ...(parse(block) as Json), certificate: { secretName: 'kleis-tls' } };
    expect((await template(given)).stderr).toBe('');
    const lint = await helm(['lint', '--strict', chart, '--values', '-'], stringify(given));
    expect(lint.stdout).toContain('0 chart(s) failed');
    expect(lint.stdout).not.toMatch(/WARNING|ERROR/);
  });
});

describe('a pattern for helm', () => {
  it('takes what the pattern takes that it was made of', () => {
    const patterns = new Set<string>();
    JSON.stringify(brokerJsonSchema(), (key, value: unknown) => {
      if (key === 'pattern') patterns.add(String(value));
      return value;
    });
    expect(patterns.size).toBeGreaterThan(6);
    for (const pattern of patterns) {
      const made = patternForGo(pattern);
      const matching = fc.oneof(
        fc.constantFrom('1h', '.', '..', 'a.b', 'a/b', '', 'x'.repeat(254), `${'x'.repeat(60)}.`.repeat(5)),
        fc.string({ unit: 'grapheme' }),
        fc.stringMatching(/^[a-z0-9./-]{0,80}$/),
      );
      fc.assert(
        fc.property(matching, (text) => matches(made, text) === new RegExp(pattern, 'u').test(text)),
        { numRuns: 100 },
      );
    }
  });
});

const known = new Map<string, RE2JS>();

function compiled(pattern: string): RE2JS {
  const regex = known.get(pattern) ?? RE2JS.compile(pattern);
  known.set(pattern, regex);
  return regex;
}

function matches(schema: Json, text: string): boolean {
  const { pattern, allOf = [], not } = schema as { pattern?: string; allOf?: Json[]; not?: Json };
  return (
    (pattern === undefined || compiled(pattern).test(text)) &&
    allOf.every((each) => matches(each, text)) &&
    (not === undefined || !matches(not, text))
  );
}
