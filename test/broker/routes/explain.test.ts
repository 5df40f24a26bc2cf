import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run } from '../../../broker/program.ts';
import { jwt, secrets, startSuite, testDeps } from './world.ts';

const { world, broker, admin } = await startSuite();

describe('POST /explain', () => {
  const ask = async (claims: Record<string, unknown>, scope: string, headers = {}) =>
    broker.post('/explain', { subject_token: await world.issue(claims), subject_token_type: jwt, scope }, headers);

  it('shows an admin every condition, expected and seen, and mints nothing', async () => {
    const before = await world.state.names(secrets);
    const { status, body } = await ask({ environment: 'staging' }, 'deploy-web', admin);
    expect(status).toBe(200);
    expect(body).toMatchObject({ allowed: false, grant: 'deploy-web', reason: 'claims', cluster: 'prod' });
    expect(body.conditions).toContainEqual({
      claim: 'environment',
      expected: '"production"',
      seen: '"staging"',
      ok: false,
    });
    expect((await ask({}, 'nothing', admin)).body).toMatchObject({ allowed: false, reason: 'no_such_grant' });
    expect(await world.state.names(secrets)).toEqual(before);
  });

  it('tells others what the exchange itself would', async () => {
    const own = await ask({ environment: 'staging' }, 'deploy-web');
    expect([own.status, own.body.failed]).toEqual([400, [{ claim: 'environment', seen: '"staging"' }]]);
    const texts = await Promise.all(
      ['nothing', 'once', 'deploy-web'].map(async (scope) => {
        const { text, headers } = await ask({ repository_id: '7' }, scope);
        return text.replaceAll(String(headers['x-request-id']), '');
      }),
    );
    expect(new Set(texts).size).toBe(1);
  });

  it('tells whom it allows what they would get, without what is expected', async () => {
    const { body } = await ask({}, 'deploy-web');
    expect(body).toMatchObject({ allowed: true, cluster: 'prod', expires_in: 900 });
    expect(JSON.stringify(body)).not.toContain('expected');
  });

  it('has an offline sister, which says the same', async () => {
    const file = join(world.folder, 'explained');
    await writeFile(file, await world.issue({ environment: 'staging' }));
    const config = join(world.folder, 'broker-1.yaml');
    const { deps, output } = testDeps();
    const args = ['explain', '--config', config, '--grant', 'deploy-web', '--token-file', file];
    expect(await run(args, deps)).toBe(4);
    expect(output()).toMatch(/FAILED +environment +"production" +"staging"/);
    await writeFile(file, `${(await world.issue()).slice(0, -8)}AAAAAAAA`);
    const second = testDeps();
    expect(await run(args, second.deps)).toBe(3);
    const third = testDeps();
    expect(await run([...args, '--no-verify', '-o', 'json'], third.deps)).toBe(0);
    expect(JSON.parse(third.output())).toMatchObject({ allowed: true, verified: false });
  });
});
