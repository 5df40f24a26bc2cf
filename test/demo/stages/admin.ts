import { DemoFailure } from '../commands.ts';
import type { Broker } from '../broker.ts';
import type { Home } from '../home.ts';
import type { House } from '../house.ts';
import { makeRunner } from './job.ts';

/** The broker, and jobs that hold tokens of it. */
export interface AdminStage {
  readonly broker: Broker;
  /** The job whose token is not where it belongs. */
  readonly leaky: Home;
  /** In the home of that job, as `kleis token -o kubeconfig` writes it. */
  readonly leaked: string;
  /** Its lease. */
  readonly lease: string;
}

const leaked = 'artifact.kubeconfig';

export async function setAdminStage(house: House): Promise<AdminStage> {
  const broker = await house.broker();
  const [leaky] = await Promise.all(
    ['hotfix', 'nightly', 'release'].map(async (name) => {
      const job = await makeRunner(house, broker, name, { sub: `repo:acme/web:${name}` });
      await run(job, `kleis kubeconfig add --from ${broker.url} --grant deploy-web`);
      await run(job, 'kleis token >token');
      return job;
    }),
  );
  if (leaky === undefined) throw new DemoFailure('there is no job');
  await run(leaky, `kleis token -o kubeconfig >${leaked}`);
  const { lease } = JSON.parse(await run(leaky, 'kleis token -o json')) as { lease: string };
  return { broker, leaky, leaked, lease };
}

async function run({ commands }: Home, line: string): Promise<string> {
  const { code, stdout, stderr } = await commands.run(['sh', '-c', line]);
  if (code !== 0) throw new DemoFailure(`${line}: ${stderr}`);
  return stdout;
}
