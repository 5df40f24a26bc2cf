/**
 * `npm run release [-- PART…]` makes each part of a release in `dist/release/`; `npm run release:dry` checks each as its
 * user would, too, and ends with a table (`--json`: the same for programs). Without names it is all parts.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { nodeForCache } from '../../../broker/deploy/image/node.ts';
import { buildDist } from './build.ts';
import { epoch } from './epoch.ts';
import type { Outcome } from './part.ts';
import { parts } from './parts.ts';
import { isGood, runPart } from './run.ts';
import { failures, outcomeTable } from './table.ts';

const folder = 'dist/release';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dry: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    /** A folder with files of the release that were made on another system. */
    with: { type: 'string' },
  },
});
const unknown = positionals.filter((name) => parts.every((part) => part.name !== name));
if (unknown.length > 0) {
  const known = parts.map(({ name }) => name).join(', ');
  process.stderr.write(`A release has no part ${unknown.join(', ')}. Its parts are: ${known}.\n`);
  process.exit(2);
}
const say = (line: string) => process.stderr.write(`${line}\n`);

// The pages of the manual say of which day they are: that of the commit, so that who builds it anew gets the same bytes.
process.env['SOURCE_DATE_EPOCH'] = String(epoch());
say('build');
buildDist('.', await nodeForCache());
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
if (values.with !== undefined) cpSync(values.with, folder, { recursive: true });

const outcomes: Outcome[] = [];
for (const part of parts) {
  if (positionals.length > 0 && !positionals.includes(part.name)) continue;
  say(part.name);
  const outcome = await runPart(part, folder, values.dry);
  for (const line of failures([outcome])) say(line);
  outcomes.push(outcome);
}
process.stdout.write(values.json ? `${JSON.stringify(outcomes, undefined, 2)}\n` : outcomeTable(outcomes));
const all = process.env['KLEIS_REQUIRE_ALL'] === '1';
if (!outcomes.every((outcome) => isGood(outcome, all))) {
  for (const line of failures(outcomes)) say(`\n${line}`);
  if (all) say('KLEIS_REQUIRE_ALL is set: what was not run has failed.');
  process.exitCode = 1;
}
