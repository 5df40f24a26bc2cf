/** `node test/support/run-ts.mjs broker/deploy/image/lock.ts`: pins the packages that Debian has today, in debian.json. */
import { writeFileSync } from 'node:fs';
import { suite } from './debian.ts';
import { packagesNow } from './debian-now.ts';

const snapshot = `${new Date().toISOString().slice(0, 10).replaceAll('-', '')}T000000Z`;
const lock = { suite, snapshot, packages: packagesNow() };
writeFileSync('broker/deploy/image/debian.json', `${JSON.stringify(lock, undefined, 2)}\n`);
