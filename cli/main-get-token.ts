#!/usr/bin/env node
import { createDeps, exit } from './process.ts';
import { runGetToken } from './run.ts';

const deps = createDeps();
await exit(deps, runGetToken(process.argv.slice(2), deps));
