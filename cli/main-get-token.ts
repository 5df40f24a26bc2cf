import { createDeps, exit } from './surroundings/process.ts';
import { runGetToken } from './program.ts';

const deps = createDeps();
void exit(deps, runGetToken(process.argv.slice(2), deps));
