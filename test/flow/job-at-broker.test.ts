import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { type AppWorld, issuerUrl, startAppWorld } from '../broker/routes/world.ts';
import type { Person } from '../support/kleis.ts';
import { startSsoBroker } from './sso-broker.ts';
import { createWorld, said, type World } from './world.ts';

// What a person asks a broker with their sign-in, asked by a CI job with its own token: nobody signs in.

const access = [{ namespace: 'web', role: 'deployer' }];
const ofJob = { issuer: 'ci', cluster: 'prod', serviceAccount: 'deploy-web', access };

let world: World;
let app: AppWorld;
let url: string;

beforeAll(async () => {
  world = await createWorld();
  app = await startAppWorld();
  const ci = { url: issuerUrl, jwks: join(app.folder, 'jwks.json'), idClaims: ['repository_id'] };
  ({ url } = await startSsoBroker(
    { world, app },
    {
      admins: [{ issuer: 'ci', claim: 'repository_id', value: '7' }],
      others: (audience) => ({ ci: { ...ci, audience } }),
      grants: {
        'deploy-web': { ...ofJob, where: { repository_id: '1', environment: 'production' } },
        preview: { ...ofJob, where: { repository_id: '1' } },
        'of-others': { ...ofJob, where: { repository_id: '2' } },
      },
    },
  ));
});
afterEach(() => world.removePeople());
afterAll(async () => {
  await app?.stop();
  await world?.end();
});

interface Job {
  readonly kleis: (...args: string[]) => Promise<ReturnType<typeof said>>;
  readonly runner: Person;
}

/** A job of GitLab CI, which has its token in a variable. */
async function job(claims: Record<string, unknown> = {}): Promise<Job> {
  const runner = await world.person();
  const KLEIS_ID_TOKEN = await app.issue({ aud: url, ...claims });
  const env = { CI: 'true', GITLAB_CI: 'true', CI_JOB_ID: randomUUID(), CI_SERVER_URL: issuerUrl, KLEIS_ID_TOKEN };
  return { runner, kleis: async (...args) => said(await runner.run('kleis', args, { env, timeout: 60_000 })) };
}

