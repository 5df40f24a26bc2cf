import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseAllDocuments, parse, stringify } from 'yaml';
import { judgeInSteps } from '../../../broker/config/load.ts';
import { readPlainYaml } from '../../../broker/config/plain-yaml.ts';
import { readAnyYaml } from '../../../broker/config/yaml.ts';
import { buildManifests } from '../../../broker/rbac/manifests.ts';
import { findNeeds } from '../../../broker/rbac/needs.ts';
import { printYaml } from '../../../broker/rbac/print.ts';
import type { KubeObject } from '../../../shared/rbac/kinds.ts';
import { findTool } from '../../support/tools.ts';
import { chartFolder } from './folder.ts';

const folder = 'broker/deploy/kustomize';
const example = `${folder}/overlays/example`;

type Choose = (object: KubeObject) => boolean;
const ofKind =
  (...kinds: readonly string[]): Choose =>
  ({ kind }) =>
    kinds.includes(kind);
const isEphemeral: Choose = ({ metadata }) => metadata.namespace === 'kleis-ephemeral';
const but =
  (choose: Choose): Choose =>
  (object) =>
    choose(object) && !isEphemeral(object);

/** Which objects of the chart stand in which file. */
const places: Readonly<Record<string, Choose>> = {
  'base/deployment.yaml': ofKind('Deployment', 'PodDisruptionBudget'),
  'base/service.yaml': ({ kind, metadata }) => kind === 'Service' && metadata.name === 'kleis-broker',
  'base/network.yaml': but(ofKind('NetworkPolicy')),
  'base/quotas.yaml': but(ofKind('ResourceQuota', 'LimitRange')),
  'overlays/ephemeral/ephemeral.yaml': (object) =>
    isEphemeral(object) && ofKind('NetworkPolicy', 'ResourceQuota')(object),
  'overlays/ingress/ingress.yaml': ofKind('Ingress'),
  'overlays/gateway/http-route.yaml': ofKind('HTTPRoute'),
  'overlays/cert-manager/certificate.yaml': ofKind('Certificate'),
  'overlays/service-monitor/service-monitor.yaml': ({ kind, metadata }) =>
    kind === 'ServiceMonitor' || (kind === 'Service' && metadata.name !== 'kleis-broker'),
  'overlays/prometheus-rule/prometheus-rule.yaml': ofKind('PrometheusRule'),
};

/** The same objects as the chart's, for kustomize. Without helm they stay as they are. */
export const kustomizeFiles: readonly { readonly file: string; readonly make: (current: string) => string }[] = [
  ...Object.entries(places).map(([name, choose]) => ({
    file: `${folder}/${name}`,
    make: (current: string) => {
      const objects = chartObjects();
      return objects === undefined ? current : print(objects.filter((object) => choose(object)));
    },
  })),
  { file: `${example}/rbac.yaml`, make: exampleRbac },
];

const made = '# Made by `npm run generate` from the chart.\n';

function print(objects: readonly KubeObject[]): string {
  return `${made}${objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n')}`;
}

let known: readonly KubeObject[] | undefined;

function chartObjects(): readonly KubeObject[] | undefined {
  if (known !== undefined) return known;
  const helm = findTool('helm');
  if (helm === undefined) return undefined;
  const config = parse(readFileSync(`${example}/broker.yaml`, 'utf8')) as { grants: Record<string, object> };
  const ephemeral = { ...config.grants['deploy-web'], serviceAccount: undefined, ephemeral: true };
  const values = {
    config: { ...config, grants: { ...config.grants, ephemeral } },
    certificate: { secretName: 'kleis-tls', issuerRef: { name: 'letsencrypt', kind: 'ClusterIssuer' } },
    ingress: { enabled: true },
    httpRoute: { enabled: true, parentRefs: [{ name: 'public', namespace: 'gateways' }] },
    serviceMonitor: { enabled: true },
    prometheusRule: { enabled: true },
  };
  const args = ['template', 'kleis', chartFolder, '--namespace', 'kleis', '--kube-version', '1.36.0', '--values', '-'];
  const { status, stdout, stderr } = spawnSync(helm, args, { input: JSON.stringify(values), encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  known = parseAllDocuments(stdout)
    .map((document) => document.toJS() as KubeObject | null)
    .flatMap((object) => (object === null ? [] : [withoutRelease(object)]));
  return known;
}

const ofRelease = ['app.kubernetes.io/instance', 'app.kubernetes.io/managed-by', 'app.kubernetes.io/version'];

/** What only helm knows, and what only a configuration says: the API server's own audience is the default. */
function withoutRelease(object: KubeObject): KubeObject {
  const strip = (key: string, value: unknown): unknown =>
    ofRelease.includes(key) || key === 'audience' ? undefined : value;
  return JSON.parse(JSON.stringify(object, strip)) as KubeObject;
}

/** What `kleis-broker rbac` prints for the configuration of the example. */
function exampleRbac(): string {
  const text = readFileSync(`${example}/broker.yaml`, 'utf8');
  const steps = judgeInSteps([{ file: 'broker.yaml', text, plain: readPlainYaml(text) }], readAnyYaml);
  for (;;) {
    const { done, value } = steps.next();
    if (done !== true) continue;
    const cluster = value.config.clusters['prod']!;
    const needs = findNeeds(value.config, cluster, cluster.audiences ?? []);
    return `# Made by \`npm run generate\`: kleis-broker rbac --config broker.yaml\n${printYaml(buildManifests(needs), needs)}`;
  }
}
