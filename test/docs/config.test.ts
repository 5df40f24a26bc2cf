import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { configNames } from '../../cli/settings/table.ts';
import { loadConfig } from '../../cli/settings/person.ts';
import { examples } from './examples.ts';

it('the config.yaml of the reference is one that Kleis takes, with every setting in it', async () => {
  const home = await mkdtemp(join(tmpdir(), 'kleis-config-'));
  try {
    const [example, ...more] = examples().filter(
      ({ page, heading }) => page === 'docs/cli.md' && heading === 'config.yaml',
    );
    expect(more).toEqual([]);
    await mkdir(join(home, 'kleis'), { mode: 0o755 });
    await writeFile(join(home, 'kleis/config.yaml'), example?.text ?? '', { mode: 0o644 });
    const { choices } = await loadConfig({ env: { XDG_CONFIG_HOME: home }, platform: process.platform });
    expect(Object.keys(choices).toSorted()).toEqual(configNames.toSorted());
  } finally {
    await rm(home, { recursive: true });
  }
});
