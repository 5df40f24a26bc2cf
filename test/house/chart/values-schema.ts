import { brokerJsonSchema, type JsonSchema } from '../../../broker/config/json-schema.ts';

type Schema = Record<string, unknown>;

const text = (description: string, more: Schema = {}): Schema => ({
  type: 'string',
  maxLength: 1024,
  description,
  ...more,
});
const flag = (description: string): Schema => ({ type: 'boolean', description });
const object = (description: string, properties: Schema, more: Schema = {}): Schema => ({
  type: 'object',
  description,
  additionalProperties: false,
  properties,
  ...more,
});
/** As the API of Kubernetes has it, which judges it. */
const asThere = (type: 'object' | 'array', description: string): Schema => ({
  type,
  description,
  ...(type === 'array' && { items: { type: 'object' } }),
});
const texts = (description: string): Schema => ({
  type: 'object',
  description,
  additionalProperties: { type: 'string' },
});
const label = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?';
const name = (description: string): Schema =>
  text(description, { pattern: `^(${label}(\\.${label})*)?$`, maxLength: 253 });
const enabled = flag('Whether it is made.');

const workload = {
  certificate: object("Where the broker's certificate comes from: exactly one of these.", {
    secretName: name(
      'A Secret of type `kubernetes.io/tls` that you make. With `issuerRef`, the one that cert-manager makes.',
    ),
    pem: object(
      'PEM, of which the chart makes the Secret: `--set-file certificate.pem.certificate=tls.crt`.',
      {
        certificate: {
          type: 'string',
          description: 'Certificate and those between it and its authority.',
          pattern: '-----BEGIN CERTIFICATE-----',
        },
        privateKey: { type: 'string', description: 'Its private key.', pattern: '-----BEGIN [A-Z ]*PRIVATE KEY-----' },
      },
      { required: ['certificate', 'privateKey'] },
    ),
    issuerRef: object(
      'The issuer of cert-manager that makes it. Its account comes into `config.namespaces.writers`.',
      {
        name: text('Name of the issuer.', { minLength: 1 }),
        kind: text('Issuer, ClusterIssuer, or that of an external one.'),
        group: text('API group of an external one.'),
      },
      { required: ['name'] },
    ),
    controller: text('The account that cert-manager runs as, if not `cert-manager/cert-manager`.', {
      pattern: `^${label}/${label}(\\.${label})*$`,
    }),
    endedByProxy: flag('TLS ends before the broker, which serves plain HTTP to `config.trustedProxies` alone.'),
  }),
  files: {
    type: 'object',
    description: 'Files beside broker.yaml, by their names: authorities, key sets. Everybody may read them.',
    propertyNames: { pattern: '^[-._a-zA-Z0-9]{1,253}$' },
    // Of these one version of YAML makes the end of a line, and another does not.
    additionalProperties: { type: 'string', pattern: '^[^\\x{85}\\x{2028}\\x{2029}]*$' },
  },
  mounts: {
    type: 'array',
    description: 'Volumes for files that `config` names by a whole path.',
    items: object(
      'A volume.',
      {
        name: text('Name of the volume.', { pattern: `^${label}$` }),
        path: text('Folder in the pod.', { pattern: '^/[^:]*[^:/]$' }),
        writable: flag('Whether the broker may write there (an audit file, a token that it renews).'),
        source: asThere('object', 'The volume, as a pod has it: `{ secret: { secretName: … } }`, `{ csi: … }`.'),
      },
      { required: ['name', 'path', 'source'] },
    ),
  },
  image: object('The image of the broker.', {
    repository: text('Where it is.', { minLength: 1 }),
    tag: text('Its tag; that of the chart if empty.', { pattern: '^[-\\w.]{0,128}$' }),
    digest: text('Its digest, which counts and not the tag.', { pattern: '^(sha256:[0-9a-f]{64})?$' }),
    pullPolicy: { type: 'string', enum: ['Always', 'IfNotPresent', 'Never'], description: 'When it is pulled.' },
    pullSecrets: asThere('array', 'Secrets to pull it with, `[{ name: … }]`.'),
  }),
  replicas: { type: 'integer', minimum: 1, maximum: 100, description: 'How many pods.' },
  resources: asThere('object', 'Of the container.'),
  env: asThere('array', 'Environment of the container: `KLEIS_LOG`, `HTTPS_PROXY`, `OTEL_…`.'),
  podLabels: texts('More labels of the pods.'),
  podAnnotations: texts('Annotations of the pods.'),
  nodeSelector: texts('Of the pods.'),
  tolerations: asThere('array', 'Of the pods.'),
  affinity: asThere('object', 'Of the pods. They are spread over nodes and zones anyway.'),
  priorityClassName: name('Of the pods.'),
  service: object('The Service.', {
    type: { type: 'string', enum: ['ClusterIP', 'NodePort', 'LoadBalancer'], description: 'Its type.' },
    port: { type: 'integer', minimum: 1, maximum: 65535, description: 'Its port.' },
    annotations: texts('Its annotations.'),
  }),
  ingress: object('An Ingress for the host of `config.publicUrl`.', {
    enabled,
    className: name('Its class.'),
    tlsSecretName: name('The Secret with which it ends TLS, with `certificate.endedByProxy`.'),
    annotations: texts('Instead of those with which ingress-nginx passes TLS through.'),
  }),
  httpRoute: object('An HTTPRoute of the Gateway API for that host.', {
    enabled,
    parentRefs: asThere('array', 'The Gateways.'),
  }),
  networkPolicy: object('NetworkPolicies: nothing in and out of the namespaces of Kleis but what the broker needs.', {
    enabled,
    callers: asThere('array', 'Who may ask the broker; everybody if empty. As `from` has it.'),
    monitoringNamespace: text('The namespace that Prometheus runs in.', { pattern: `^${label}$` }),
    ports: {
      type: 'array',
      description: 'Ports of issuers and API servers beside 443, 6443 and those in the URLs of `config`.',
      items: { type: 'integer', minimum: 1, maximum: 65535 },
    },
    egress: asThere('array', 'More ways out, to a proxy or a collector of traces. As `egress` has it.'),
  }),
  quotas: object('ResourceQuota and LimitRange in the namespaces of Kleis.', { enabled }),
  podDisruptionBudget: object('A PodDisruptionBudget, with more than one replica.', { enabled }),
  serviceMonitor: object('Metrics for the Prometheus operator.', {
    enabled,
    labels: texts('More labels, that your Prometheus selects by.'),
  }),
  prometheusRule: object('Recordings and alerts for it.', {
    enabled,
    labels: texts('More labels, that your Prometheus selects by.'),
  }),
} satisfies Schema;

