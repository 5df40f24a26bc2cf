import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';
import { tools, type Need } from './tools.ts';

/** What `needs` tells the reporter: a line of JSON for each thing that a test file missed. */
export interface Missed {
  readonly need: Need;
  readonly file: string;
}

/** Names the file that it tells it in. */
export const missedFileVariable = 'KLEIS_TEST_MISSED';

/**
 * Says at the very end, in plain words, what was not run and why, and then `N passed, N failed, N skipped` on a line of
 * its own. With KLEIS_REQUIRE_ALL=1 a run in which anything was skipped fails.
 */
export class Summary implements Reporter {
  #folder: string | undefined;
  #vitest: Vitest | undefined;
  #text = '';

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
    this.#folder = mkdtempSync(join(tmpdir(), 'kleis-summary-'));
    // Inherited by the workers, which vitest starts later.
    process.env[missedFileVariable] = join(this.#folder, 'missed');
    process.once('exit', () => {
      // At exit, since other reporters, coverage and tear-downs print after the end of the run too.
      process.stdout.write(this.#text);
      if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const filtered = this.#vitest?.config.testNamePattern !== undefined;
    const skipped = modules.flatMap((module) => skippedIn(module));
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      for (const test of tests) {
        const { state } = test.result();
        count[state === 'pending' ? 'skipped' : state] += 1;
      }
      // A file that did not even load has no tests to count.
      if (module.state() === 'failed' && !tests.some((test) => test.result().state === 'failed')) count.failed += 1;
    }
    const lines = filtered ? [] : this.#explain(skipped);
    if (count.skipped > 0 && !filtered && process.env['KLEIS_REQUIRE_ALL'] === '1') {
      lines.push('KLEIS_REQUIRE_ALL is set: a run that skips anything has failed.', '');
      process.exitCode = 1;
    }
    this.#text = `\n${[...lines, `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`].join('\n')}\n`;
    if (this.#vitest?.config.watch === true) {
      process.stdout.write(this.#text);
      this.#text = '';
    }
  }

  #explain(skipped: readonly Skipped[]): string[] {
    const missed = this.#missed();
    if (skipped.length + missed.length === 0) return [];
    const lines = ['Not run here:', ''];
    // A file may also have made no test for what is missing, which is no skipped one.
    for (const file of new Set([...skipped, ...missed].map((entry) => entry.file).toSorted())) {
      lines.push(`  ${relative(process.cwd(), file)}`);
      for (const entry of skipped) if (entry.file === file) lines.push(`    - ${entry.name}`);
      const missing = new Set(missed.filter((entry) => entry.file === file).map((entry) => tools[entry.need].what));
      lines.push(missing.size === 0 ? '    (the test says why)' : `    missing: ${[...missing].join('; ')}`, '');
    }
    const needed = [...new Set(missed.map((entry) => entry.need))];
    if (needed.length > 0) lines.push('How to get what is missing:', '');
    for (const need of needed) lines.push(`  ${tools[need].what}:\n    ${tools[need].get}`);
    return [...lines, ''];
  }

  #missed(): Missed[] {
    const file = process.env[missedFileVariable];
    if (file === undefined || !existsSync(file)) return [];
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Missed);
  }
}

interface Skipped {
  readonly file: string;
  readonly name: string;
}

// Tests of a suite within a skipped one stay pending.
const isSkipped = (test: TestCase) => test.result().state === 'skipped' || test.result().state === 'pending';

/** The outermost skipped suites, and the skipped tests of suites that were run. */
function skippedIn(parent: TestModule | TestSuite): Skipped[] {
  return [...parent.children].flatMap((child): Skipped[] => {
    const tests: TestCase[] = child.type === 'test' ? [child] : [...child.children.allTests()];
    const none = tests.length > 0 && tests.every((test) => isSkipped(test));
    if (none) return [{ file: child.module.moduleId, name: child.fullName }];
    return child.type === 'suite' ? skippedIn(child) : [];
  });
}
