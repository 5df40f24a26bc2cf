import { setFlagsFromString } from 'node:v8';
import { createDeps, exit } from './process.ts';
import { run } from './program.ts';

// What a request leaves behind is small and dies young, while reading 500 grants makes V8 keep 30 MiB for more of its
// kind, for ever: new space stays as it begins. Collecting it more often costs a mint some of its processor time.
setFlagsFromString('--semi-space-growth-factor=1');
// Nor may all else grow to four times of what is in use before it is collected: under load that would be 40 MiB more.
setFlagsFromString('--heap-growing-percent=50');

// A young space of that size is copied in a millisecond; V8's other threads that help with it cost a fifth of all that a
// mint takes, and save none of its time.
setFlagsFromString('--no-parallel-scavenge');
// The only WebAssembly is undici's parser: to optimize it takes 10 MiB, and saves no time that could be measured.
setFlagsFromString('--liftoff-only');
// The compiler between the plain and the optimizing one, in Node 22 and later: 13 MiB, for no time that could be
// measured.
setFlagsFromString('--no-maglev');

const deps = createDeps();
void exit(deps, run(process.argv.slice(2), deps));
