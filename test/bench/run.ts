// `npm run bench [-- plugin | broker] [OPTIONS]`: that part, or both, one after the other. docs/performance.md has the
// options. `npm run bench -- scale | simulate` have options, a report and a page of their own: docs/scale.md.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { makeUpForBareSystem } from '../support/bare-system.ts';
import { replacePart } from '../house/page.ts';
import { formatPage, formatReport, type Report } from './report.ts';
import { parseCall, refuse } from './usage.ts';

const parts = ['plugin', 'broker'] as const;
const page = 'docs/performance.md';

makeUpForBareSystem();

const [first = '', ...others] = process.argv.slice(2);
if (first === 'scale' || first === 'simulate') {
  const command = ['test/support/run-ts.mjs', `test/bench/${first}.ts`, ...others];
  process.exit(spawnSync(process.execPath, command, { stdio: 'inherit' }).status ?? 1);
}

const { values, positionals } = parseCall({
  allowPositionals: true,
  options: {
    rounds: { type: 'string' },
    /** A folder with another build of the programs. */
    against: { type: 'string' },
    json: { type: 'boolean', default: false },
    /** Writes the page, from the files that are given or from what is measured now. */
    doc: { type: 'boolean', default: false },
  },
});
const chosen = parts.filter((part) => positionals.includes(part));
const files = positionals.filter((word) => !parts.some((part) => part === word));
if (files.length > 0 && !values.doc) refuse(`neither a part nor an option: ${files.join(' ')}`);

const reports =
  files.length > 0
    ? files.flatMap((file) => JSON.parse(readFileSync(file, 'utf8')) as Report[])
    : (chosen.length > 0 ? chosen : parts).map(measure);
if (values.json) process.stdout.write(`${JSON.stringify(reports, undefined, 2)}\n`);
if (values.doc) writeFileSync(page, replacePart(readFileSync(page, 'utf8'), 'results', formatPage(reports)));

/** In a process of its own: what one part leaves in memory is no burden for the next. */
function measure(part: Report['part']): Report {
  const options = (['rounds', 'against'] as const).flatMap((name) =>
    values[name] === undefined ? [] : [`--${name}`, values[name]],
  );
  const { status, stdout } = spawnSync(
    process.execPath,
    ['test/support/run-ts.mjs', `test/bench/${part}.ts`, ...options],
    { stdio: ['inherit', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 26 },
  );
  if (status !== 0) process.exit(status ?? 1);
  const report = JSON.parse(stdout) as Report;
  if (!values.json) process.stdout.write(`${formatReport(report)}\n`);
  return report;
}
