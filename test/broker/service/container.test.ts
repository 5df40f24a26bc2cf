import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { containerFaults } from '../../../broker/service/container.ts';

const folder = mkdtempSync(join(tmpdir(), 'kleis-mounts-'));
afterAll(() => rmSync(folder, { recursive: true }));

const writable = mountinfo('65 43 0:52 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b');
const readOnly = mountinfo('65 43 0:52 / / ro,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b');
const container = { container: 'oci' };

function mountinfo(...lines: readonly string[]): string {
  const path = join(folder, String(Math.random()));
  writeFileSync(path, `${lines.join('\n')}\n66 65 0:53 / /proc rw,nosuid - proc proc rw\n`);
  return path;
}

const told = (...args: Parameters<typeof containerFaults>) => containerFaults(...args).map(({ fault }) => fault);

describe('a broker in a container', () => {
  it('says that it is root, and that the root can be written, each with what to do', () => {
    const faults = containerFaults({ env: container, user: 0 }, writable);
    expect(faults.map(({ fault }) => fault)).toEqual([
      'the broker runs as root',
      'the root file system can be written',
    ]);
    expect(faults.map(({ next }) => next)).toEqual([
      expect.stringContaining('runAsNonRoot'),
      expect.stringContaining('readOnlyRootFilesystem'),
    ]);
  });

  it('says nothing where both are as they should be', () => {
    expect(told({ env: container, user: 65532 }, readOnly)).toEqual([]);
    expect(told({ env: { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, user: 65532 }, readOnly)).toEqual([]);
  });

  it('knows one by `container` and every pod of Kubernetes; elsewhere it says nothing', () => {
    for (const env of [container, { container: 'podman' }, { KUBERNETES_SERVICE_HOST: '10.0.0.1' }])
      expect(told({ env, user: 0 }, writable)).toHaveLength(2);
    for (const env of [{}, { container: '' }]) expect(told({ env, user: 0 }, writable)).toEqual([]);
  });

  it('takes the file system that is read-only as a whole for such a root, and of two mounts the one on top', () => {
    const whole = mountinfo('65 43 0:52 / / rw,relatime - erofs /dev/vda ro');
    const over = mountinfo('1 1 8:1 / / rw - ext4 /dev/root rw', '65 1 0:52 / / ro,relatime - overlay overlay rw');
    const under = mountinfo('65 1 0:52 / / ro,relatime - overlay overlay rw', '1 1 8:1 / / rw - ext4 /dev/root rw');
    expect([whole, over, under].map((mounts) => told({ env: container, user: 1 }, mounts).length)).toEqual([0, 0, 1]);
  });

  it('says nothing of a root that nobody can tell about', () => {
    expect(told({ env: container, user: 1 }, join(folder, 'missing'))).toEqual([]);
    expect(told({ env: container, user: undefined }, mountinfo())).toEqual([]);
  });
});
