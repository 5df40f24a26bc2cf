import { stringify } from 'yaml';
import { archiveFile, archiveName, krewFile } from '../archives/make.ts';
import { targets } from '../standalone/targets.ts';
import { about, homepage, published, summary, version } from './release.ts';

/** As Go and Kubernetes say it. */
const names = { win32: 'windows', darwin: 'darwin', linux: 'linux', x64: 'amd64', arm64: 'arm64' } as const;

const caveats = `krew links kubectl-kleis and nothing else, so kubectl starts it for each command; the archive and the packages bring
kleis-credential, which answers from a cache. Completion of "kubectl kleis" takes a program on PATH that is called kubectl_complete-kleis:
ln -s "$(command -v kubectl-kleis)" ~/.local/bin/kubectl_complete-kleis
`;

/** A manifest for krew's index: krew.sigs.k8s.io/docs/developer-guide/plugin-manifest. */
export function krewManifest(folder: string): string {
  const platforms = targets.flatMap((target) => {
    const isWindows = target.os === 'win32';
    const file = published(folder, isWindows ? archiveFile(target) : krewFile(target));
    if (file === undefined) return [];
    const program = isWindows ? 'kleis.exe' : 'kleis';
    const top = archiveName(target);
    return [
      {
        selector: { matchLabels: { os: names[target.os], arch: names[target.arch] } },
        uri: file.url,
        sha256: file.sha256,
        bin: program,
        files: [
          ...[program, 'LICENSE', 'NODE-LICENSE.txt', 'THIRD-PARTY-LICENSES.txt'].map((name) => ({
            from: `${top}/${name}`,
            to: '.',
          })),
          { from: `${top}/lib/keytar.node`, to: 'lib/keytar.node' },
        ],
      },
    ];
  });
  const spec = { version: `v${version}`, homepage, shortDescription: summary, description: about, caveats, platforms };
  const head = {
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: 'kleis' },
  };
  return stringify({ ...head, spec }, { lineWidth: 0 });
}
