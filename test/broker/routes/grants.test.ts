import { describe, expect, it } from 'vitest';
import { routes } from '../../../shared/protocol.ts';
import { grants, startSuite } from './world.ts';

const { world, broker, admin } = await startSuite();

describe('GET /grants', () => {
  it('is for admins', async () => {
    const someone = { authorization: `Bearer ${await world.issue()}` };
    expect((await broker.call(routes.grants)).status).toBe(401);
    const { status, text } = await broker.call(routes.grants, { headers: someone });
    expect(status).toBe(403);
    expect(text).not.toContain('deploy-web');
  });

  it('has every grant, whoever it is for, and no condition of it', async () => {
    const { status, body, text } = await broker.call(routes.grants, { headers: admin });
    expect(status).toBe(200);
    expect((body.grants as { name: string }[]).map(({ name }) => name).toSorted()).toEqual(
      Object.keys(grants).toSorted(),
    );
    expect(body.grants).toContainEqual(
      expect.objectContaining({
        name: 'other',
        issuer: 'ci',
        cluster: 'prod',
        account: 'kleis-identities/deploy-web',
        access: ['deployer in web'],
      }),
    );
    expect(text).not.toContain('repository_id');
  });

  it('has what is unwise at the grant that it is about alone', async () => {
    const [deploy] = Object.values(grants);
    const open = { ...deploy, revocable: false, ttl: { default: '1h', max: '8h' } };
    await broker.reconfigure({ grants: { a: open, 'a.b': deploy } });
    const { body } = await broker.call(routes.grants, { headers: admin });
    const [first, second] = body.grants as { warnings?: { code: string }[] }[];
    expect(first?.warnings).toContainEqual(expect.objectContaining({ code: 'long-unrevocable' }));
    expect(JSON.stringify(second?.warnings ?? [])).not.toContain('long-unrevocable');
  });
});
