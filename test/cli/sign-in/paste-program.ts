// Reads a pasted answer on a real terminal: prints how many characters of code it has, and whether the terminal is as before.
import { createReport } from '../../../cli/surroundings/report.ts';
import { pasteCallback } from '../../../cli/sign-in/paste.ts';

const [, , state = ''] = process.argv;
const { stdin, stderr, stdout, env, platform, pid, ppid } = process;
const { signal } = new AbortController();
const clock = { now: () => Date.now(), sleep: async () => undefined };
const report = createReport(stderr, env);
const parentIsGone = () => false;
const deps = {
  stdin,
  stderr,
  stdout,
  env,
  platform,
  pid,
  ppid,
  parentIsGone,
  startedAt: Date.now(),
  clock,
  report,
  signal,
};
const parameters = await pasteCallback({ deps, state, signal, beside: false });
stdout.write(`[code of ${parameters.get('code')?.length ?? 0}, raw ${String(stdin.isRaw)}]\n`);
