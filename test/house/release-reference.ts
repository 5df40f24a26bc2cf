import packageJson from '../../package.json' with { type: 'json' };
import { releaseIssuer, releaseSubject } from '../../cli/packaging/release/identity.ts';
import { artifacts, kubernetes, nodes } from '../../cli/packaging/release/supported.ts';
import { type Part, table } from './reference.ts';

/** The commands with which users verify a release, and what is said to be supported, each from one place. */
export const releaseParts: readonly Part[] = [
  { file: 'docs/releasing.md', name: 'verify', make: verify },
  { file: 'docs/versions.md', name: 'kubernetes', make: kubernetesTable },
  { file: 'docs/versions.md', name: 'nodes', make: nodesTable },
  { file: 'docs/versions.md', name: 'artifacts', make: artifactsTable },
];

function verify(): string {
  const { version } = packageJson;
  const who = `--certificate-oidc-issuer ${releaseIssuer} \\\n  --certificate-identity-regexp '${releaseSubject}'`;
  const block = (...lines: readonly string[]) => ['```sh', ...lines, '```'].join('\n');
  return [
    'Files of the page of the release:',
    block(
      `gh release download v${version} --repo kleis-dev/kleis`,
      `cosign verify-blob SHA256SUMS --bundle SHA256SUMS.sigstore.json ${who}`,
      'sha256sum --check --ignore-missing SHA256SUMS',
      `gh attestation verify kleis-${version}-linux-x64.tar.gz --repo kleis-dev/kleis --signer-workflow kleis-dev/kleis/.github/workflows/release.yml`,
    ),
    'The npm package, where it is installed as a dependency:',
    block(`npm install kleis@${version}`, 'npm audit signatures'),
    'Images and the chart (the digest that is printed is what to deploy):',
    block(
      `cosign verify ghcr.io/kleis-dev/kleis-broker:${version} ${who}`,
      `cosign verify ghcr.io/kleis-dev/charts/kleis-broker:${version} ${who}`,
      `cosign verify-attestation ghcr.io/kleis-dev/kleis-broker:${version} --type spdxjson ${who}`,
      `gh attestation verify oci://ghcr.io/kleis-dev/kleis-broker:${version} --repo kleis-dev/kleis --signer-workflow kleis-dev/kleis/.github/workflows/release.yml`,
    ),
  ].join('\n\n');
}

function kubernetesTable(): string {
  const { oldest, newest } = kubernetes;
  return table(
    ['Kubernetes', 'what is run', 'when'],
    [
      [`${oldest}, the oldest`, 'the suites that need a real API server', 'each change'],
      [`${newest}, the newest`, 'the suites that need a real API server', 'each change'],
      [`kubectl ${newest}`, `with the API servers ${oldest} and ${newest}`, 'each change'],
    ],
  );
}

function nodesTable(): string {
  return table(
    ['Node', 'what is run', 'when'],
    nodes.map(({ version, runs, when, exactly }) => [
      exactly === undefined ? `${version}, the oldest` : `${version} (${exactly.version})`,
      runs === 'the packed programs' ? 'the programs of the npm package, as installed' : runs,
      when,
    ]),
  );
}

function artifactsTable(): string {
  return table(
    ['of a release', 'for', 'tried before it is published'],
    artifacts.map(({ what, system, tried }) => [what, system, tried ?? 'no: made only']),
  );
}
