import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Check, CheckOutcome, Outcome, Part } from './part.ts';
import { sha256Of } from './sha256.ts';

/** Makes the part and, if wanted, checks it. What fails is told in the outcome: the other parts go on. */
export async function runPart(part: Part, folder: string, checked: boolean): Promise<Outcome> {
  const began = performance.now();
  const seconds = () => Math.round((performance.now() - began) / 100) / 10;
  let files: Outcome['files'] = [];
  try {
    const names = await part.make(folder);
    if (names.length === 0) throw new Error('it has made nothing');
    files = names.map((name) => describe(folder, name));
  } catch (error) {
    return { part: part.name, files, checks: [], failure: messageOf(error), seconds: seconds() };
  }
  const checks: CheckOutcome[] = [];
  if (checked) for (const check of part.checks) checks.push(await runCheck(check, folder));
  return { part: part.name, files, checks, seconds: seconds() };
}

async function runCheck({ says, lacks, run }: Check, folder: string): Promise<CheckOutcome> {
  const missing = lacks?.(folder);
  if (missing !== undefined) return { says, state: 'not run', why: missing };
  try {
    await run(folder);
    return { says, state: 'passed' };
  } catch (error) {
    return { says, state: 'failed', why: messageOf(error) };
  }
}

function describe(folder: string, name: string): Outcome['files'][number] {
  const path = join(folder, name);
  return { name, size: statSync(path).size, sha256: sha256Of(path) };
}

/** With `all`, what could not be run here is as bad as what failed. */
export const isGood = ({ failure, checks }: Outcome, all: boolean): boolean =>
  failure === undefined && checks.every(({ state }) => state === 'passed' || (state === 'not run' && !all));

function messageOf(error: unknown): string {
  // A program that failed has said why on its standard error.
  const message = error instanceof Error ? error.message : String(error);
  const { stderr = '' } = error as { readonly stderr?: string | Buffer | null };
  const said = String(stderr ?? '').trim();
  return said === '' || message.includes(said) ? message : `${message}\n${said}`;
}