describe('a job', () => {
  it('lists its grants and no other, and explains them by its own claims', async () => {
    const { kleis, runner } = await job({ environment: 'staging' });
    expect(await kleis('grants', '--broker', url, '-o', 'name')).toEqual({ code: 0, stdout: 'preview\n', stderr: '' });
    const explained = await kleis('explain', '--broker', url, '--grant', 'preview');
    expect(explained).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok +repository_id +"1"$/m) });
    const other = await kleis('explain', '--broker', url, '--grant', 'of-others');
    expect(other).toMatchObject({ code: 4, stderr: expect.stringContaining('Yours are: preview.') });
    const unlike = await kleis('explain', '--broker', url, '--grant', 'deploy-web');
    expect(unlike.code).toBe(4);
    expect(unlike.stdout).toMatch(/^FAILED +environment +"staging"/m);
    expect(await runner.windows()).toEqual([]);
  });

  it('that has none is told so; without an identity it is told what gives it one', async () => {
    const { kleis } = await job({ repository_id: '9' });
    expect(await kleis('grants', '--broker', url)).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('has no grant for GitLab CI'),
    });
    const runner = await world.person();
    const env = { CI: 'true', GITLAB_CI: 'true', CI_JOB_ID: '1' };
    expect(said(await runner.run('kleis', ['grants', '--broker', url], { env }))).toMatchObject({
      code: 6,
      stdout: '',
      stderr: expect.stringContaining('id_tokens'),
    });
  });

  it('says who it is with --identity where no platform does', async () => {
    const runner = await world.person();
    const token = join(runner.home, 'token');
    await writeFile(token, await app.issue({ aud: url }));
    const asked = await runner.run('kleis', ['grants', '--broker', url, '--identity', `file:${token}`, '-o', 'name']);
    expect(said(asked)).toMatchObject({ code: 0, stdout: 'deploy-web\npreview\n' });
    const version = await runner.run('kleis', [
      'version',
      '--broker',
      url,
      '--identity',
      `file:${token}`,
      '-o',
      'json',
    ]);
    expect(JSON.parse(version.stdout)).toMatchObject({ broker: { url, version: packageJson.version } });
  });

  it('that is no admin is told nothing but that', async () => {
    const { kleis } = await job();
    for (const command of [['leases'], ['revoke', '--all', '--yes'], ['grants'], ['health']]) {
      const { code, stdout, stderr } = await kleis('admin', ...command, '--broker', url);
      expect({ code, stdout, stderr }).toEqual({ code: 4, stdout: '', stderr: expect.stringContaining('for admins') });
    }
  });

  it('that is one sees the leases of others, ends one, and asks nobody', async () => {
    const [deploying, admin] = [await job({ sub: 'acme/web' }), await job({ sub: 'acme/ops', repository_id: '7' })];
    const got = await deploying.kleis(
      'token',
      '--identity',
      'gitlab',
      '--broker',
      url,
      '--grant',
      'preview',
      '-o',
      'json',
    );
    const { lease } = JSON.parse(got.stdout) as { lease: string };
    expect((await admin.kleis('admin', 'leases', '--broker', url, '-o', 'name')).stdout).toContain(lease);
    expect((await admin.kleis('admin', 'grants', '--broker', url, '-o', 'name')).stdout).toContain('of-others');
    expect((await admin.kleis('admin', 'health', '--broker', url)).code).toBe(0);
    const ended = await admin.kleis('admin', 'revoke', lease.slice(0, 8), '--broker', url, '--yes');
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/preview +acme\/web +dead/) });
    expect((await admin.kleis('admin', 'leases', '--broker', url, '-o', 'name')).stdout).not.toContain(lease);
    expect(await admin.runner.windows()).toEqual([]);
  });

  it('has a row in status for each credential that it keeps, with a context or without, and no sign-in is needed', async () => {
    const { kleis } = await job();
    await kleis('token', '--identity', 'gitlab', '--broker', url, '--grant', 'preview');
    const rowsOf = async () => {
      const { stdout } = await kleis('status');
      const lines = stdout.trim().split('\n');
      return lines.slice(1).map((line) => line.split(/ {3,}/));
    };
    const alone = ['-', '-', 'preview at prod', expect.stringMatching(/^\d+m left$/), 'no sign-in', '-'];
    expect(await rowsOf()).toEqual([alone]);
    expect(JSON.parse((await kleis('status', '-o', 'json')).stdout)).toMatchObject({
      contexts: [],
      sessions: [],
      credentials: [{ via: 'preview at prod', tokenExpiresAt: expect.stringMatching(/^20/) }],
    });
    expect((await kleis('status', '--quiet')).code).toBe(0);

    // A context for another grant: its own row, and the other credential keeps its one.
    const flags = [
      '--identity',
      'gitlab',
      '--broker',
      url,
      '--grant',
      'deploy-web',
      '--server',
      'https://a.example.com',
    ];
    const added = await kleis('kubeconfig', 'add', 'deploy', '--offline', ...flags);
    expect(added).toMatchObject({ code: 0 });
    const via = `deploy-web at ${url.replace('http://', '')}, gitlab`;
    expect(await rowsOf()).toEqual([['deploy *', '-', via, '-', 'no sign-in', '-'], alone]);
    await kleis('token', '--context', 'deploy');
    expect(await rowsOf()).toEqual([
      ['deploy *', '-', via, expect.stringMatching(/^\d+m left$/), 'no sign-in', '-'],
      alone,
    ]);
    // Another job on this machine has none of it.
    const other = await job();
    expect((await other.kleis('status')).stdout).toBe('');
  });
});
