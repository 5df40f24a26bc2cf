/**
 * A process that keeps sessions: `MODE STATE_DIR CACHE`.
 *
 * loop  saves the next generation for ever and says the number of each once it is saved
 * race  loads, says so, and at each `go` on stdin tries to save a successor and says `won` or `lost`; at each `load` it
 *       loads the next generation and says so
 */
import { createInterface } from 'node:readline';
import type { Session } from '../../cli/session/file-format.ts';
import { SessionChanged } from '../../cli/session/contract.ts';
import { openSessions } from '../../cli/session/store.ts';
import { Secret } from '../../shared/secret.ts';

const [mode, dir, cache = 'file'] = process.argv.slice(2);
const key = 'a'.repeat(64);
const store = openSessions({
  cache: cache === 'keyring' ? 'keyring' : 'file',
  dir,
  runtimeDir: undefined,
  env: process.env,
  report: {
    level: 'silent',
    setLevel: () => undefined,
    info: () => undefined,
    waiting: () => undefined,
    warn: () => undefined,
    debug: () => undefined,
    error: () => undefined,
  },
  clock: { now: Date.now, sleep: async () => undefined },
  background: false,
});

async function load(): Promise<Session> {
  const session = await store.load(key);
  if (session === undefined) throw new Error('there is no session');
  return session;
}

/** Every token says which generation it is of, and there is enough of it to be cut in the middle. */
async function saveNext(session: Session): Promise<Session> {
  const next = `refresh-${session.generation + 1}`;
  const idToken = new Secret(`${next}.`.repeat(2000));
  return store.save({ ...session, tokens: { ...session.tokens, refreshToken: new Secret(next), idToken } });
}

let session = await load();
if (mode === 'loop') {
  for (;;) {
    await store.reserve(key);
    session = await saveNext(session);
    process.stdout.write(`${session.generation}\n`);
  }
}
process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'load') {
    session = await load();
    process.stdout.write('ready\n');
    continue;
  }
  try {
    await saveNext(session);
    process.stdout.write('won\n');
  } catch (error) {
    if (!(error instanceof SessionChanged)) throw error;
    process.stdout.write('lost\n');
  }
}
