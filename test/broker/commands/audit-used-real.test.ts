import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeUnverified } from '../../../shared/jwt.ts';
import { needs } from '../../support/needs.ts';
import { until } from '../../support/wait.ts';
import { type AppWorld, type RunningBroker, startAppWorld } from '../routes/world.ts';
import { ran } from './audit-run.ts';

describe.skipIf(!needs('kube'))('audit used, with the log of kube-apiserver 1.36', () => {
  let world: AppWorld;
  let broker: RunningBroker;
  let log = '';
  beforeAll(async () => {
    world = await startAppWorld('1.36');
    broker = await world.start();
    log = join(dirname(world.state.cluster.adminKubeconfig), 'audit.log');
  }, 120_000);
  afterAll(() => world.stop());

  const used = async (id: string, ...flags: string[]) =>
    ran(['audit', 'used', id, broker.auditFile, '--api-audit', log, ...flags]);

  it('lists what a token was used for, and nothing that others of its account did', async () => {
    const { body } = await broker.exchange(await world.issue());
    const other = (await broker.exchange(await world.issue())).body;
    for (const token of [body.access_token, body.access_token, other.access_token]) await world.state.ask(token);
    const jti = decodeUnverified(body.access_token).claims['jti'] as string;
    await until('the events', async () => (await readFile(log, 'utf8')).split(`["JTI=${jti}"]`).length > 2);
    const { code, out, err } = await used(body.lease);
    expect(code).toBe(0);
    expect(out).toContain(`${body.lease} (JTI=${jti})`);
    expect(out).toMatch(/deploy-web: kleis-identities\/deploy-web at prod, for ci acme\/web/);
    expect(out).toMatch(/^2 requests, /m);
    expect(out).toMatch(/Z +create +\S+ +201 +127\.0\.0\.1$/m);
    expect(err).not.toContain('do not have the making');
    expect(err).not.toContain('No event names a token');
    expect(err).toContain('levels seen: Metadata');
    const json = JSON.parse((await used(`JTI=${jti}`, '-o', 'json')).out);
    expect(json.requests).toHaveLength(2);
    expect(json.requests.every(({ by }: { by: string }) => by === 'token')).toBe(true);
  });

  it('says what it cannot know of a server that names no tokens', async () => {
    const { body } = await broker.exchange(await world.issue());
    await world.state.ask(body.access_token);
    const jti = decodeUnverified(body.access_token).claims['jti'] as string;
    await until('the event', async () => (await readFile(log, 'utf8')).includes(`["JTI=${jti}"]`));
    // As 1.29 writes it.
    const old = (await readFile(log, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const event = JSON.parse(line);
        delete event.user.extra;
        delete event.annotations;
        return JSON.stringify(event);
      });
    const file = join(world.folder, 'old.log');
    await writeFile(file, `${old.join('\n')}\n`);
    const { out, err } = await ran(['audit', 'used', body.lease, broker.auditFile, '--api-audit', file]);
    expect(out).toMatch(/ create .* account$/m);
    expect(err).toContain('older than 1.30');
    expect(err).toMatch(/requests? names? the account alone/);
    expect(err).toContain('do not have the making of the token');
  });
});
