import { mkdir, rename, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HealthCheck } from '../../../broker/service/health.ts';
import { watchHealth } from '../../../broker/service/health-log.ts';
import { endsSoon } from '../../../broker/service/lifetime.ts';
import { until } from '../../support/wait.ts';
import { sign } from '../issuers/fixture.ts';
import { type AppWorld, audience, request, type RunningBroker, startAppWorld } from '../routes/world.ts';

/** The lines for a health that changes from look to look. */
async function linesFor(looks: readonly (readonly HealthCheck[])[]): Promise<string[]> {
  const lines: string[] = [];
  const ending = new AbortController();
  let look = 0;
  const say = (fields: object, text?: string) => void lines.push(`${text}: ${JSON.stringify(fields)}`);
  await watchHealth({
    assess() {
      const checks = looks[look]!;
      return { ready: checks.every(({ critical }) => !critical), checks };
    },
    log: { info: say, warn: say } as never,
    clock: {
      async sleep() {
        look += 1;
        if (look === looks.length) ending.abort();
      },
    },
    facts: () => ({ grants: 1 }),
    signal: ending.signal,
  });
  return lines;
}

const good = (name: string): HealthCheck => ({ name, ok: true, critical: false });
const bad = (name: string, critical = false): HealthCheck => ({ name, ok: false, critical, message: `${name} is bad` });
const pending = (name: string): HealthCheck => ({ ...bad(name, true), pending: true });

describe('the log of health', () => {
  it('has one line when a check turns bad, in the words of /readyz, and one when it is well', async () => {
    expect(await linesFor([[good('a')], [bad('a')], [bad('a')], [good('a')], [good('a')]])).toEqual([
      'ready: {"grants":1}',
      'not well: {"check":"a","critical":false,"fault":"a is bad"}',
      'well again: {"check":"a"}',
    ]);
  });

  it('says ready only when it is, and not ready when it is not any more', async () => {
    expect(await linesFor([[pending('a')], [good('a')], [bad('a', true)], [bad('a', true)], [good('a')]])).toEqual([
      'ready: {"grants":1}',
      'not well: {"check":"a","critical":true,"fault":"a is bad"}',
      'not ready: {"checks":["a"]}',
      'well again: {"check":"a"}',
      'ready: {"grants":1}',
    ]);
    expect(await linesFor([[bad('a', true)], [bad('a', true)]])).toHaveLength(1);
  });

  it('says nothing of what nobody has looked at, nor of what is no longer there', async () => {
    expect(
      await linesFor([
        [good('b'), pending('a')],
        [good('b'), pending('a')],
      ]),
    ).toEqual([]);
    expect(await linesFor([[bad('a')], [], [good('a')]])).toHaveLength(2);
  });
});

describe('a credential', () => {
  const [hour, day] = [3_600_000, 86_400_000];
  it.each([
    ['an hour, renewed by kubelet when a fifth is left', 0, hour, 0.8 * hour, false],
    ['an hour, of which a twentieth is left', 0, hour, 0.95 * hour, true],
    ['a year, of which a month is left', 0, 365 * day, 335 * day, false],
    ['a year, of which ten days are left', 0, 365 * day, 355 * day, true],
    ['nobody knows how long', undefined, 10 * day, 8 * day, false],
    ['a time that is over', 0, hour, 2 * hour, true],
  ])('for %s ends soon or not', (_, from, end, now, expected) => {
    expect(endsSoon({ from, until: end }, now)).toBe(expected);
  });
});

describe('a broker', () => {
  let world: AppWorld;
  beforeAll(async () => {
    world = await startAppWorld();
  });
  afterAll(() => world.stop());

  const line = async (broker: RunningBroker, msg: string, check: string) =>
    until(`${msg} ${check}`, () => broker.lines().find((one) => one['msg'] === msg && one['check'] === check));

  it('tells of an audit that cannot be written, and when it is well, as /readyz does', async () => {
    const broker = await world.start();
    await until('it is ready', () => broker.lines().some(({ msg }) => msg === 'ready'));
    await rename(broker.auditFile, `${broker.auditFile}.1`);
    await mkdir(broker.auditFile);
    await until('it is noticed', async () => (await broker.exchange(await world.issue())).status === 503);
    const told = await line(broker, 'not well', 'audit');
    const headers = await world.admin();
    const { body } = await broker.call('/readyz', { headers });
    const check = body.checks.find(({ name }: HealthCheck) => name === 'audit');
    expect(told).toMatchObject({ level: 'warn', critical: true, fault: check.message });
    await until('not ready', () => broker.lines().find(({ msg }) => msg === 'not ready'));
    await rmdir(broker.auditFile);
    await until('it is there again', async () => (await broker.exchange(await world.issue())).status === 200);
    await line(broker, 'well again', 'audit');
  });

  it('tells of an issuer that is dead, and of a credential that is about to end', async () => {
    const now = Date.now();
    const tokenFile = join(world.folder, 'ending');
    const claims = { iat: Math.floor(now / 1000) - 3600, exp: Math.floor(now / 1000) + 60 };
    await writeFile(tokenFile, await sign({ url: audience }, claims, { key: world.key, now }));
    const { server, caFile: certificateAuthority } = world.state.cluster;
    const broker = await world.start({
      state: { memory: true },
      issuers: { ...(world.document()['issuers'] as object), gone: { url: 'https://127.0.0.1:1', audience } },
      clusters: { prod: { server, certificateAuthority, credentials: { tokenFile } } },
      metrics: { listen: '127.0.0.1:0' },
    });
    expect(await line(broker, 'not well', 'issuer gone')).toMatchObject({ level: 'warn', critical: false });
    const told = await line(broker, 'not well', 'credential for cluster prod');
    expect(told['fault']).toContain(new Date(claims.exp * 1000).toISOString());
    const { text } = await request(`${broker.operations}/metrics`);
    expect(text).toContain(`kleis_broker_cluster_credential_expires_timestamp_seconds{cluster="prod"} ${claims.exp}`);
  });
});
