import { createDeps, exit } from './surroundings/process.ts';
import { run } from './program.ts';

const deps = createDeps();
void exit(deps, run(process.argv.slice(2), deps));
