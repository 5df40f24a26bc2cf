import { appendFileSync } from 'node:fs';
import { expect } from 'vitest';
import { missedFileVariable, type Missed } from './summary.ts';
import { findTool, tools, type Need } from './tools.ts';

/**
 * The path of what a suite needs, or `undefined`: `describe.skipIf(!needs('kubectl'))(…)`. What is missing is named in
 * the closing summary. With KLEIS_REQUIRE_ALL=1 it throws instead, which fails the file.
 */
export function needs(name: Need): string | undefined {
  const path = findTool(name);
  if (path !== undefined) return path;
  if (process.env['KLEIS_REQUIRE_ALL'] === '1') {
    throw new Error(`KLEIS_REQUIRE_ALL is set, and this is missing: ${tools[name].what} (${tools[name].get})`);
  }
  const missed: Missed = { need: name, file: expect.getState().testPath ?? '' };
  const file = process.env[missedFileVariable];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(missed)}\n`);
  return undefined;
}
