import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import packageJson from '../../../package.json' with { type: 'json' };
import { createAuthority } from '../../../test/support/certificates.ts';
import { findTool } from '../../../test/support/tools.ts';
import type { Check } from './part.ts';
import { inTemporary } from './temporary.ts';

const { version } = packageJson;
const pushed = [`kleis-broker-${version}.oci.tar`, `kleis-ci-${version}.oci.tar`, `kleis-broker-${version}.tgz`];

/** What the release workflow does with images and the chart, by its own script, at a registry of this machine. */
export const pushCheck: Check = {
  says: 'the workflow pushes images and chart, and knows their digests',
  lacks(folder) {
    const tool = (['skopeo', 'helm', 'docker-registry'] as const).find((name) => findTool(name) === undefined);
    if (tool !== undefined) return tool;
    const missing = pushed.find((name) => !existsSync(join(folder, name)));
    return missing === undefined ? undefined : `${missing}, of another part`;
  },
  run: async (folder) => inTemporary('push', async (work) => pushAll(folder, work)),
};

interface Workflow {
  readonly jobs: { readonly images: { readonly steps: readonly { readonly id?: string; readonly run?: string }[] } };
}

async function pushAll(folder: string, work: string): Promise<void> {
  const workflow = parse(readFileSync('.github/workflows/release.yml', 'utf8')) as Workflow;
  const script = workflow.jobs.images.steps.find(({ id }) => id === 'push')?.run;
  if (script === undefined) throw new Error('release.yml has no step "push"');
  const server = await startRegistry(work);
  const { registry, trusting } = server;
  try {
    symlinkSync(resolve(folder), join(work, 'release'));
    const output = join(work, 'output');
    const names = { IMAGE: 'kleis-broker', CI_IMAGE: 'kleis-ci', CHARTS: 'charts' } as const;
    const places = Object.fromEntries(
      Object.entries(names).map(([key, name]) => [key, `${registry}/kleis-dev/${name}`]),
    );
    const env = { ...trusting, ...places, VERSION: version, GITHUB_OUTPUT: output, HOME: work };
    // As the runner runs a step of a script.
    execFileSync('bash', ['-eo', 'pipefail', '-c', script], { cwd: work, env, stdio: 'pipe' });
    const digests = readFileSync(output, 'utf8').trim().split('\n');
    for (const [line, place] of [
      ['broker', `${registry}/kleis-dev/kleis-broker`],
      ['ci', `${registry}/kleis-dev/kleis-ci`],
      ['chart', `${registry}/kleis-dev/charts/kleis-broker`],
    ] as const) {
      const digest = digests.find((each) => each.startsWith(`${line}=`))?.slice(line.length + 1) ?? '';
      if (!/^sha256:[\da-f]{64}$/.test(digest)) throw new Error(`It told no digest of ${line}: ${digests.join(', ')}`);
      execFileSync('skopeo', ['inspect', '--raw', `docker://${place}@${digest}`], { env, stdio: 'pipe' });
      const tagged = execFileSync('skopeo', ['inspect', '--raw', `docker://${place}:${version}`], {
        env,
        stdio: 'pipe',
      });
      const own = execFileSync('sha256sum', { input: tagged, encoding: 'utf8' }).slice(0, 64);
      if (digest !== `sha256:${own}`) throw new Error(`The tag of ${line} is sha256:${own}, and not ${digest}`);
    }
  } finally {
    await server.stop();
  }
}

/** docker-registry of Debian, with a certificate that only whoever has this environment trusts. */
async function startRegistry(work: string) {
  const authority = await createAuthority();
  const { cert, key } = await authority.issueServer(['127.0.0.1']);
  const file = (name: string, text: string) => {
    writeFileSync(join(work, name), text);
    return join(work, name);
  };
  const port = await freePort();
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(work, 'registry') } },
    http: { addr: `127.0.0.1:${port}`, tls: { certificate: file('tls.crt', cert), key: file('tls.key', key) } },
  };
  const program = findTool('docker-registry') ?? 'docker-registry';
  const child = spawn(program, ['serve', file('registry.json', JSON.stringify(config))], { stdio: 'ignore' });
  const ended = new Promise((done) => child.once('close', done));
  const trusting = { PATH: process.env['PATH'] ?? '', SSL_CERT_FILE: file('ca.crt', authority.cert) };
  for (let attempt = 0; !isOpen(port, trusting); attempt += 1) {
    if (attempt > 100) throw new Error('docker-registry does not begin');
    await sleep(50);
  }
  return {
    registry: `127.0.0.1:${port}`,
    trusting,
    async stop() {
      child.kill();
      await ended;
    },
  };
}

function isOpen(port: number, env: NodeJS.ProcessEnv): boolean {
  try {
    execFileSync('bash', ['-c', `</dev/tcp/127.0.0.1/${port}`], { env, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
