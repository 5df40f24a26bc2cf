import { parseArgs, type ParseArgsConfig } from 'node:util';

const usage = `usage: npm run bench [-- plugin | broker]… [--rounds N] [--against FOLDER] [--json]
       npm run bench -- --doc [FILE…]             writes docs/performance.md, from such JSON or from a run of now
       npm run bench -- scale [leases | replicas | reload | costs | soak]… [--leases N] [--rounds N] [--soak TIME] [--json]
       npm run bench -- simulate [--json]
docs/performance.md and docs/scale.md say what is measured.
`;

/** As `parseArgs`; `--help`, and what it does not know, ends the process with how to call it. */
export function parseCall<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>> {
  if (process.argv.includes('--help')) {
    process.stdout.write(usage);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    return refuse((error as Error).message);
  }
}

export function refuse(what: string): never {
  process.stderr.write(`error: ${what}\n${usage}`);
  process.exit(2);
}
