#!/usr/bin/env node
import { holdHeap } from './heap.ts';
import { createDeps, exit } from './process.ts';
import { run } from './run.ts';

holdHeap();
const deps = createDeps();
await exit(deps, run(process.argv.slice(2), deps));
