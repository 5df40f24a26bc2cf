import { createServer, type AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AppWorld, request, type RunningBroker, startAppWorld } from '../broker/routes/world.ts';
import { alerts } from '../house/monitoring/alerts.ts';
import { dashboardQueries } from '../house/monitoring/dashboard.ts';
import { monitoringFolder } from '../house/monitoring/files.ts';
import { needs } from '../support/needs.ts';
import { type Running, start } from '../support/run.ts';
import { until } from '../support/wait.ts';

const program = needs('prometheus');
const trace = '0af7651916cd43dd8448eb211c80319c';

describe.skipIf(program === undefined)('a Prometheus that watches a broker', () => {
  let world: AppWorld;
  let broker: RunningBroker;
  let prometheus: Running;
  let url: string;

  beforeAll(async () => {
    world = await startAppWorld();
    broker = await world.start({ metrics: { listen: '127.0.0.1:0' } });
    const config = join(world.folder, 'prometheus.yaml');
    const document = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [resolve(monitoringFolder, 'rules.yaml')],
      scrape_configs: [{ job_name: 'kleis-broker', static_configs: [{ targets: [new URL(broker.operations!).host] }] }],
    };
    await writeFile(config, stringify(document));
    const listen = `127.0.0.1:${await freePort()}`;
    url = `http://${listen}`;
    const flags = [`--config.file=${config}`, `--storage.tsdb.path=${join(world.folder, 'tsdb')}`];
    const more = [`--web.listen-address=${listen}`, '--enable-feature=exemplar-storage', '--log.level=warn'];
    prometheus = start(program!, [...flags, ...more], { env: {}, cwd: world.folder, timeout: 120_000 });
    await until('it is ready', async () =>
      request(`${url}/-/ready`).then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
  });
  afterAll(async () => {
    prometheus?.kill();
    await prometheus?.done;
    await world?.stop();
  });

  const api = async (path: string, params: Readonly<Record<string, string>> = {}) =>
    (await request(`${url}/api/v1/${path}?${new URLSearchParams(params).toString()}`)).body;
  const query = async (expr: string) => (await api('query', { query: expr })).data.result;

  it('reads all that it says, with an exemplar that leads from a token to its trace', async () => {
    await until('a token', async () => {
      const headers = { traceparent: `00-${trace}-b7ad6b7169203331-01` };
      return (await broker.exchange(await world.issue(), {}, headers)).status === 200;
    });
    await until('it was counted', async () => {
      const [found] = await query('kleis_broker_exchanges_total{outcome="allowed",grant="deploy-web"}');
      return found !== undefined;
    });
    const { activeTargets } = (await api('targets')).data;
    expect(activeTargets).toEqual([expect.objectContaining({ health: 'up', lastError: '' })]);
    const range = { start: String(Date.now() / 1000 - 600), end: String(Date.now() / 1000 + 600) };
    const exemplars = await until('the exemplar', async () => {
      const { data } = await api('query_exemplars', {
        query: 'kleis_broker_exchange_duration_seconds_bucket',
        ...range,
      });
      return data.length > 0 ? data : undefined;
    });
    expect(JSON.stringify(exemplars)).toContain(`"trace_id":"${trace}"`);
  });

  it('evaluates every rule, and every query of the dashboard', async () => {
    const rules = await until('all were evaluated', async () => {
      const { groups } = (await api('rules')).data;
      const all = groups.flatMap((group: { rules: readonly Rule[] }) => group.rules) as readonly Rule[];
      return all.every(({ health }) => health !== 'unknown') ? all : undefined;
    });
    expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
    expect(rules.filter(({ type }) => type === 'alerting')).toHaveLength(alerts.length);
    for (const { expr } of dashboardQueries) {
      const asked = expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', '.+');
      expect((await api('query', { query: asked })).status, asked).toBe('success');
    }
  });
});

interface Rule {
  readonly type: string;
  readonly health: string;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => {
    server.close(done);
  });
  return port;
}
