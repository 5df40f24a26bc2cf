import { readFile, writeFile } from 'node:fs/promises';
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

/** Node's own modules that were loaded when the program has ended. */
async function loadedBy(program: string, args: readonly string[]): Promise<string[]> {
  const [probe, list] = [join(person.home, 'probe.cjs'), join(person.home, 'loaded.json')];
  const write = `require('node:fs').writeFileSync(${JSON.stringify(list)}, JSON.stringify(process.moduleLoadList))`;
  await writeFile(probe, `process.on('exit', () => ${write});`);
  const result = await person.run(process.execPath, ['--require', probe, join(dist, program), ...args]);
  expect({ ...said(result), stdout: '' }).toEqual({ code: 0, stdout: '', stderr: '' });
  return JSON.parse(await readFile(list, 'utf8')) as string[];
}

async function refresh(): Promise<string[]> {
  const args = [
    ...world.flags,
    `--certificate-authority=${person.providerCaFile}`,
    '--cluster-server=https://a.example',
  ];
  expect(await person.run('kleis-get-token', args)).toMatchObject({ code: 0 });
  const before = world.provider.seen.length;
  const loaded = await loadedBy('kleis-get-token.js', ['--rejected', ...args]);
  const asked = world.provider.seen.slice(before).map(({ params }) => params['grant_type']);
  expect(asked).toEqual(['refresh_token']);
  return loaded;
}

it('no program loads undici, which takes as long as Node itself', async () => {
  const runs = {
    version: await loadedBy('kleis.js', ['--version']),
    help: await loadedBy('kleis.js', ['--help']),
    status: await loadedBy('kleis.js', ['status', '-o', 'json']),
    broker: await loadedBy('kleis-broker.js', ['--version']),
    refresh: await refresh(),
  };
  for (const [name, loaded] of Object.entries(runs)) {
    expect(loaded.length, name).toBeGreaterThan(50);
    expect(
      loaded.filter((each) => /undici/.test(each)),
      name,
    ).toEqual([]);
  }
});
