/**
 * `npm run release:notes -- TAG`: what the CHANGELOG says of the version, for the page of the release. Fails for a tag
 * that is not the version of package.json, and for a version of which the CHANGELOG says nothing.
 */
import { readFileSync } from 'node:fs';
import packageJson from '../../../package.json' with { type: 'json' };
import { notesOf } from './changelog.ts';

const [tag = ''] = process.argv.slice(2);
try {
  process.stdout.write(notesOf(tag, packageJson.version, readFileSync('CHANGELOG.md', 'utf8')));
} catch (error) {
  process.stderr.write(`error: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
