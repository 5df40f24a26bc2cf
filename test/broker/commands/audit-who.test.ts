import { createHash, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decodeUnverified } from '../../../shared/jwt.ts';
import { startSuite } from '../routes/world.ts';
import { ran } from './audit-run.ts';

const { world, broker, admin } = await startSuite();

const who = async (id: string, ...flags: string[]) => ran(['audit', 'who', id, broker.auditFile, ...flags]);
const idOf = (token: string) => decodeUnverified(token).claims['jti'] as string;

describe('audit who', () => {
  it('names the job of a token by its JTI, its lease, the JTI and the hash of the subject token, and the request', async () => {
    const jti = randomUUID();
    const subject = await world.issue({ jti });
    const { body, headers } = await broker.exchange(subject);
    const sha = createHash('sha256').update(subject).digest('hex');
    for (const id of [
      idOf(body.access_token),
      `JTI=${idOf(body.access_token)}`,
      body.lease,
      jti,
      sha,
      String(headers['x-request-id']),
    ]) {
      const { code, out, err } = await who(id);
      expect([code, err]).toEqual([0, '']);
      expect(out).toMatch(/^who +ci acme\/web$/m);
      expect(out).toMatch(/^claims .*environment=production/m);
      expect(out).toContain(`JTI          ${idOf(body.access_token)}`);
      expect(out).toMatch(/^address +127\.0\.0\.1$/m);
      expect(out).toMatch(/^policy +[0-9a-f]{64}$/m);
    }
  });

  it('tells what came of it later, and nothing of others', async () => {
    const { body } = await broker.exchange(await world.issue());
    const other = (await broker.exchange(await world.issue())).body;
    await broker.call(`/leases/${body.lease}`, { method: 'DELETE', headers: admin });
    const { out } = await who(idOf(body.access_token));
    expect(out).toMatch(/ revoke {2}done {2}by ci boss; revoked/);
    expect(out).not.toContain(other.lease);
    const { lines } = JSON.parse((await who(body.lease, '-o', 'json')).out);
    expect(lines.map(({ event }: { event: string }) => event)).toEqual(['exchange', 'revoke']);
  });

  it('names who was denied, and why', async () => {
    const jti = randomUUID();
    await broker.exchange(await world.issue({ jti, repository_id: '9' }));
    const { out } = await who(jti);
    expect(out).toMatch(/^what +exchange denied$/m);
    expect(out).toMatch(/^why +claims of the token do not fit; repository_id is "9"/m);
  });

  it('says where to look when no line names it', async () => {
    const { code, out, err } = await who('r00000000');
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(/No line of these files names r00000000\. They have \d+ lines, from \S+Z to \S+Z/);
    expect(err).toContain('rotated files');
  });
});
