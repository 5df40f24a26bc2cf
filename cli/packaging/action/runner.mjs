// @ts-check
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';

// What the runner gives to an action and takes from it: https://docs.github.com/actions, "Workflow commands". Nothing that
// comes from outside can become a command of its own: files of commands have a delimiter that nobody can guess, and
// while the words of a program are shown the runner listens to none.

/** @typedef {{ readonly code: number, readonly stdout: string, readonly stderr: string }} Result */

/** What a person can do something about. */
export class Failure extends Error {
  /** @param {string} what @param {string} next what to do */
  constructor(what, next) {
    super(`${what} ${next}`);
  }
}

/** @param {string} name as action.yml has it */
export function input(name) {
  return (process.env[`INPUT_${name.toUpperCase()}`] ?? '').trim();
}

/** @param {string} name of a variable that every runner sets */
export function fromRunner(name) {
  const value = process.env[name] ?? '';
  if (value !== '') return value;
  throw new Failure(`${name} is not set.`, 'This is an action: use it as a step of a workflow.');
}

/** @param {string} name @param {string} value */
export const exportVariable = (name, value) => write('GITHUB_ENV', name, value);
/** @param {string} name @param {string} value */
export const setOutput = (name, value) => write('GITHUB_OUTPUT', name, value);
/** For `post`. @param {string} name @param {string} value */
export const saveState = (name, value) => write('GITHUB_STATE', name, value);
/** @param {string} name */
export const state = (name) => process.env[`STATE_${name}`] ?? '';

/** @param {string} folder */
export function addPath(folder) {
  if (/[\r\n]/.test(folder)) throw new Failure('The tool cache has a path of two lines.', 'Move it.');
  appendFileSync(fromRunner('GITHUB_PATH'), `${folder}\n`);
}

/** @param {string} file @param {string} name @param {string} value */
function write(file, name, value) {
  const delimiter = `kleis-${randomUUID()}`;
  appendFileSync(fromRunner(file), `${name}<<${delimiter}\n${value}\n${delimiter}\n`);
}

/** From now on the log has stars in its place. @param {string} secret */
export function mask(secret) {
  if (secret !== '') command('add-mask', secret);
}

/** @param {string} text */
export const fail = (text) => command('error title=Kleis', text);
/** @param {string} text */
export const warn = (text) => command('warning title=Kleis', text);

/** @param {string} name @param {string} text */
function command(name, text) {
  const escaped = text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
  process.stdout.write(`::${name}::${escaped}\n`);
}

/** Into the log, whatever it says. @param {string} text */
export function show(text) {
  if (text.trim() === '') return;
  const end = randomUUID();
  process.stdout.write(`::stop-commands::${end}\n${text.trimEnd()}\n::${end}::\n`);
}

/**
 * Without a shell. What the program says is the caller's to show.
 *
 * @param {string} program @param {readonly string[]} args
 * @param {{ readonly env?: NodeJS.ProcessEnv, readonly timeout?: number }} [options] timeout in milliseconds
 * @returns {Promise<Result>}
 */
export async function run(program, args, { env = process.env, timeout = 120_000 } = {}) {
  return new Promise((resolve) => {
    const options = { env, timeout, maxBuffer: 1024 * 1024, windowsHide: true, shell: false };
    const child = execFile(program, [...args], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
      const silent = stdout.trim() === '' && stderr.trim() === '';
      resolve({ code, stdout, stderr: error !== null && silent ? error.message : stderr });
    });
    child.stdin?.end();
  });
}
