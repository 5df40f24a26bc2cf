import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../../broker/program.ts';
import type { Finding } from '../../../shared/findings.ts';
import { until } from '../../support/wait.ts';
import { type AppWorld, startAppWorld, testDeps } from '../routes/world.ts';

let world: AppWorld;
beforeAll(async () => void (world = await startAppWorld()));
afterAll(() => world.stop());

const inPod = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1' };
let count = 0;

async function write(parts: Record<string, unknown>): Promise<string> {
  const file = join(world.folder, `own-${(count += 1)}.yaml`);
  await writeFile(file, stringify(world.document(parts), { aliasDuplicateObjects: false }));
  return file;
}

async function check(
  parts: Record<string, unknown>,
  env: Record<string, string> = {},
  ...more: readonly string[]
): Promise<{ code: number; findings: readonly Finding[] }> {
  const { deps, output } = testDeps(env);
  const code = await run(['check', '--config', await write(parts), '--online', '-o', 'json', ...more], deps);
  const { findings } = JSON.parse(output()) as { findings: Finding[] };
  return { code, findings: findings.filter(({ about }) => about === 'clusters.prod') };
}

const pod = { clusters: { prod: { credentials: { inCluster: true } } } };

describe('what a broker finds of its cluster', () => {
  it('is told by `check --online`, where the policy is missing: as a warning where it may be', async () => {
    const { code, findings } = await check({});
    expect(code).toBe(0);
    expect(findings).toMatchObject([{ severity: 'warning', code: 'cluster-unusable' }]);
    expect(findings[0]!.what).toMatch(/is not in force: apply what that prints\. Kubernetes before 1\.30 has no such/);
    const demanded = await check({ admissionPolicy: 'required' });
    expect([demanded.code, demanded.findings[0]?.severity]).toEqual([6, 'error']);
  });

  it('a token that is not projected is found in a pod, and not looked for elsewhere', async () => {
    const { code, findings } = await check(pod, inPod, '--no-files');
    expect(code).toBe(6);
    expect(findings).toMatchObject([{ severity: 'error', code: 'cluster-unusable' }]);
    expect(findings[0]!.what).toMatch(
      /serviceaccount\/(token|ca\.crt) cannot be read: it does not exist\. The kubelet/,
    );
    const offline = await check(pod, inPod);
    expect(offline.findings.map((found) => found.code)).toEqual(['file-missing', 'cluster-unusable']);
    expect(await check(pod)).toEqual({ code: 0, findings: [] });
  });

  it('an API server that does not answer, and one that is not there, are told within seconds, with what may be', async () => {
    const sockets = new Set<Socket>();
    // As a packet filter that drops: nothing ever comes back.
    const hole = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => {
      hole.listen(0, '127.0.0.1', resolve);
    });
    const tokenFile = join(world.folder, 'any-token');
    await writeFile(tokenFile, 'x', { mode: 0o600 });
    const at = (port: number) => ({
      clusters: { prod: { server: `https://127.0.0.1:${port}`, credentials: { tokenFile } } },
    });
    const began = performance.now();
    const [silent, closed] = await Promise.all([check(at((hole.address() as AddressInfo).port)), check(at(1))]);
    expect(performance.now() - began).toBeLessThan(20_000);
    for (const socket of sockets) socket.destroy();
    hole.close();
    expect(silent.findings[0]!.what).toMatch(/did not answer in time\. Check the address, and whether a NetworkPolicy/);
    expect(closed.findings[0]!.what).toMatch(
      /the connection was refused\. Check the address, and whether a NetworkPolicy/,
    );
  });

  it('`serve` in a pod without a token listens, is not ready, and says why', async () => {
    const { deps, output, end } = testDeps(inPod);
    const ended = run(['serve', '--config', await write({ ...pod, audit: { file: '-' } })], deps);
    const line = await until('the log says why', () =>
      output()
        .split('\n')
        .find((each) => each.includes('"not well"') && each.includes('cluster prod')),
    );
    expect(line).toMatch(
      /serviceaccount\/(token|ca\.crt) cannot be read: it does not exist\. The kubelet puts it there/,
    );
    expect(output()).not.toContain('"msg":"ready"');
    end();
    expect(await ended).toBe(0);
  });
});
