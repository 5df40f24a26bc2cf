// Stands where `kleis-get-token` stands beside the launcher: the real queue and cache, and instead of a provider a plan.
import { appendFileSync, fstatSync, readFileSync } from 'node:fs';
import { createDeps } from '../../../cli/surroundings/process.ts';
import { credentialKey } from '../../../cli/credentials/key.ts';
import { Credentials } from '../../../cli/credentials/cache.ts';
import { placesOf } from '../../../cli/settings/paths.ts';
import { KleisError } from '../../../shared/errors.ts';
import type { Plan, Start } from './launcher-world.ts';
import { inTurn } from './in-turn.ts';

const deps = createDeps();
const { env } = deps;
const [, , ...all] = process.argv;
const [first] = all;
const mode = first === '--background' ? 'background' : first === '--rejected' ? 'rejected' : 'normal';
const args = mode === 'normal' ? all : all.slice(1);
const plan: Plan = JSON.parse(readFileSync(env['TEST_PLAN'] ?? '', 'utf8'));
const device = (fd: number) => {
  const { rdev } = fstatSync(fd);
  return rdev === fstatSync(0).rdev && rdev === 0x103;
};
const start: Start = { mode, args, env, pid: deps.pid, onNull: [0, 1, 2].every(device) };
appendFileSync(env['TEST_STARTS'] ?? '', `${JSON.stringify(start)}\n`);

const key = plan.keep === false ? undefined : credentialKey(args, env);
let candidates: readonly string[] = [];
try {
  candidates = placesOf(deps).credentials;
} catch {
  // A relative folder, which the real program complains of.
}
const credentials = new Credentials({ candidates, deps });
if (plan.crash === true) process.kill(process.pid, 'SIGKILL');
let code = 0;
try {
  if (plan.failEarly === true) throw new KleisError('config_invalid', "It isn't configured.");
  const before = credentials.read(key);
  const text = await inTurn(credentials, key, { mode, deadline: 10_000, purpose: 'testing' }, async () => {
    const again = credentials.read(key);
    if (again !== undefined && (mode === 'normal' || again.generation !== before?.generation)) return again.text;
    await deps.clock.sleep(plan.delay ?? 0, deps.signal);
    if (plan.fail === mode) throw new KleisError('sign_in_refused', "The provider said: 'no'.\n$(touch evil)");
    const now = deps.clock.now();
    const { age = 0, lifetime = 3_600_000, text: planned = '{"token":"brought"}\n' } = plan;
    credentials.write(key, planned, { issuedAt: now - age, expiresAt: now - age + lifetime, minValidity: 60_000 }, 's');
    if (mode === 'rejected') credentials.holdForced(key, deps.clock.now() + 60_000);
    return planned;
  });
  if (mode !== 'background') deps.stdout.write(text);
  credentials.settle(key, mode);
} catch (error) {
  if (!(error instanceof KleisError)) throw error;
  credentials.settle(key, mode, error);
  deps.report.error(error);
  code = error.exitCode;
}
process.exitCode = code;
