import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };
import { type AppWorld, issuerUrl, startAppWorld } from '../broker/routes/world.ts';
import { built } from '../support/built.ts';
import { createAuthority } from '../support/certificates.ts';
import { type GitHub, startGitHub } from '../support/github.ts';
import { needs } from '../support/needs.ts';
import { freePorts } from '../support/processes.ts';
import { run } from '../support/run.ts';

/** A release, a broker and the cluster behind it: what a job needs on whichever platform it runs. */
export interface LastMileWorld {
  readonly app: AppWorld;
  /** Of the broker, which is also its audience. */
  readonly url: string;
  /** A GitHub Enterprise Server, whose authority is in `ca`. */
  readonly github: GitHub;
  readonly ca: string;
  /** Holds the archive of this version, and SHA256SUMS. */
  readonly releases: string;
  /** Another release with the same names, whose archive is not the one that its SHA256SUMS says. */
  readonly forged: string;
  /**
   * The release at an https address that `ca` vouches for. What is asked for below `/busy` is there at the second attempt,
   * what is below `/away` is elsewhere, over http.
   */
  readonly mirror: string;
  /** A folder of its own, removed at the end. */
  folder(): Promise<string>;
  /** The token of a job of another platform than GitHub. */
  issue(claims?: Readonly<Record<string, unknown>>): Promise<string>;
  /** The lease of each token of that grant that the broker has given, and of each that it has taken back. */
  leases(grant: string): Promise<{ readonly given: string[]; readonly revoked: string[] }>;
  end(): Promise<void>;
}

export const archive = `kleis-${packageJson.version}-${platform()}-${arch()}.tar.gz`;

export async function startLastMileWorld(): Promise<LastMileWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-last-mile-'));
  const started: (() => Promise<unknown>)[] = [async () => rm(folder, { recursive: true, force: true })];
  const end = async () => {
    for (const stop of started.toReversed()) await stop();
  };
  try {
    const authority = await createAuthority();
    const ca = join(folder, 'ca.pem');
    await writeFile(ca, authority.cert);
    const github = await startGitHub({ tls: await authority.issueServer(['127.0.0.1']) });
    started.push(async () => github.stop());
    const app = await startAppWorld(needs('kube') === undefined ? 'stand-in' : '1.36');
    started.push(async () => app.stop());
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const grant = { cluster: 'prod', serviceAccount: 'deploy-web', access: [{ namespace: 'web', role: 'deployer' }] };
    const ci = { url: issuerUrl, audience: url, jwks: join(app.folder, 'jwks.json'), idClaims: ['repository_id'] };
    const broker = await app.start({
      publicUrl: url,
      listen: { address: `127.0.0.1:${port}` },
      admins: [],
      issuers: { github: { url: github.url, audience: url, certificateAuthority: ca, singleUse: true }, ci },
      grants: {
        'deploy-web': { ...grant, issuer: 'github', where: { repository_id: '123456', environment: 'production' } },
        'deploy-api': { ...grant, issuer: 'github', where: { repository_id: '123456', environment: 'production' } },
        'check-ci': { ...grant, issuer: 'ci', where: { repository_id: '1' } },
        'deploy-ci': { ...grant, issuer: 'ci', where: { repository_id: '1' } },
      },
    });
    const [releases, forged] = [join(folder, 'releases'), join(folder, 'forged')];
    await makeRelease(join(folder, 'package'), releases);
    await cp(releases, forged, { recursive: true });
    await writeFile(join(forged, archive), 'not what it was');
    const mirror = await serve(releases, await authority.issueServer(['127.0.0.1']));
    started.push(async () => mirror.stop());
    let count = 0;
    return {
      mirror: mirror.url,
      app,
      url,
      github,
      ca,
      releases,
      forged,
      async folder() {
        count += 1;
        const path = join(folder, `job-${count}`);
        await mkdir(path);
        return path;
      },
      issue: async (claims = {}) => app.issue({ aud: url, ...claims }),
      async leases(name) {
        const lines = await broker.audit();
        const given = lines.filter(
          ({ event, outcome, grant: of }) => event === 'exchange' && outcome === 'allowed' && of === name,
        );
        const leases = given.map(({ lease }) => String(lease));
        const revoked = lines.filter(({ event, lease }) => event === 'revoke' && leases.includes(String(lease)));
        return { given: leases, revoked: revoked.map(({ lease }) => String(lease)) };
      },
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** An archive as the release has it, but of the programs that need the Node of this machine. */
async function makeRelease(work: string, into: string): Promise<void> {
  const name = archive.replace(/\.tar\.gz$/, '');
  const programs = join(work, name);
  await mkdir(into);
  await cp((await built()).dist, programs, { recursive: true });
  for (const each of ['kleis', 'kleis-get-token']) await symlink(`${each}.js`, join(programs, each));
  const packed = await run('tar', ['-czf', join(into, archive), '-C', work, name], { env: { PATH: '/usr/bin:/bin' } });
  if (packed.code !== 0) throw new Error(packed.stderr);
  const sum = createHash('sha256')
    .update(await readFile(join(into, archive)))
    .digest('hex');
  await writeFile(join(into, 'SHA256SUMS'), `${'0'.repeat(64)}  other.tar.gz\n${sum}  ${archive}\n`);
}

async function serve(folder: string, tls: { cert: string; key: string }) {
  const busy = new Set<string>();
  const server = createServer(tls, (request, response) => {
    const [, part, name = ''] = /^(?:\/(busy|away))?\/([\w.-]+)$/.exec(request.url ?? '') ?? [];
    if (part === 'away') return response.writeHead(302, { location: `http://example.com/${name}` }).end();
    if (part === 'busy' && !busy.has(name)) return busy.add(name) && response.writeHead(503).end();
    readFile(join(folder, name)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
