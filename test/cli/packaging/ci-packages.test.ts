import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ciPackagesPart } from '../../../cli/packaging/release/ci-packages.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { fixSourceDate } from '../../support/source-date.ts';
import { archive } from '../../flow/last-mile-world.ts';

fixSourceDate();

it('what is published for CI platforms installs the archive that is beside it', async () => {
  const work = await mkdtemp(join(tmpdir(), 'kleis-ci-packages-'));
  try {
    const release = join(work, 'release');
    // As an archive of the release is, but for the program.
    const inside = archive.replace('.tar.gz', '');
    await mkdir(join(work, inside));
    await mkdir(release);
    await writeFile(join(work, inside, 'kleis'), `#!/bin/sh\necho ${packageJson.version}\n`, { mode: 0o755 });
    execFileSync('tar', ['-czf', join(release, archive), '-C', work, inside]);
    const names = ['kleis-circleci-orb-VERSION.yml', 'kleis-gitlab-component-VERSION.tar.gz'];
    expect(await ciPackagesPart.make(release)).toEqual(
      [...names, 'kleis-buildkite-plugin-VERSION.tar.gz'].map((name) => name.replace('VERSION', packageJson.version)),
    );
    for (const { run } of ciPackagesPart.checks) await run(release);
    await rm(join(release, `kleis-buildkite-plugin-${packageJson.version}.tar.gz`));
    await expect(ciPackagesPart.checks.at(-1)?.run(release)).rejects.toThrow(/tar/);
  } finally {
    await rm(work, { recursive: true });
  }
});
