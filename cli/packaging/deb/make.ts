import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import packageJson from '../../../package.json' with { type: 'json' };
import { archiveFile, archiveName } from '../archives/make.ts';
import { normalize } from '../archives/normalize.ts';
import { epoch } from '../release/epoch.ts';
import { inTemporary } from '../release/temporary.ts';
import { type Target, targets } from '../standalone/targets.ts';

const run = promisify(execFile);

/** As Debian says it (dpkg-architecture). */
const architectures = { x64: 'amd64', arm64: 'arm64' } as const;

const version = `${packageJson.version}-1`;

const debFile = ({ arch }: Target): string => `kleis_${version}_${architectures[arch]}.deb`;

/** Those that are in that folder. */
export const debFiles = (folder: string): string[] =>
  targets
    .filter(({ os }) => os === 'linux')
    .map((target) => debFile(target))
    .filter((name) => existsSync(join(folder, name)));

const maintainer = 'The Kleis authors <kleis@users.noreply.github.com>';

/** Writes a package for Debian and Ubuntu from the archive of each Linux that is in that folder. Returns their names. */
export async function makeDebs(into: string): Promise<string[]> {
  const made: string[] = [];
  const names = new Set(await readdir(into));
  for (const target of targets.filter((each) => each.os === 'linux' && names.has(archiveFile(each)))) {
    await inTemporary('deb', async (work) => {
      await run('tar', ['-xzf', resolve(into, archiveFile(target)), '-C', work]);
      const root = join(work, 'root');
      await mkdir(root);
      await layOut(join(work, archiveName(target)), root);
      await writeControl(target, root);
      await normalize(root, ['usr/lib/kleis/kleis', 'usr/lib/kleis/kleis-credential']);
      const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch()) };
      const build = [
        '--root-owner-group',
        '-Zxz',
        '-z1',
        '--threads-max=1',
        '--build',
        root,
        resolve(into, debFile(target)),
      ];
      await run('dpkg-deb', build, { env });
      made.push(debFile(target));
    });
  }
  return made;
}

/** The archive's folder as it is, in /usr/lib/kleis; what programs look for elsewhere, at Debian's places. */
async function layOut(from: string, root: string): Promise<void> {
  const at = (path: string) => join(root, 'usr', path);
  const move = async (source: string, path: string) => {
    await mkdir(dirname(at(path)), { recursive: true });
    await rename(join(from, source), at(path));
  };
  await move('share/bash-completion/completions', 'share/bash-completion/completions');
  await move('share/zsh/site-functions', 'share/zsh/vendor-completions');
  await move('share/fish/vendor_completions.d', 'share/fish/vendor_completions.d');
  for (const name of await readdir(join(from, 'share/man/man1'))) {
    await writeGzip(at(`share/man/man1/${name}.gz`), await readFile(join(from, 'share/man/man1', name)));
  }
  await rm(join(from, 'share'), { recursive: true });
  await writeDocuments(from, at('share/doc/kleis'));
  await move('.', 'lib/kleis');
  await mkdir(at('bin'));
  for (const name of (await readdir(at('lib/kleis'))).filter((each) => each.startsWith('k'))) {
    await symlink(relative(at('bin'), join(at('lib/kleis'), name)), join(at('bin'), name));
  }
}

/** Debian Policy 12.5 and 12.7. */
async function writeDocuments(from: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const texts = ['LICENSE', 'THIRD-PARTY-LICENSES.txt', 'NODE-LICENSE.txt'];
  const [, third = '', node = ''] = await Promise.all(texts.map((name) => readFile(join(from, name), 'utf8')));
  const rule = '-'.repeat(80);
  await writeFile(
    join(folder, 'copyright'),
    `Kleis, ${packageJson.repository.url}\nCopyright: The Kleis authors\nLicense: Apache-2.0, see /usr/share/common-licenses/Apache-2.0\n\nIt holds these libraries:\n\n${third}\n${rule}\n\nand Node.js:\n\n${node}`,
  );
  for (const name of texts) await rm(join(from, name));
  await writeGzip(join(folder, 'changelog.gz'), await readFile('CHANGELOG.md'));
  const date = new Date(epoch() * 1000).toUTCString().replace('GMT', '+0000');
  const entry = `kleis (${version}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- ${maintainer}  ${date}\n`;
  await writeGzip(join(folder, 'changelog.Debian.gz'), Buffer.from(entry));
}

/** Without a time in it. */
async function writeGzip(file: string, content: Buffer): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, gzipSync(content, { level: 9 }));
}

async function writeControl(target: Target, root: string): Promise<void> {
  const folder = join(root, 'DEBIAN');
  const files = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = files.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  const kilobytes = Math.ceil(sizes.reduce((sum, size) => sum + size, 0) / 1024);
  await mkdir(folder);
  // What the Node in it needs (readelf --version-info), which any Debian since 10 has; the keyring is looked for when used.
  await writeFile(
    join(folder, 'control'),
    `Package: kleis
Version: ${version}
Architecture: ${architectures[target.arch]}
Maintainer: ${maintainer}
Installed-Size: ${kilobytes}
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 5)
Recommends: libsecret-1-0
Section: admin
Priority: optional
Homepage: ${packageJson.homepage.replace(/#.*/, '')}
Description: short-lived, scoped access to Kubernetes
 A credential plugin for kubectl, which signs people in at their single
 sign-on, and a broker that exchanges the identities of CI jobs and people
 for short-lived service-account tokens. Node.js is in it.
`,
  );
  const sums = await Promise.all(
    paths.toSorted().map(async (path) => {
      const sum = createHash('md5')
        .update(await readFile(path))
        .digest('hex');
      return `${sum}  ${relative(root, path)}\n`;
    }),
  );
  await writeFile(join(folder, 'md5sums'), sums.join(''));
}
