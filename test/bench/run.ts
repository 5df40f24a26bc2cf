// `npm run bench [-- plugin | -- broker] [OPTIONS]`: one of the two, or both, one after the other.
import { spawnSync } from 'node:child_process';

const parts = ['plugin', 'broker'];
const [first = '', ...rest] = process.argv.slice(2);
const [chosen, options] = parts.includes(first) ? [[first], rest] : [parts, process.argv.slice(2)];
for (const part of chosen) {
  const command = ['test/support/run-ts.mjs', `test/bench/${part}.ts`, ...options];
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
