import { spawn, type ChildProcess } from 'node:child_process';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';

/** A program that only hands the address on to a running browser has ended by then. */
const launchTime = 700;

/**
 * Opens an address in the person's browser, with `command` if they have configured one: no shell, the address in place
 * of `{url}` or at the end, and nothing of what it prints reaches our terminal or stdout. Gives what went wrong, or
 * nothing; calls `late` if it turns out only afterwards.
 */
export async function openBrowser(
  url: URL,
  command: readonly string[] | undefined,
  { env }: Deps,
  late: (failure: string) => void,
): Promise<string | undefined> {
  let child: ChildProcess;
  let name = 'The browser';
  try {
    if (command !== undefined && command.length > 0) {
      name = clean(command[0], 60);
      child = runCommand(command, url, env);
    } else {
      const { default: open } = await import('open');
      child = await open(url.href);
    }
  } catch {
    return 'No browser could be opened.';
  }
  child.unref();
  return new Promise((resolve) => {
    let told: (failure: string | undefined) => void = resolve;
    const timer = setTimeout(() => settle(undefined), launchTime);
    const settle = (failure: string | undefined) => {
      clearTimeout(timer);
      told(failure);
      told = (more) => {
        if (more !== undefined) late(more);
      };
    };
    child.once('error', () => settle(`${name} could not be started.`));
    child.once('exit', (code) =>
      settle(code === 0 || code === null ? undefined : `${name} did not open (exit code ${code}).`),
    );
    if (child.exitCode !== null && child.exitCode !== 0) settle(`${name} did not open (exit code ${child.exitCode}).`);
  });
}

function runCommand(command: readonly string[], url: URL, env: Deps['env']): ChildProcess {
  const [program = '', ...given] = command;
  const hasPlace = given.some((argument) => argument.includes('{url}'));
  const filled = given.map((argument) => argument.replaceAll('{url}', () => url.href));
  return spawn(program, hasPlace ? filled : [...filled, url.href], {
    stdio: 'ignore',
    detached: true,
    shell: false,
    env,
  });
}
