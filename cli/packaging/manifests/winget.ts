import { stringify } from 'yaml';
import { archiveFile, archiveName } from '../archives/make.ts';
import { targets } from '../standalone/targets.ts';
import { about, homepage, licence, published, summary, version } from './release.ts';

const identifier = 'KleisDev.Kleis';
const schema = '1.10.0';

/** The three files of a package by their names: github.com/microsoft/winget-cli, schemas/JSON/manifests. Empty without the archive. */
export function wingetManifests(folder: string): ReadonlyMap<string, string> {
  const target = targets.find(({ os }) => os === 'win32')!;
  const file = published(folder, archiveFile(target));
  if (file === undefined) return new Map();
  const write = (type: string, fields: Record<string, unknown>) =>
    stringify({
      PackageIdentifier: identifier,
      PackageVersion: version,
      ...fields,
      ManifestType: type,
      ManifestVersion: schema,
    });
  return new Map([
    [`${identifier}.yaml`, write('version', { DefaultLocale: 'en-US' })],
    [
      `${identifier}.installer.yaml`,
      write('installer', {
        InstallerType: 'zip',
        NestedInstallerType: 'portable',
        NestedInstallerFiles: [
          { RelativeFilePath: `${archiveName(target)}\\kleis.exe`, PortableCommandAlias: 'kleis' },
        ],
        // The folder comes on PATH, and with it what lies beside kleis.exe, which a link of winget's own would not.
        ArchiveBinariesDependOnPath: true,
        UpgradeBehavior: 'uninstallPrevious',
        Commands: ['kleis'],
        Installers: [{ Architecture: 'x64', InstallerUrl: file.url, InstallerSha256: file.sha256.toUpperCase() }],
      }),
    ],
    [
      `${identifier}.locale.en-US.yaml`,
      write('defaultLocale', {
        PackageLocale: 'en-US',
        Publisher: 'The Kleis authors',
        PublisherUrl: homepage,
        PublisherSupportUrl: `${homepage}/issues`,
        PackageName: 'Kleis',
        PackageUrl: homepage,
        License: licence,
        LicenseUrl: `${homepage}/blob/v${version}/LICENSE`,
        ShortDescription: summary,
        Description: about,
        Moniker: 'kleis',
        Tags: ['kubectl', 'kubernetes', 'oidc', 'sso'],
        ReleaseNotesUrl: `${homepage}/releases/tag/v${version}`,
      }),
    ],
  ]);
}
