import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { findTool } from '../../../test/support/tools.ts';
import { archiveFile, krewFile } from '../archives/make.ts';
import { inTemporary } from '../release/temporary.ts';
import { targets } from '../standalone/targets.ts';
import { published, version } from './release.ts';

/** Every address in the texts is that of a file of this release, with its sum beside it, and every archive is named. */
export function checkNamed(folder: string, texts: readonly string[]): void {
  const all = texts.join('\n');
  const files = targets.flatMap((target) => [
    archiveFile(target),
    ...(target.os === 'win32' ? [] : [krewFile(target)]),
  ]);
  const faults = files.flatMap((name) => {
    const file = published(folder, name);
    if (file === undefined) return all.includes(name) ? [`${name} is named, but not there`] : [];
    return all.includes(file.url) && all.toLowerCase().includes(file.sha256) ? [] : [`${name} is not named by its sum`];
  });
  const known = new Set(files);
  for (const [, name = ''] of all.matchAll(/\/releases\/download\/v[^/\s"]+\/([^\s"]+)/g)) {
    if (!known.has(name) && !name.includes('$version')) faults.push(`${name} is no file of this release`);
  }
  if (faults.length > 0) throw new Error(faults.join('\n'));
}

export function checkHomebrew(formula: string): void {
  execFileSync(findTool('ruby')!, ['-c', formula], { stdio: 'pipe' });
}

/** Installs it into a folder of its own, as a person does; then a real kubectl runs and completes it. */
export function checkKrew(folder: string): void {
  const krew = findTool('krew')!;
  const kubectl = findTool('kubectl-new')!;
  inTemporary('krew', (work) => {
    const bin = join(work, 'krew/bin');
    const own = join(work, 'own');
    mkdirSync(own);
    const env = {
      HOME: work,
      KREW_ROOT: join(work, 'krew'),
      PATH: [own, bin, dirname(kubectl), '/usr/bin', '/bin'].join(delimiter),
    };
    const run = (program: string, ...args: readonly string[]) =>
      execFileSync(program, args, { env, encoding: 'utf8', stdio: 'pipe' });
    const here = targets.find(({ os, arch }) => os === process.platform && arch === process.arch)!;
    const archive = resolve(folder, krewFile(here));
    run(krew, 'install', `--manifest=${resolve(folder, 'kleis.krew.yaml')}`, `--archive=${archive}`);
    const said = run(kubectl, 'kleis', 'version');
    if (!said.startsWith(`kleis ${version}\n`)) throw new Error(`kubectl kleis version says ${said}`);
    const home = dirname(readlinkSync(join(bin, 'kubectl-kleis')));
    if (!existsSync(join(home, 'lib/keytar.node'))) throw new Error(`${home} has no lib/keytar.node`);
    const entry = [
      'prod',
      '--server',
      'https://api.example.com',
      '--issuer-url',
      'https://sso.example.com',
      '--offline',
    ];
    run(kubectl, 'kleis', 'kubeconfig', 'add', ...entry);
    const exec = run(kubectl, 'config', 'view', '-o', 'jsonpath={.users[0].user.exec.command}');
    if (exec !== 'kubectl-kleis') throw new Error(`The entry runs ${exec}, which is not on PATH.`);
    // What its caveats say.
    symlinkSync(join(bin, 'kubectl-kleis'), join(own, 'kubectl_complete-kleis'));
    const offered = run(kubectl, '__complete', 'kleis', 'kubeconfig', 'ad');
    if (!offered.startsWith('add')) throw new Error(`kubectl completes "kleis kubeconfig ad" as ${offered}`);
  });
}
