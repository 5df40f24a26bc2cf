import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../../package.json' with { type: 'json' };
import { faultsOfFiles } from '../../../broker/deploy/image/check.ts';
import { type Bundle, createContainer, unpack } from '../../../broker/deploy/image/container.ts';
import { type LockedPackage, NotToBeHad } from '../../../broker/deploy/image/debian.ts';
import { packagesNow } from '../../../broker/deploy/image/debian-now.ts';
import { archiveName, makeImages, spdxName } from '../../../broker/deploy/image/make.ts';
import { faultsOf } from '../../../broker/deploy/image/spdx-rules.ts';
import type { SpdxDocument } from '../../../broker/deploy/image/spdx.ts';
import { built } from '../../support/built.ts';
import type { Task } from '../../support/kubelet.ts';
import { needs } from '../../support/needs.ts';
import { run } from '../../support/run.ts';
import { inRunc } from '../../support/pod-runc.ts';
import { type BrokerWorld, startBrokerWorld } from '../../flow/broker-world.ts';

const user = 65532;
const canMake = process.platform === 'linux' && process.arch === 'x64' && needs('skopeo') !== undefined;
const canRun = canMake && [needs('umoci'), needs('runc'), needs('mount')].every((each) => each !== undefined);

describe.skipIf(!canMake)('the image of the broker', () => {
  const work = mkdtempSync(join(tmpdir(), 'kleis-image-test-'));
  const archive = join(work, 'one', archiveName('broker'));
  let bundle: Bundle;

  beforeAll(async () => {
    for (const name of ['one', 'two', 'containers']) mkdirSync(join(work, name));
    const { dist } = await built();
    // The Node of the machine may be none that the image has; what V8 made for that is not in it.
    const options = { dist, targets: ['broker'], architectures: ['amd64'] } as const;
    const make = async (packages?: readonly LockedPackage[]) => {
      for (const name of ['one', 'two'])
        await makeImages(join(work, name), { ...options, ...(packages && { packages }) });
    };
    // A release of Debian takes what is pinned off its mirrors: for a test those that it has now will do.
    await make().catch(async (error: unknown) => {
      if (!(error instanceof NotToBeHad)) throw error;
      await make(packagesNow());
    });
    if (canRun) bundle = unpack(archive, packageJson.version, join(work, 'unpacked'));
  });
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it('has the same bytes each time', () => {
    for (const name of readdirSync(join(work, 'one')))
      expect(readFileSync(join(work, 'two', name)).equals(readFileSync(join(work, 'one', name))), name).toBe(true);
  });

  it('says whose it is and how it is started', () => {
    const inspect = (...flags: string[]) =>
      JSON.parse(
        execFileSync('skopeo', ['inspect', ...flags, `oci-archive:${archive}:${packageJson.version}`], {
          encoding: 'utf8',
        }),
      );
    const { config, history } = inspect('--config');
    expect(config).toMatchObject({
      User: `${user}:${user}`,
      Entrypoint: ['kleis-broker'],
      Cmd: ['serve', '--config', '/etc/kleis'],
      StopSignal: 'SIGTERM',
    });
    expect(config.Labels).toMatchObject({
      'org.opencontainers.image.version': packageJson.version,
      'org.opencontainers.image.source': 'https://github.com/kleis-dev/kleis',
      'org.opencontainers.image.licenses': 'Apache-2.0',
      'org.opencontainers.image.revision': expect.stringMatching(/^[0-9a-f]{40}$/),
    });
    // What a new version of Kleis brings is the last of them alone.
    expect(history.map((each: { created_by: string }) => each.created_by.split(/[: ]/)[0])).toEqual([
      'Debian',
      'Node',
      'Kleis',
    ]);
  });

  it('is described by an SPDX document that names what is in it, and rules find what such a document lacks', () => {
    const document = JSON.parse(readFileSync(join(work, 'one', spdxName('broker')), 'utf8')) as SpdxDocument;
    expect(faultsOf(document)).toEqual([]);
    const names = document.packages.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['libc6', 'libstdc++6', 'ca-certificates', 'node', 'kleis', 'express']),
    );
    // Of the plugin alone.
    expect(names).not.toContain('open');
    const [image, first, ...others] = document.packages;
    const wrong = { ...document, packages: [image!, { ...first!, licenseDeclared: 'Mine' }, ...others.slice(1)] };
    expect(faultsOf(wrong)).toEqual([
      `${first!.SPDXID}: its licence Mine is not well`,
      expect.stringContaining(`contains ${others[0]!.SPDXID}, which is not there`),
    ]);
  });

  describe.skipIf(!canRun)('in a container without rights', () => {
    const task: Task = {
      image: 'kleis-broker',
      command: undefined,
      args: undefined,
      env: {},
      mounts: [],
      user,
      group: user,
      groups: [],
      readOnlyRoot: true,
      noNewPrivileges: true,
      dropAll: true,
      netns: '/proc/self/ns/net',
    };
    const start = async (changes: Partial<Task>) => inRunc(bundle, join(work, 'containers'))({ ...task, ...changes });
    const end = async (changes: Partial<Task>) => (await start(changes)).done;

    it('holds no shell, no tool, no way to more rights, and nothing that its user can write', () => {
      const rootfs = join(bundle.folder, 'rootfs');
      expect(faultsOfFiles(rootfs, 'broker')).toEqual([]);
      writeFileSync(join(rootfs, 'usr/bin/tool'), '', { mode: 0o755 });
      expect(faultsOfFiles(rootfs, 'broker')).toEqual(['usr/bin/tool is a program more.']);
      rmSync(join(rootfs, 'usr/bin/tool'));
    });

    it('without a configuration says which file it misses, and ends with 6', async () => {
      const { code, stderr } = await end({});
      expect(code).toBe(6);
      expect(stderr).toMatch(/^\/etc\/kleis:1:1: cannot be read: it does not exist\nnext: /);
    });

    describe.skipIf(!needs('kube'))('at a real API server', () => {
      let world: BrokerWorld;
      beforeAll(async () => {
        world = await startBrokerWorld('1.36');
      });
      afterAll(() => world?.stop());

      /** Its capabilities are dropped: root reads what is root's, as everybody reads their own. */
      const giveTo = (owner: number) => {
        for (const path of [world.folder, ...readdirSync(world.folder).map((name) => join(world.folder, name))])
          chownSync(path, owner, owner);
        chmodSync(world.cluster.caFile, 0o644);
      };
      const inside = (changes: Partial<Task> = {}) => ({
        start: async (args: readonly string[]) => {
          giveTo(changes.user ?? user);
          return start({
            args,
            mounts: [
              { source: world.folder, path: world.folder, readOnly: false },
              { source: world.cluster.caFile, path: world.cluster.caFile, readOnly: true },
            ],
            ...changes,
          });
        },
      });
      const warnings = (stderr: string) =>
        stderr.split('\n').filter((line) => line.includes('"level":"warn"') && /root/.test(line));

      it('serves an exchange, and ends by SIGTERM as the first process, with 0', async () => {
        const broker = await world.replica('inside', inside());
        const { status, body } = await broker.exchange(await world.issue(), 'deploy-web');
        expect(status).toBe(200);
        expect(await world.ask(body.access_token)).toBe(201);
        expect((await broker.revoke(body.access_token)).status).toBe(200);
        const began = performance.now();
        expect(await broker.end('SIGTERM')).toBe(0);
        expect(performance.now() - began).toBeLessThan(10_000);
        expect((await broker.audit()).map(({ event }) => event)).toEqual(
          expect.arrayContaining(['exchange', 'revoke']),
        );
        expect(warnings(broker.process.stderr())).toEqual([]);
      });

      it.each([
        ['nothing', undefined, 'it does not exist'],
        ['a volume that is full', ['mode=0777', 'nr_inodes=1'], 'no space is left on the device'],
        ['a volume that is read-only', ['mode=0777', 'ro'], 'the file system is read-only'],
        ["somebody else's volume", ['mode=0755'], 'this user has no right to it'],
      ])('with %s for its audit says why it cannot begin, and what to do', async (_, options, why) => {
        const { config } = await world.replica('outside');
        const text = readFileSync(config, 'utf8').replace(/file: .*outside\.jsonl/, 'file: /audit/audit.jsonl');
        const own = join(world.folder, 'no-audit.yaml');
        writeFileSync(own, text, { mode: 0o644 });
        giveTo(user);
        const container = createContainer(bundle, join(work, 'containers'), {
          args: ['serve', '--config', own],
          mounts: [
            { source: world.folder, target: world.folder },
            { source: world.cluster.caFile, target: world.cluster.caFile },
            ...(options === undefined ? [] : [{ source: 'tmpfs', target: '/audit', options }]),
          ],
        });
        const [program, ...words] = container.run;
        const { code, stderr } = await run(program, words, { env: { PATH: process.env['PATH'] ?? '' } });
        container.remove();
        expect(code).toBe(6);
        expect(stderr.replaceAll(/\s+/g, ' ')).toContain(
          `error: The audit cannot be written to /audit/audit.jsonl: ${why}. next: Correct audit.file, or what stands in its way. In a container: mount`,
        );
      });

      it('as root, or with a root that can be written, says so once', async () => {
        const broker = await world.replica('root', inside({ user: 0, group: 0, readOnlyRoot: false }));
        expect(await broker.end('SIGTERM')).toBe(0);
        expect(warnings(broker.process.stderr()).map((line) => JSON.parse(line).msg)).toEqual([
          'the broker runs as root',
          'the root file system can be written',
        ]);
      });
    });
  });
});
