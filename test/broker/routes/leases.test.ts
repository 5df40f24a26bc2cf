import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { run } from '../../../broker/program.ts';
import { startSuite, testDeps } from './world.ts';

const { world, broker, admin } = await startSuite();

describe('leases', () => {
  it('are for admins', async () => {
    const someone = { authorization: `Bearer ${await world.issue()}` };
    for (const [method, path] of [
      ['GET', '/leases'],
      ['DELETE', '/leases/x'],
    ] as const) {
      expect((await broker.call(path, { method })).status).toBe(401);
      expect((await broker.call(path, { method, headers: { authorization: 'Basic eDp5' } })).status).toBe(401);
      expect((await broker.call(path, { method, headers: { authorization: 'Bearer x.y.z' } })).status).toBe(401);
      expect((await broker.call(path, { method, headers: someone })).status).toBe(403);
    }
    const { headers } = await broker.call('/leases');
    expect(headers['www-authenticate']).toMatch(/^Bearer/);
  });

  it('are listed page by page, and ended by id', async () => {
    const { body } = await broker.exchange(await world.issue({ sub: 'to-be-ended' }));
    const seen = [];
    let next = '';
    do {
      const page = await broker.call(`/leases?limit=2&grant=deploy-web&continue=${encodeURIComponent(next)}`, {
        headers: admin,
      });
      expect(page.status).toBe(200);
      seen.push(...page.body.leases);
      next = page.body.continue ?? '';
    } while (next !== '');
    const own = seen.find(({ id }) => id === body.lease);
    expect(own).toMatchObject({ grant: 'deploy-web', cluster: 'prod', state: 'active', holder: 'ci to-be-ended' });
    const ended = await broker.call(`/leases/${body.lease}`, { method: 'DELETE', headers: admin });
    expect(ended.body).toEqual({ revoked: true, dead_within: 10, lease: body.lease });
    expect(await world.state.ask(body.access_token)).toBe(401);
    const unknown = await broker.call('/leases/nothing-here', { method: 'DELETE', headers: admin });
    expect([unknown.status, unknown.body.code]).toEqual([404, 'lease_unknown']);
  });

  it.each([
    'limit=0',
    'limit=1e9',
    'limit=x',
    'grant=a,b',
    'continue=nonsense',
    'limit=1&limit=2',
    'state=dead',
    `subject=${'x'.repeat(2049)}`,
  ])('with %s are a bad request', async (query) => {
    expect((await broker.call(`/leases?${query}`, { headers: admin })).status).toBe(400);
  });

  it('are filtered by state and subject, which is whole or ends before a colon; the audit says whose were asked for', async () => {
    const { body } = await broker.exchange(await world.issue({ sub: 'repo:acme/web:ref:refs/heads/main' }));
    const idsOf = async (query: string) => {
      const page = await broker.call(`/leases?limit=500&${query}`, { headers: admin });
      return (page.body.leases as { id: string }[]).map(({ id }) => id);
    };
    for (const subject of ['repo:acme/web', 'repo:acme/web:ref:refs/heads/main', 'repo']) {
      expect(await idsOf(`subject=${encodeURIComponent(subject)}`)).toEqual([body.lease]);
    }
    for (const subject of ['repo:acme/we', 'acme/web', 'repo:acme/web:', 'ci repo:acme/web', 'ci']) {
      expect(await idsOf(`subject=${encodeURIComponent(subject)}`)).not.toContain(body.lease);
    }
    expect(await idsOf('state=active')).toContain(body.lease);
    expect(await idsOf('state=revoked')).not.toContain(body.lease);
    expect(await broker.audit()).toContainEqual(
      expect.objectContaining({ event: 'leases', subject: 'boss', detail: 'of the subject repo:acme/web' }),
    );
  });

  it('a subject that is longer than what a lease keeps of it is found', async () => {
    const sub = `repo:acme/${'x'.repeat(200)}:ref:refs/heads/main`;
    const { body } = await broker.exchange(await world.issue({ sub }));
    const { text } = await broker.call(`/leases?limit=500&subject=${encodeURIComponent(sub)}`, { headers: admin });
    expect(text).toContain(body.lease);
  });

  it('are listed and ended by `kleis-broker leases` and `revoke`', async () => {
    const { body } = await broker.exchange(await world.issue());
    const tokenFile = join(world.folder, 'admin-token');
    await writeFile(tokenFile, `${admin['authorization']!.slice(7)}\n`);
    const command = async (...args: string[]) => {
      const { deps, output } = testDeps();
      const code = await run([...args, '--broker', broker.url, '--token-file', tokenFile], deps);
      return { code, text: output() };
    };
    expect((await command('leases', '--grant', 'deploy-web')).text).toContain(body.lease);
    const ended = await command('revoke', body.lease, '-o', 'json');
    expect(ended.code).toBe(0);
    expect(JSON.parse(ended.text).results).toEqual([
      { id: body.lease, revoked: true, dead_within: 10, lease: body.lease },
    ]);
    expect(await command('revoke')).toMatchObject({ code: 2 });
    expect(await command('revoke', 'nothing-here')).toMatchObject({
      code: 2,
      text: expect.stringContaining('no such'),
    });
    expect((await command('revoke', '--grant', 'deploy-web')).code).toBe(0);
    expect((await command('leases', '--grant', 'deploy-web', '-o', 'json')).text).not.toContain('"active"');
  });
});
