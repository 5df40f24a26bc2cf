import { archiveFile, archiveName } from '../archives/make.ts';
import { targets } from '../standalone/targets.ts';
import { homepage, licence, published, summary, version } from './release.ts';

/** As Scoop names a version that is to come. */
const ofAnother = (text: string) => text.replaceAll(version, '$version');

/** A manifest for a bucket: github.com/ScoopInstaller/Scoop/wiki/App-Manifests. Undefined without the archive for Windows. */
export function scoopManifest(folder: string): string | undefined {
  const target = targets.find(({ os }) => os === 'win32')!;
  const file = published(folder, archiveFile(target));
  if (file === undefined) return undefined;
  const manifest = {
    version,
    description: summary,
    homepage,
    license: licence,
    architecture: { '64bit': { url: file.url, hash: file.sha256, extract_dir: archiveName(target) } },
    bin: ['kleis.exe', 'kleis-get-token.cmd', 'kubectl-kleis.cmd', 'kubectl_complete-kleis.cmd'],
    checkver: { github: homepage },
    autoupdate: {
      architecture: { '64bit': { url: ofAnother(file.url), extract_dir: ofAnother(archiveName(target)) } },
      hash: { url: '$baseurl/SHA256SUMS' },
    },
  };
  return `${JSON.stringify(manifest, undefined, 2)}\n`;
}
