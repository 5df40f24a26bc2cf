import { existsSync, realpathSync } from 'node:fs';
import { devNull } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import packageJson from '../../package.json' with { type: 'json' };
import { KleisError } from '../../shared/errors.ts';
import { installPage } from '../../shared/install-page.ts';
import { parseObject } from '../../shared/json.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { asText, clean } from '../../shared/text.ts';
import { readVersion, type ServerVersion } from '../cluster/questions.ts';
import { findProgram, isProgram } from '../files/find-program.ts';
import type { FoundEntry } from '../kubeconfig/find.ts';
import type { Deps } from '../surroundings/deps.ts';
import { hasNoLauncher } from '../surroundings/installation.ts';
import { thisProcess } from '../surroundings/process.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';
import { runProgram } from './run-program.ts';

const { version, engines } = packageJson;

/** Where the programs of this package are: this file is in a folder beside them. */
const home = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** This Kleis, what it came with, and the Node that runs it. */
export function checkPrograms({ platform }: Deps): DoctorFinding[] {
  const isStandalone = thisProcess.standalone !== undefined;
  const launcher = platform === 'win32' ? `kleis-get-token.${isStandalone ? 'cmd' : 'js'}` : 'kleis-credential';
  const place = clean(thisProcess.node, 400);
  const node = isStandalone
    ? `Node ${thisProcess.nodeVersion} is in ${place}; none on PATH is used.`
    : `Node ${thisProcess.nodeVersion} at ${place}; Kleis needs ${engines.node}.`;
  return [programsIn(launcher, hasNoLauncher(platform)), ok('node', node)];
}

function programsIn(launcher: string, isPlugin: boolean): DoctorFinding {
  if (isPlugin) {
    return ok(
      'programs',
      `kleis ${version}, alone: kubectl runs it as kubectl-kleis, where kleis-credential would be faster.`,
    );
  }
  if (existsSync(join(home, launcher))) return ok('programs', `kleis ${version}, with ${launcher} beside it.`);
  const error = new KleisError('config_invalid', `${launcher} is not beside kleis in ${clean(home, 400)}.`, {
    hint: `Install Kleis again: ${installPage}`,
  });
  return failed('programs', error);
}

/** What kubectl would run: found as it finds it, started, and asked for its version. */
export async function checkPlugin(entry: FoundEntry, { env, platform, signal }: Deps): Promise<DoctorFinding[]> {
  const command = asText(entry.exec['command']);
  const named = clean(command, 400);
  // With a separator it is a path, beside the kubeconfig; else kubectl looks for it (client-go, tools/clientcmd/loader.go).
  const isPath = /[\\/]/.test(command);
  const file = isPath ? resolve(dirname(entry.file), command) : findProgram(command, { env, platform });
  if (file === undefined || !isProgram(file)) {
    const where = isPath ? 'is no program that can be run' : 'is on no folder of PATH, so kubectl does not find it';
    return [
      failed(
        'path',
        new KleisError('config_invalid', `${named} ${where}.`, {
          hint: isPath
            ? 'Install Kleis there, or correct `command` of the kubeconfig user.'
            : platform === 'win32'
              ? windowsPathHint()
              : `Add the folder of kleis-credential to PATH, or put its whole path into \`command\` of the kubeconfig user: ${clean(join(home, 'kleis-credential'), 400)}`,
        }),
      ),
    ];
  }
  const all = Array.isArray(entry.exec['args']) ? entry.exec['args'].map(asText) : [];
  const before = all.slice(0, all.length - entry.args.length).filter((word) => word !== 'get-token');
  const { code, stdout, said } = await runProgram(file, [...before, '--version'], { ...env, ...entry.env }, signal);
  const place = clean(file, 400);
  if (code !== 0) {
    const [first = 'it says nothing', second] = said.map((line) => line.replace(/^(error|next): +/, ''));
    return [
      failed('path', new KleisError('config_invalid', `${place} does not run: ${first}`), {
        next: second ?? 'Run it in a terminal with --version.',
      }),
    ];
  }
  const found = clean(stdout, 40);
  if (found !== version) {
    return [
      warning('path', 'version_differs', `kubectl runs ${place}, which is ${found}; this is ${version}.`, {
        next: 'Remove one of the two, or put the newer one first on PATH.',
      }),
    ];
  }
  const real = clean(realpathSync(file), 400);
  return [ok('path', `kubectl runs ${place}${real === place ? '' : ` (${real})`}, ${found}.`)];
}

function windowsPathHint(): string {
  const { standalone } = thisProcess;
  return standalone === undefined
    ? 'Add the folder of kleis-get-token.cmd to PATH; npm prefix --global says where it is.'
    : `Add ${clean(standalone, 400)} to PATH.`;
}

/** kubectl itself: undefined where it is not found, or does not say. */
export async function kubectlVersion({ env, platform, signal }: Deps): Promise<ServerVersion | undefined> {
  const file = findProgram('kubectl', { env, platform });
  if (file === undefined) return undefined;
  // Google's kubectl asks the server even so, to choose among several of itself, and that would sign somebody in.
  const alone = { ...env, KUBECONFIG: devNull };
  const { stdout } = await runProgram(file, ['version', '--client', '-o', 'json'], alone, signal);
  return readVersion(parseObject(stdout)?.['clientVersion']);
}

const startFiles = { bash: '.bashrc', zsh: '.zshrc', fish: '.config/fish/config.fish' } as const;

/** Whether the shell of this person loads the completion, as far as its own file tells. */
export async function checkCompletion({ env }: Deps): Promise<DoctorFinding> {
  const shell = /(bash|zsh|fish)$/.exec(env['SHELL'] ?? '')?.[1] as keyof typeof startFiles | undefined;
  const person = env['HOME'] ?? '';
  if (shell === undefined || person === '') {
    return unknown('completion', 'Which shell you use cannot be seen (SHELL).', { next: 'kleis completion --help' });
  }
  const file = join(person, startFiles[shell]);
  const text = await readTextFile(file).catch(() => '');
  if (/\bkleis completion\b/.test(text)) return ok('completion', `${shell} loads it, by ${clean(file, 400)}.`);
  return unknown('completion', `${clean(file, 400)} does not load it; something else may.`, {
    next: 'kleis completion --help',
  });
}
