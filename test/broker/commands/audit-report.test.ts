import { describe, expect, it } from 'vitest';
import { startSuite } from '../routes/world.ts';
import { ran } from './audit-run.ts';

const { world, broker, admin } = await startSuite();
const month = new Date().toISOString().slice(0, 7);
const report = async (...flags: string[]) => ran(['audit', 'report', broker.auditFile, ...flags]);

describe('audit report', () => {
  it('counts who got what, was denied, and lost it again', async () => {
    const first = (await broker.exchange(await world.issue())).body;
    await broker.exchange(await world.issue());
    await broker.exchange(await world.issue({ sub: 'acme/fork', repository_id: '9' }));
    // Twice: what is dead does not die again.
    for (let times = 0; times < 2; times += 1) {
      await broker.call(`/leases/${first.lease}`, { method: 'DELETE', headers: admin });
    }
    const { rows } = JSON.parse((await report('--month', month, '-o', 'json')).out);
    const usual = { issuer: 'ci', grant: 'deploy-web', cluster: 'prod', failed: 0, withdrawn: 0 };
    expect(rows).toMatchObject([
      { ...usual, subject: 'acme/fork', exchanges: 0, denied: 1, revoked: 0 },
      { ...usual, subject: 'acme/web', exchanges: 2, denied: 0, revoked: 1 },
    ]);
    const { out } = await report('-o', 'csv', '--by', 'repository_id');
    const lines = out.split('\r\n');
    expect(lines[0]).toBe('issuer,subject,grant,cluster,exchanges,denied,failed,withdrawn,revoked,first,last');
    expect(lines[1]).toMatch(/^ci,1,deploy-web,prod,2,0,0,0,1,/);
    expect(lines[2]).toMatch(/^ci,9,deploy-web,prod,0,1,0,0,0,/);
  });

  it('counts nothing of other months, and says what the files have', async () => {
    const { out, err, code } = await report('--month', '2020-01', '-o', 'json');
    expect(JSON.parse(out).rows).toEqual([]);
    expect(err).toMatch(/The files have lines from \S+Z to \S+Z, not verified/);
    expect(code).toBe(0);
  });

  it.each([
    ['--month', '2026-13'],
    ['--month', 'november'],
    ['--month', '2026-11', '--since', '1h'],
  ])('refuses %s %s', async (...flags) => expect((await report(...flags)).code).toBe(2));

  it('fits a terminal of 80 columns', async () => {
    const { out } = await ran(['audit', 'report', broker.auditFile], { columns: 80 });
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(out).toMatch(/^WHO /);
  });
});
