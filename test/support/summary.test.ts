import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, type RunResult } from './run.ts';

let folder: string;
const support = (name: string) => JSON.stringify(resolve('test/support', name));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-run-'));
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
  await writeFile(
    join(folder, 'vitest.config.ts'),
    `import { Summary } from ${support('summary.ts')};
     export default { test: { pool: 'forks', reporters: ['default', new Summary()] } };`,
  );
  await writeFile(
    join(folder, 'b.test.ts'),
    `import { it } from 'vitest';
     import { needs } from ${support('needs.ts')};
     for (const shell of ['zsh'].filter((name) => needs(name))) it(shell, () => {});
     it('runs', () => {});`,
  );
  await writeFile(
    join(folder, 'a.test.ts'),
    `import { describe, expect, it } from 'vitest';
     import { needs } from ${support('needs.ts')};
     describe.skipIf(!needs('ksh'))('on ksh', () => { it('one', () => {}); describe('more', () => { it('two', () => {}); }); });
     it('runs', () => { expect(1).toBe(1); });
     it.skip('is told apart', () => {});`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

/** A run of vitest on a machine that has Node and nothing else. */
function runVitest(env: Record<string, string> = {}): Promise<RunResult> {
  const vitest = resolve('node_modules/vitest/vitest.mjs');
  return run(process.execPath, [vitest, 'run', '--root', folder], {
    env: { PATH: '/nonexistent', HOME: folder, NO_COLOR: '1', ...env },
    cwd: folder,
  });
}

describe('the closing summary', () => {
  it('names what was not run and what it misses, and ends with the counts alone on a line', async () => {
    const { code, stdout } = await runVitest();
    expect(code).toBe(0);
    expect(stdout.slice(stdout.indexOf('Not run here:'))).toBe(`Not run here:

  a.test.ts
    - on ksh
    - is told apart
    missing: ksh

  b.test.ts
    missing: zsh

How to get what is missing:

  ksh:
    apt-get install -y --no-install-recommends ksh
  zsh:
    apt-get install -y --no-install-recommends zsh

2 passed, 0 failed, 3 skipped
`);
  });

  it('fails where nothing may be missing', async () => {
    const { code, stdout } = await runVitest({ KLEIS_REQUIRE_ALL: '1' });
    expect(code).toBe(1);
    expect(stdout).toMatch(/\n0 passed, 2 failed, 0 skipped\n$/);
  });

  it('fails for a skipped test where nothing may be skipped', async () => {
    await rm(join(folder, 'b.test.ts'));
    await writeFile(join(folder, 'a.test.ts'), `import { it } from 'vitest'; it.skip('for no reason', () => {});`);
    const { code, stdout } = await runVitest({ KLEIS_REQUIRE_ALL: '1' });
    expect({ code, stdout }).toEqual({
      code: 1,
      stdout: expect.stringMatching(/- for no reason[^]*\n0 passed, 0 failed, 1 skipped\n$/),
    });
  });
});
