import { execFile } from 'node:child_process';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';

export interface ProgramResult {
  /** Undefined where it did not start, or did not end in time. */
  readonly code: number | undefined;
  readonly stdout: string;
  /** What it said of a failure: the last two lines that are not empty. */
  readonly said: readonly string[];
}

const timeout = 15_000;
const maxOutput = 64 * 1024;

/** Runs a program to ask it about itself: without a shell (but see `commandOf`) and without a terminal. */
export async function runProgram(
  file: string,
  args: readonly string[],
  env: Deps['env'],
  signal: AbortSignal,
): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const [program, words, verbatim] = commandOf(file, args, env);
    const options = {
      env,
      timeout,
      maxBuffer: maxOutput,
      windowsHide: true,
      windowsVerbatimArguments: verbatim,
      shell: false,
      signal,
    } as const;
    const child = execFile(program, [...words], options, (error, stdout, stderr) => {
      const lines = stderr.split('\n').filter((line) => line.trim() !== '');
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : undefined;
      resolve({ code, stdout, said: lines.slice(-2).map((line) => clean(line, 300)) });
    });
    child.stdin?.end();
  });
}

/**
 * A `.cmd` is run by cmd.exe, which Node starts for nobody any more (CVE-2024-27980). Its arguments are words of ours
 * here; of the path cmd.exe would act on a percent sign alone, between quotes.
 */
export function commandOf(
  file: string,
  args: readonly string[],
  env: Deps['env'],
): readonly [program: string, words: readonly string[], verbatim: boolean] {
  if (!/\.(?:cmd|bat)$/i.test(file) || [file, ...args].some((word) => /["%\r\n]/.test(word)))
    return [file, args, false];
  const line = [file, ...args].map((word) => `"${word}"`).join(' ');
  return [env['COMSPEC'] ?? 'cmd.exe', ['/d', '/s', '/c', `"${line}"`], true];
}
