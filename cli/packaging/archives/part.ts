import type { Part } from '../release/part.ts';
import { bareDebianCheck } from './check.ts';
import { makeArchives } from './make.ts';

/** What a person installs without Node. */
export const archivesPart: Part = { name: 'archives', make: makeArchives, checks: [bareDebianCheck] };
