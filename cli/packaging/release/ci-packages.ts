import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import type { Part } from './part.ts';
import { sha256Of } from './sha256.ts';
import { packTar } from './tar.ts';
import { done, inTemporary } from './temporary.ts';

const { version } = packageJson;

/** Folders that become projects of their own, since their platforms take nothing out of a folder. */
const projects = { 'kleis-gitlab-component': 'gitlab', 'kleis-buildkite-plugin': 'buildkite' } as const;
const orb = `kleis-circleci-orb-${version}.yml`;
const archive = `kleis-${version}-${process.platform}-${process.arch}.tar.gz`;

/** Another part makes it, which may be left out. */
const lacks = (folder: string) => (existsSync(join(folder, archive)) ? undefined : `${archive}, of the part archives`);

/** What CI platforms are given, as it is published. The action for GitHub is not among it: the tag of the release is all it needs. */
export const ciPackagesPart: Part = {
  name: 'ci-packages',
  make: makePackages,
  checks: [
    { says: 'unpacked, they are what the repository holds', run: (folder) => done(() => checkProjects(folder)) },
    {
      says: 'the action installs the archive of this release',
      lacks,
      run: (folder) => done(() => checkAction(folder)),
    },
    { says: 'the plugin and the component install it', lacks, run: (folder) => done(() => checkShell(folder)) },
  ],
};

async function makePackages(into: string): Promise<string[]> {
  copyFileSync('cli/packaging/circleci/orb.yml', join(into, orb));
  const made = [orb];
  for (const [name, folder] of Object.entries(projects)) {
    const file = `${name}-${version}.tar.gz`;
    const names = ['--mode=go-w', '--transform', `s,^\\.,${name}-${version},`];
    await packTar(resolve(into, file), `cli/packaging/${folder}`, ['.'], names);
    made.push(file);
  }
  return made;
}

function checkProjects(folder: string): void {
  for (const [name, of] of Object.entries(projects)) {
    inTemporary('project', (work) => {
      execFileSync('tar', ['-xzf', resolve(folder, `${name}-${version}.tar.gz`), '-C', work], { stdio: 'pipe' });
      execFileSync('diff', ['-r', join(work, `${name}-${version}`), `cli/packaging/${of}`]);
      if (of === 'buildkite') execFileSync('test', ['-x', join(work, `${name}-${version}`, 'hooks/pre-command')]);
    });
  }
}

/** As its user pins it, with a sum of their own: SHA256SUMS is made when all else is there. */
const sumOf = (folder: string) => sha256Of(join(folder, archive));

function checkAction(folder: string): void {
  inTemporary('action', (work) => {
    const wanted = JSON.stringify({ version, download: resolve(folder), sha256: sumOf(folder) });
    const script = `import { install } from ${JSON.stringify(resolve('cli/packaging/action/install.mjs'))};
process.stdout.write(await install(${wanted}));`;
    const env = { PATH: process.env['PATH'] ?? '', RUNNER_TOOL_CACHE: work };
    const programs = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      env,
      encoding: 'utf8',
    });
    expectVersion(join(programs, 'kleis'));
  });
}

function checkShell(folder: string): void {
  inTemporary('plugin', (work) => {
    execFileSync('tar', ['-xzf', resolve(folder, `kleis-buildkite-plugin-${version}.tar.gz`), '-C', work], {
      stdio: 'pipe',
    });
    const into = join(work, 'job');
    mkdirSync(into);
    const script = '. "$1/lib/begin.sh"; kleis_install "$2" "$3" "$4" "$5"';
    const plugin = join(work, `kleis-buildkite-plugin-${version}`);
    const args = ['-euc', script, 'sh', plugin, version, resolve(folder), sumOf(folder), into];
    execFileSync('sh', args, { env: { PATH: '/usr/bin:/bin' }, stdio: 'pipe' });
    expectVersion(join(into, 'bin/kleis'));
  });
}

function expectVersion(program: string): void {
  const said = execFileSync(program, ['--version'], { encoding: 'utf8' });
  if (said !== `${version}\n`) throw new Error(`${program} says: ${said.slice(0, 200)}`);
}
