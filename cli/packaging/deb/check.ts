import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../../../test/support/certificates.ts';
import { type Cluster, startCluster } from '../../../test/support/cluster.ts';
import { startProvider, type TestProvider } from '../../../test/support/provider.ts';
import { type RunResult, start } from '../../../test/support/run.ts';
import { findTool } from '../../../test/support/tools.ts';
import { debFiles } from './make.ts';
import { lacksDebian, makeDebian } from '../release/bare-debian.ts';
import { runInChroot } from '../release/chroot.ts';
import type { Check } from '../release/part.ts';
import { inTemporary } from '../release/temporary.ts';

/** The whole way of somebody who has a Debian, kubectl, and no Node. */
export const debianCheck: Check = {
  says: 'installed on a bare Debian it signs in for kubectl, then answers from its cache, and goes without a trace',
  lacks: () =>
    lacksDebian() ??
    (findTool('kubectl-new') === undefined || findTool('kube') === undefined
      ? 'the servers in KUBEBUILDER_ASSETS'
      : undefined),
  run: async (folder) => inTemporary('debian', async (work) => checkOnDebian(folder, join(work, 'root'))),
};

async function checkOnDebian(folder: string, root: string): Promise<void> {
  const authority = await createAuthority();
  const tls = await authority.issueServer(['localhost']);
  const provider = await startProvider({ tls: { ...tls, ca: authority.cert } });
  const oidc = { issuerUrl: provider.issuer, clientId: 'kleis', caPem: authority.cert, usernameClaim: 'email' };
  const cluster = await startCluster({ kind: '1.36', oidc });
  try {
    makeDebian(root);
    writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n');
    // By which a program knows where it lies.
    execFileSync('mount', ['-t', 'proc', 'proc', join(root, 'proc')]);
    const deb = debFiles(folder).find((name) => name.endsWith('_amd64.deb'));
    if (deb === undefined) throw new Error('there is no package for amd64');
    copyFileSync(join(folder, deb), join(root, 'tmp', deb));
    runInChroot(root, ['/bin/sh', '-c', `dpkg --install /tmp/${deb} >/dev/null`]);
    copyFileSync(findTool('kubectl-new') ?? '', join(root, 'usr/local/bin/kubectl'));
    writeFileSync(join(root, 'root/provider.crt'), authority.cert);
    await useIn(root, provider, cluster);
    runInChroot(root, ['/bin/sh', '-c', 'dpkg --purge kleis >/dev/null']);
    const left = ['usr/lib/kleis', 'usr/bin/kleis', 'usr/share/doc/kleis'].filter((path) =>
      existsSync(join(root, path)),
    );
    if (left.length > 0) throw new Error(`it leaves ${left.join(', ')}`);
  } finally {
    await Promise.all([provider.stop(), cluster.stop()]);
    if (existsSync(join(root, 'proc/self'))) execFileSync('umount', [join(root, 'proc')]);
  }
}

async function useIn(root: string, provider: TestProvider, cluster: Cluster): Promise<void> {
  copyFileSync(cluster.caFile, join(root, 'root/cluster.crt'));
  runInChroot(root, [
    ...['kleis', 'kubeconfig', 'add', 'test', '--current', '--login', 'device', '--offline'],
    ...['--server', cluster.server, '--cluster-certificate-authority', '/root/cluster.crt'],
    ...['--issuer-url', provider.issuer, '--certificate-authority', '/root/provider.crt'],
    ...['--scope', 'email', '--scope', 'groups', '--scope', 'offline_access'],
  ]);
  const env = { HOME: '/root', PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
  const kubectl = () => start('chroot', [root, 'kubectl', 'get', 'ns', '-o', 'name'], { env, timeout: 60_000 });
  const first = kubectl();
  const [, url, code] = await first.waitFor(/(https:\/\/localhost:\d+\/device)\b[^]*?([A-Z]{4}-[A-Z]{4})/, 60_000);
  await provider.browser().visit(`${url}?user_code=${code}`);
  expectNamespaces(await first.done);
  // The program away, the launcher has what it needs.
  const program = join(root, 'usr/lib/kleis/kleis');
  renameSync(program, `${program}.away`);
  expectNamespaces(await kubectl().done);
  renameSync(`${program}.away`, program);
  const sessions = readdirSync(join(root, 'root/.local/state/kleis'));
  if (sessions.length === 0) throw new Error('it has kept no session');
}

function expectNamespaces({ code, stdout, stderr }: RunResult): void {
  if (code !== 0 || !stdout.includes('namespace/default\n')) {
    throw new Error(`kubectl ends with ${code}: ${stderr.trim()}`);
  }
}
