import { withStage } from './scale-scene.ts';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/wait.ts';
import { connect, load, quantile } from './broker-client.ts';
import { mintFromBroker } from './broker-mints.ts';
import { type Config, costs } from './broker-scene.ts';
import { atMost, milliseconds, type Part } from './scale-part.ts';

const grants = 10_000;
const reloads = 3;
const concurrency = 4;
const warmUp = 800;
/** The last line of the configuration, in which one value changes. */
const marker = 'perSubject: 10000000';

const withMany = (config: Config) => {
  const names = Object.keys(config.grants);
  const more = Array.from({ length: grants - names.length }, (_, index) => [
    `more-${index}`,
    {
      ...config.grants[`deploy-${index % 400}`],
      where: { repository_id: String(900_000 + index), environment: 'production' },
    },
  ]);
  return { ...config, grants: { ...Object.fromEntries(more), ...config.grants } };
};

/** A changed configuration of 10 000 grants comes into force while jobs ask. */
export async function measureReload(): Promise<Part> {
  return withStage(async ({ open, undo }) => {
    const scene = await open();
    const broker = await scene.start(withMany);
    undo(() => broker.stop());
    const client = connect(broker.url);
    undo(() => client.close());
    const mint = mintFromBroker(client, scene, costs[0]!);
    await load(warmUp, 16, mint);
    const [quiet, during, inForce]: [number[], number[], number[]] = [[], [], []];
    const config = await readFile(broker.configFile, 'utf8');
    for (let round = 1; round <= reloads; round += 1) {
      quiet.push(...(await load(400, concurrency, mint)).latencies);
      const changed = config.replace(marker, `perSubject: ${10_000_000 - round}`);
      if (changed === config) throw new Error('the configuration has no such line');
      await writeFile(`${broker.configFile}.new`, changed, { mode: 0o600 });
      await rename(`${broker.configFile}.new`, broker.configFile);
      const began = performance.now();
      const told = () => broker.log().split('"msg":"new configuration"').length - 1 >= round;
      const comes = until('the new configuration is in force', async () => told(), 120_000).then(() => {
        inForce.push(performance.now() - began);
      });
      // A failed exchange ends the benchmark.
      while (!told()) during.push(...(await load(concurrency * 5, concurrency, mint)).latencies);
      await comes;
      await sleep(500);
    }
    const p50 = { quiet: quantile(quiet, 0.5), during: quantile(during, 0.5) };
    const longest = { quiet: Math.max(...quiet), during: Math.max(...during) };
    const took = quantile(inForce, 0.5);
    return {
      title: `Reload of ${grants} grants, ${reloads} times, ${concurrency} exchanges at once all the while`,
      tables: [
        [
          ['', 'quiet', 'during the reload'],
          ['exchange p50', milliseconds(p50.quiet), milliseconds(p50.during)],
          ['the longest exchange', milliseconds(longest.quiet), milliseconds(longest.during)],
          ['exchanges', String(quiet.length), String(during.length)],
          ['failed', '0', '0'],
          ['start to ready', milliseconds(broker.readyAfter), ''],
          ['changed file to in force', '', milliseconds(took)],
        ],
      ],
      notes: [],
      goals: [
        atMost('reload of 10 000 grants: p50 of exchanges meanwhile ÷ quiet', p50.during / p50.quiet, 1.5),
        atMost('reload of 10 000 grants: seconds until it is in force', took / 1000, 10),
        atMost('reload of 10 000 grants: seconds of the longest exchange', longest.during / 1000, 1),
      ],
      figures: { p50, longest, inForce: took, readyAfter: broker.readyAfter },
    };
  });
}
