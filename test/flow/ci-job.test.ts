import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClusterOptions } from '../support/cluster.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import { createCiWorld, type CiWorld } from './ci-world.ts';
import { said } from './world.ts';
import { until } from '../support/wait.ts';

const kinds: readonly { kind: ClusterOptions['kind']; missing: boolean }[] = [
  { kind: 'stand-in', missing: false },
  { kind: '1.36', missing: !needs('kube') },
  { kind: '1.30', missing: !needs('kube-1.30') },
];
type Env = Readonly<Record<string, string>>;
const release = JSON.stringify({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'release', namespace: 'web' },
  data: { version: '1' },
});
const kubectl = needs('kubectl-new') ?? needs('kubectl');

for (const { kind, missing } of kinds) {
  describe.skipIf(missing || kubectl === undefined)(`a CI job and a broker, on ${kind}`, () => {
    let world: CiWorld;
    let dead: Promise<boolean> | undefined;
    beforeAll(async () => {
      world = await createCiWorld(kind);
    }, 120_000);
    afterAll(async () => world?.end(), 30_000);

    const run = (runner: Person, args: readonly string[], env: Env, stdin?: string) =>
      runner.run(kubectl ?? '', args, {
        env: { ...runner.env, ...env },
        timeout: 60_000,
        ...(stdin !== undefined && { stdin }),
      });
    const kleis = (runner: Person, args: readonly string[], env: Env) =>
      runner.run('kleis', args, { env: { ...runner.env, ...env }, timeout: 60_000 });
    const exchanges = async () => (await world.audit()).filter((line) => line.outcome === 'allowed');
    const whoami = (token: string, runner = world.runner) => {
      const direct = ['--kubeconfig', '/dev/null', '--server', world.cluster.server];
      const args = [...direct, '--certificate-authority', world.cluster.caFile, '--token', token, 'get', 'configmaps'];
      return run(runner, [...args, '-n', 'web'], {});
    };

    it('revoked at the end of the job: an unused token is dead at once, a used one as soon as the answer says', async () => {
      const env = world.github('10');
      const flags = world.flags('github', 'deploy-web');
      const token = async () => (await kleis(world.runner, ['token', ...flags], env)).stdout.trim();
      const revoke = () => kleis(world.runner, ['revoke', ...flags], env);

      const unused = await token();
      expect((await revoke()).stdout).toMatch(/^revoked \S+: dead /);
      expect((await whoami(unused)).code).not.toBe(0);

      const used = await token();
      expect(used).not.toBe(unused);
      expect((await whoami(used)).code).toBe(0);
      const { stdout } = await revoke();
      const seconds = Number(/dead within (\d+) s/.exec(stdout)?.[1]);
      expect(seconds).toBeLessThanOrEqual(70);
      const isDead = async () => (await whoami(used)).code !== 0;
      // Beside the other tests; the last one has the outcome.
      dead = until('the used token is dead', isDead, seconds * 1000 + 2000, 500);
      dead.catch(() => undefined);
    });

    it('GitHub: kubectl works with what the grant gives, and with nothing else', async () => {
      const runner = await world.newRunner();
      const env = world.github('1');
      await runner.addContext('prod', world.cluster, world.flags('github', 'deploy-web'));
      const created = await run(runner, ['apply', '-f', '-'], env, release);
      expect(said(created)).toEqual({ code: 0, stdout: 'configmap/release created\n', stderr: '' });
      const nodes = await runner.nodeStarts();
      const before = (await exchanges()).length;
      expect((await run(runner, ['get', 'configmap', 'release', '-n', 'web', '-o', 'name'], env)).stdout).toBe(
        'configmap/release\n',
      );
      const denied = await run(runner, ['get', 'secrets', '-n', 'web'], env);
      expect(denied.stderr).toContain('system:serviceaccount:kleis-identities:deploy-web');
      expect(denied.code).toBe(1);
      expect(await runner.nodeStarts()).toBe(nodes);
      expect(before).toBeGreaterThan(0);
      expect(await exchanges()).toHaveLength(before);
      await run(runner, ['delete', 'configmap', 'release', '-n', 'web'], env);
    });

    // One server will do: what differs from one to the other is in the tests around it.
    if (kind === '1.36') {
      it('a kubeconfig for a tool works through the broker, and holds no secret', async () => {
        const runner = await world.newRunner();
        const env = world.github('tool');
        await runner.addContext('prod', world.cluster, world.flags('github', 'deploy-web'));
        const before = await readFile(runner.kubeconfig, 'utf8');
        const out = join(runner.home, 'tool.kubeconfig');
        const tool = ['kubeconfig', 'service-account', 'tool', ...world.flags('github', 'deploy-web')];
        const made = await kleis(
          runner,
          [...tool, '--cluster', 'prod', '--namespace', 'web', '--offline', '--out', out],
          env,
        );
        expect(said(made)).toMatchObject({
          code: 0,
          stdout: '',
          stderr: expect.stringContaining('It holds no secret'),
        });
        expect(await readFile(runner.kubeconfig, 'utf8')).toBe(before);
        const text = await readFile(out, 'utf8');
        // It stands alone: no path of this machine is in it.
        expect(text).not.toContain(runner.home);
        expect(text).not.toMatch(/token:|client-|certificate-authority: /);
        const listed = await run(runner, ['--kubeconfig', out, 'get', 'configmaps', '-o', 'name'], env);
        expect(said(listed)).toMatchObject({ code: 0 });
        const denied = await run(runner, ['--kubeconfig', out, 'get', 'secrets'], env);
        expect(denied.stderr).toContain('system:serviceaccount:kleis-identities:deploy-web');
      });
    }

    it('GitLab: a protected tag may, and each exchange is an audit event with the lease', async () => {
      const env = await world.gitlab('7');
      const { code, stdout, stderr } = await kleis(
        world.runner,
        ['token', ...world.flags('gitlab', 'release-web'), '-o', 'json'],
        env,
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const token = JSON.parse(stdout) as { token: string; lease: string; grant: string; revocable: boolean };
      expect(token).toMatchObject({ grant: 'release-web', cluster: 'prod', revocable: true });
      const claims = JSON.parse(Buffer.from(token.token.split('.')[1] ?? '', 'base64url').toString()) as {
        jti?: string;
      };
      const [event] = (await world.audit()).filter((line) => JSON.stringify(line).includes(token.lease));
      expect(JSON.stringify(event)).toContain(claims.jti ?? token.lease);
      expect(JSON.stringify(await world.audit())).not.toContain(token.token.split('.')[2]);
      expect((await whoami(token.token)).code).toBe(0);
    });

    it('another repository, a fork or a branch gets nothing, reads the request id, and leaves an audit event', async () => {
      const runner = await world.newRunner();
      await runner.addContext('prod', world.cluster, world.flags('github', 'deploy-web'));
      for (const claims of [
        { repository_id: '666' },
        { event_name: 'pull_request_target' },
        { environment: undefined },
      ]) {
        const result = await run(
          runner,
          ['get', 'configmaps', '-n', 'web'],
          world.github(JSON.stringify(claims).length.toString(), claims),
        );
        expect(result.code).not.toBe(0);
        const id = /\(request ([\w-]+)\)/.exec(result.stderr)?.[1] ?? 'no request id';
        const events = (await world.audit()).filter((line) => JSON.stringify(line).includes(id));
        expect(events, result.stderr).toHaveLength(1);
        expect(JSON.stringify(events)).toContain('denied');
      }
      const branch = await world.gitlab('8', { ref_type: 'branch' });
      const denied = await kleis(world.runner, ['token', ...world.flags('gitlab', 'release-web')], branch);
      expect(said(denied)).toMatchObject({ code: 4, stdout: '', stderr: expect.stringMatching(/\(request [\w-]+\)/) });
    });

    it('a token that was exchanged once is no use to whoever finds it', async () => {
      const env = world.github('9');
      world.repeatToken(true);
      try {
        const token = () => kleis(world.runner, ['token', ...world.flags('github', 'deploy-web'), '--force'], env);
        expect(await token()).toMatchObject({ code: 0 });
        expect(said(await token())).toMatchObject({ code: 3, stdout: '' });
      } finally {
        world.repeatToken(false);
      }
    });

    it('job B on the same runner never gets the token of job A', async () => {
      const flags = world.flags('github', 'deploy-web');
      const ask = async (id: string) => (await kleis(world.runner, ['token', ...flags], world.github(id))).stdout;
      const [a, b] = [await ask('A'), await ask('B')];
      expect(a).toMatch(/^eyJ/);
      expect(b).toMatch(/^eyJ/);
      expect(a).not.toBe(b);
    });

    it('what was revoked is dead within the ten seconds that the answer said', async () => {
      expect(await dead).toBe(true);
    }, 90_000);
  });
}
