import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { makeExecutable } from '../standalone/make.ts';
import { fetchNode } from '../standalone/node.ts';
import { builders, type Target } from '../standalone/targets.ts';

const run = promisify(execFile);

/** What the executable is too, by the name that it is called by. */
const otherNames = ['kleis-broker', 'kleis-get-token', 'kubectl-kleis', 'kubectl_complete-kleis'];

/**
 * Windows has no links that everybody may make, and a copy has a hundred megabytes. kubectl finds a `.cmd` as it finds an
 * `.exe`; npm makes the same.
 */
const commandFiles: Readonly<Record<string, string>> = {
  'kleis-get-token': 'get-token %*',
  'kubectl-kleis': '%*',
  'kubectl_complete-kleis': '__complete --shell kubectl -- %*',
};

/** Writes what a person gets into that folder, which is there and empty: the same for an archive and a package of a distribution. */
export async function layOut(target: Target, dist: string, folder: string): Promise<void> {
  if (target.os === 'win32') {
    await makeExecutable(target, dist, join(folder, 'kleis.exe'));
    for (const [name, args] of Object.entries(commandFiles)) {
      await writeFile(join(folder, `${name}.cmd`), `@"%~dp0kleis.exe" ${args}\r\n`);
    }
  } else {
    await makeExecutable(target, dist, join(folder, 'kleis'));
    for (const name of otherNames) await symlink('kleis', join(folder, name));
    await copyFile(join(dist, 'kleis-credential'), join(folder, 'kleis-credential'));
    await chmod(join(folder, 'kleis-credential'), 0o755);
    await layOutManual(dist, join(folder, 'share/man/man1'));
  }
  await mkdir(join(folder, 'lib'));
  await copyFile(
    join('node_modules/keytar/prebuilds', `${target.os}-${target.arch}`, 'keytar.node'),
    join(folder, 'lib/keytar.node'),
  );
  await layOutCompletions(target, dist, join(folder, 'share'));
  await layOutLicences(target, dist, folder);
}

async function layOutManual(dist: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(join(dist, 'man'))) await copyFile(join(dist, 'man', name), join(folder, name));
}

/** Below `share` as shells look for it in /usr/local and /usr. */
async function layOutCompletions(target: Target, dist: string, share: string): Promise<void> {
  const places = {
    bash: (name: string) => `bash-completion/completions/${name}`,
    zsh: (name: string) => `zsh/site-functions/_${name}`,
    fish: (name: string) => `fish/vendor_completions.d/${name}.fish`,
    powershell: (name: string) => `powershell/${name}.ps1`,
  };
  const shells = target.os === 'win32' ? (['powershell'] as const) : (Object.keys(places) as (keyof typeof places)[]);
  for (const shell of shells) {
    for (const name of ['kleis', 'kleis-broker']) {
      const file = join(share, places[shell](name));
      const { stdout } = await run(process.execPath, [resolve(dist, `${name}.js`), 'completion', shell]);
      await mkdir(join(file, '..'), { recursive: true });
      await writeFile(file, stdout);
    }
  }
}

/** The own licence, those of the libraries, and of Node with what is in it. */
async function layOutLicences(target: Target, dist: string, folder: string): Promise<void> {
  await copyFile('LICENSE', join(folder, 'LICENSE'));
  const keytar = JSON.parse(await readFile('node_modules/keytar/package.json', 'utf8')) as Record<string, string>;
  const bundled = (await readFile(join(dist, 'THIRD-PARTY-LICENSES.txt'), 'utf8')).trimEnd();
  const own = (await readFile('node_modules/keytar/LICENSE.md', 'utf8')).trim();
  const title = `${keytar['name']} ${keytar['version']} (${keytar['license']})`;
  await writeFile(join(folder, 'THIRD-PARTY-LICENSES.txt'), `${bundled}\n\n${'-'.repeat(80)}\n\n${title}\n\n${own}\n`);
  // Some of npm's packages of Node lack it; it is the same for all systems.
  const places = [target.node, ...builders].flatMap((each) => (each === undefined ? [] : [fetchNode(each)]));
  const [file] = (await Promise.all(places)).map((place) => join(place, 'LICENSE')).filter((each) => existsSync(each));
  await copyFile(file!, join(folder, 'NODE-LICENSE.txt'));
}
