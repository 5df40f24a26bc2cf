#!/usr/bin/env node
import { createDeps, exit } from './process.ts';
import { run } from './run.ts';

const deps = createDeps();
await exit(deps, run(process.argv.slice(2), deps));
