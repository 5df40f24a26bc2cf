import { spawn, type ChildProcess } from 'node:child_process';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import type { BrowserCommand } from './browser-command.ts';

/** A program that only hands the address on to a running browser has ended by then. */
const launchTime = 700;

/**
 * Opens an address in the person's browser: with the first of the `commands` that works, else as the system does it. No
 * shell, and nothing of what it prints reaches our terminal or stdout. Gives what went wrong, or nothing; calls `late` if
 * it turns out only afterwards.
 */
export async function openBrowser(
  url: URL,
  commands: readonly BrowserCommand[],
  { env }: Pick<Deps, 'env'>,
  late: (failure: string) => void,
): Promise<string | undefined> {
  if (commands.length === 0) {
    const { default: open } = await import('open');
    return launch('The browser', () => open(url.href), late);
  }
  let failure: string | undefined;
  for (const command of commands) {
    failure = await launch(clean(command[0], 60), async () => run(command, url, env), late);
    if (failure === undefined) return undefined;
  }
  return failure;
}

async function launch(
  name: string,
  begin: () => Promise<ChildProcess>,
  late: (failure: string) => void,
): Promise<string | undefined> {
  let child: ChildProcess;
  try {
    child = await begin();
  } catch {
    return 'No browser could be opened.';
  }
  child.unref();
  return new Promise((resolve) => {
    let listener: (failure: string | undefined) => void = resolve;
    const timer = setTimeout(() => settle(undefined), launchTime);
    const settle = (failure: string | undefined) => {
      clearTimeout(timer);
      listener(failure);
      listener = (more) => {
        if (more !== undefined) late(more);
      };
    };
    child.once('error', () => settle(`${name} could not be started.`));
    child.once('exit', (code, signal) => settle(failureOf(name, code, signal)));
    const failure = failureOf(name, child.exitCode, child.signalCode);
    if (failure !== undefined) settle(failure);
  });
}

/** Undefined for a program that has opened the address, or still runs. */
function failureOf(name: string, code: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (signal !== null) return `${name} did not open (${signal} ended it).`;
  return code === 0 || code === null ? undefined : `${name} did not open (exit code ${code}).`;
}

function run([program = '', ...given]: BrowserCommand, url: URL, env: Deps['env']): ChildProcess {
  const hasPlace = given.some((argument) => argument.includes('{url}'));
  const filled = given.map((argument) => argument.replaceAll('{url}', () => url.href));
  const options = { stdio: 'ignore', detached: true, shell: false, env } as const;
  return spawn(program, hasPlace ? filled : [...filled, url.href], options);
}