/** values.schema.json of the chart: `config` is the broker's own schema. */
export function valuesSchema(): JsonSchema {
  const { $schema, $id: _, title: _title, $defs, ...config } = brokerJsonSchema();
  return {
    $schema,
    title: 'Values of the chart kleis-broker',
    type: 'object',
    additionalProperties: false,
    required: ['config'],
    properties: {
      config: {
        ...forGo(config),
        description: 'The configuration of the broker.',
        required: ['publicUrl', 'issuers', 'clusters', 'grants'],
      },
      ...workload,
      global: { type: 'object', description: 'Of a chart that has this one in it; not read.' },
    },
    $defs: forGo($defs),
  };
}

/** Values but `config`, for the table of the docs. */
export const workloadValues: JsonSchema = { type: 'object', properties: workload };

/** The same schema with expressions that Go reads, as helm's validator does. */
function forGo(schema: unknown): Schema {
  if (Array.isArray(schema)) return schema.map(forGo) as unknown as Schema;
  if (typeof schema !== 'object' || schema === null) return schema as Schema;
  const { pattern, ...rest } = Object.fromEntries(Object.entries(schema).map(([key, part]) => [key, forGo(part)]));
  return typeof pattern === 'string' ? { ...rest, ...patternForGo(pattern) } : rest;
}

const spaces = '\\s\\x{0b}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}';

/** RE2 has no look-ahead: what one demands is demanded beside it. And its `\s` is that of ASCII. */
export function patternForGo(pattern: string): Schema {
  const found = /\(\?([=!])((?:[^()]|\([^()]*\))*)\)/.exec(pattern);
  if (found === null) return { pattern: pattern.replaceAll('\\s', spaces) };
  const [whole, kind, inner = ''] = found;
  const before = pattern.slice(0, found.index);
  const demand = { pattern: before + inner };
  const rest = patternForGo(before + pattern.slice(found.index + whole.length));
  return { allOf: [kind === '=' ? demand : { not: demand }, rest] };
}
