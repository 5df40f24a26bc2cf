import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { failure } from '../../support/failure.ts';
import { startProvider, type TestProvider } from '../../support/provider.ts';
import { beginAt } from './browser-world.ts';
import { connectTo, createTestDeps, settingsFor } from './world.ts';

let provider: TestProvider;
let folder: string;

beforeAll(async () => {
  provider = await startProvider();
  folder = await mkdtemp(join(tmpdir(), 'kleis-browser-'));
});
afterAll(async () => {
  await provider.stop();
  await rm(folder, { recursive: true });
});

describe('opening the browser', () => {
  test('the configured command gets the address in the place of {url}, without a shell, and its output goes nowhere', async () => {
    const log = join(folder, 'opened');
    const script = join(folder, 'browser.mjs');
    await writeFile(
      script,
      `import { writeFileSync } from 'node:fs'; console.log('Opening in existing browser session.'); console.error('noise');
       writeFileSync(${JSON.stringify(log)}, JSON.stringify(process.argv.slice(2)));`,
    );
    const browserCommand = [process.execPath, script, '--profile', 'a b; echo $HOME', '--app={url}'];
    const deps = createTestDeps({ terminal: true });
    const { url, tokens } = await beginAt(provider, { browserCommand }, deps);
    await provider.browser().open(url);
    await tokens;
    const opened = JSON.parse(await readFile(log, 'utf8')) as string[];
    expect(opened).toEqual(['--profile', 'a b; echo $HOME', `--app=${url.href}`]);
    expect(deps.written()).not.toContain('noise');
    expect(deps.stdout.read()).toBeNull();
  });

  test.each([
    ['does not exist', ['/nonexistent/browser']],
    ['fails at once', [process.execPath, '-e', 'process.exit(3)']],
  ])(
    'a command that %s: the address is printed also where there is no terminal, and the sign-in goes on',
    async (_what, browserCommand) => {
      const { deps, url, tokens } = await beginAt(provider, { browserCommand }, createTestDeps());
      expect(deps.written()).toContain('Open this address yourself');
      await provider.browser().open(url);
      expect((await tokens).idToken).toBeDefined();
    },
  );

  test('where a browser opens and stderr is no terminal, the address is not printed (k9s draws there)', async () => {
    const deps = createTestDeps();
    const kleis = await connectTo(settingsFor(provider.issuer, { loginTimeout: 1200 }), deps);
    await failure(kleis.signIn());
    expect(deps.written()).toContain('Opening a browser');
    expect(deps.written()).not.toContain('/auth?');
  });
});
