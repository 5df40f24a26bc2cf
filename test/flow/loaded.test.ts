import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { built } from '../support/built.ts';
import type { Person } from '../support/kleis.ts';
import { createWorld, said, type World } from './world.ts';

// What a program loads of Node before it does anything is time that somebody waits.

let world: World;
let person: Person;
let dist: string;
beforeAll(async () => {
  world = await createWorld({ refreshTokens: 'always' });
  person = await world.person();
  ({ dist } = await built());
});
afterAll(() => world?.end());

interface Loaded {
  /** Node's own modules. */
  readonly modules: readonly string[];
  /** Ours, and the guard's. */
  readonly files: readonly string[];
}

/** What was loaded when the program has ended. */
async function loadedBy(program: string, args: readonly string[]): Promise<Loaded> {
  const [probe, list] = [join(person.home, 'probe.cjs'), join(person.home, 'loaded.json')];
  const write = `require('node:fs').writeFileSync(${JSON.stringify(list)}, JSON.stringify({ modules: process.moduleLoadList, files: Object.keys(require.cache) }))`;
  await writeFile(probe, `process.on('exit', () => ${write});`);
  const result = await person.run(process.execPath, ['--require', probe, join(dist, program), ...args]);
  expect({ ...said(result), stdout: '' }).toEqual({ code: 0, stdout: '', stderr: '' });
  const { modules, files } = JSON.parse(await readFile(list, 'utf8')) as Loaded;
  return {
    modules: modules.map((each) => each.replace('NativeModule ', '')),
    files: files.filter((file) => file !== probe),
  };
}

/** Of `get-token`: with a session whose token is fresh, and with one refresh. */
async function tokens(): Promise<{ session: Loaded; refresh: Loaded }> {
  const authority = `--certificate-authority=${person.providerCaFile}`;
  const args = [...world.flags, authority, '--cluster-server=https://a.example'];
  expect(await person.run('kleis-get-token', args)).toMatchObject({ code: 0 });
  // Without it, no yaml and nothing that parses it.
  await rm(join(person.home, '.config'), { recursive: true });
  const before = world.provider.seen.length;
  // Another line is another credential; the session is the same.
  const session = await loadedBy('kleis-get-token.js', [...args, '--min-validity=2m']);
  expect(world.provider.seen).toHaveLength(before);
  const refresh = await loadedBy('kleis-get-token.js', ['--rejected', ...args]);
  expect(world.provider.seen.slice(before).map(({ params }) => params['grant_type'])).toEqual(['refresh_token']);
  return { session, refresh };
}

// What each would load of Node by an import that somebody forgets.
const idle = ['child_process', 'fs/promises', 'readline', 'perf_hooks', 'timers/promises', 'internal/crypto/webcrypto'];

it('a program loads what it needs, and never undici, which takes as long as Node itself', async () => {
  const { session, refresh } = await tokens();
  const runs = {
    version: await loadedBy('kleis.js', ['--version']),
    help: await loadedBy('kleis.js', ['--help']),
    status: await loadedBy('kleis.js', ['status', '-o', 'json']),
    broker: await loadedBy('kleis-broker.js', ['rbac', '--help']),
    session,
    refresh,
  };
  for (const [name, { modules }] of Object.entries(runs)) {
    expect(modules.length, name).toBeGreaterThan(50);
    expect(
      modules.filter((each) => each.includes('undici')),
      name,
    ).toEqual([]);
  }
  expect(refresh.modules).toContain('https');
  expect(refresh.modules.filter((each) => idle.includes(each))).toEqual([]);
  expect(session.modules.filter((each) => [...idle, 'http', 'tls', 'dns'].includes(each))).toEqual([]);
  // Each further file takes a quarter of a millisecond: guard, main, and what is made one (build.mjs).
  expect(runs.version.files).toHaveLength(1);
  expect(runs.help.files.length).toBeLessThan(7);
  expect(session.files.length).toBeLessThan(6);
  expect(refresh.files.length).toBeLessThan(9);
});
