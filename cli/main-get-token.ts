#!/usr/bin/env node
import { createDeps, exit } from './surroundings/process.ts';
import { runGetToken } from './program.ts';

const deps = createDeps();
await exit(deps, runGetToken(process.argv.slice(2), deps));
