import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { check, createTypist, describeCluster, toSteps, type Act, type Typist } from '../act.ts';
import type { Home } from '../home.ts';
import { setJobStage, type JobStage } from '../stages/job.ts';

interface Scene {
  readonly stage: JobStage;
  /** Ada, who runs the broker. */
  readonly ada: Typist;
  readonly deployment: Typist;
  readonly fork: Typist;
  readonly pullRequest: Typist;
}

type Play = (scene: Scene) => Promise<void>;

const grant: Play = async ({ stage, ada }) => {
  const { screen } = ada;
  screen.aside(`kleis-broker serve answers at ${stage.broker.url}; this is all that it grants to jobs:`);
  const { stdout } = await ada.run("sed -n '/^grants/,/access/p' broker.yaml");
  check(stdout.includes('deploy-web'), 'broker.yaml does not hold the grant');
  screen.meaning(
    'It trusts the tokens that GitHub gives its jobs. There is no secret of the repository that it could lose, ' +
      'and none in the repository.',
  );
};

const apply: Play = async ({ stage, deployment }) => {
  const { screen, client, kleis } = deployment;
  await kleis(['kubeconfig', 'add', '--from', stage.broker.url, '--grant', 'deploy-web']);
  const { code, stdout } = await client.apply('deploy.json', 'web');
  check(code === 0 && stdout.includes('configmap/release created'), 'the job could not deploy to the namespace web');
  const elsewhere = await client.apply('deploy.json', 'shop');
  check(elsewhere.code !== 0, 'the job could deploy to the namespace shop');
  check(/forbidden/i.test(elsewhere.stderr), 'the API server did not forbid it');
  screen.meaning(
    'The job holds a token of a service account, for 15 minutes. It is for this job alone, and it can do what the grant ' +
      'says and no more.',
  );
};

const denyFork: Play = async ({ ada, deployment, fork }) => {
  const { screen, home, kleis } = fork;
  screen.aside('a fork has every file of the repository, and its jobs get tokens, too');
  await copyKubeconfig(deployment.home, home);
  const { stdout, stderr } = await kleis(['token', '--context', 'prod'], { code: 4 });
  check(stdout === '' && !stderr.includes('repository_id'), 'the fork was told what the grant looks at');
  const [, request = ''] = /\(request ([\w-]+)\)/.exec(stderr) ?? [];
  const found = await ada.run(`kleis-broker audit who ${request} audit.jsonl | sed /^why/q`);
  check(/repository_id is "990001"/.test(found.stdout), 'the audit does not say which claim failed');
  screen.meaning(
    'The fork learns nothing, not even that there is such a grant. Who runs the broker finds under that id which ' +
      'claim failed: the id of the repository, which no fork can choose.',
  );
};

const denyPullRequest: Play = async ({ stage, deployment, pullRequest }) => {
  const { screen, home, kleis } = pullRequest;
  screen.aside("a pull request of the fork, run as pull_request_target: with the repository's own identity");
  await copyKubeconfig(deployment.home, home);
  await kleis(['token', '--context', 'prod'], { code: 4 });
  const { stdout } = await kleis(['explain', '--broker', stage.broker.url, '--grant', 'deploy-web'], { code: 4 });
  check(
    /FAILED +event_name +"pull_request_target"/.test(stdout),
    '`kleis explain` does not name the claim that failed',
  );
  screen.meaning('A job of the repository itself may know which of its own claims does not fit, and what to change.');
};

const giveBack: Play = async ({ deployment }) => {
  const { screen, kleis } = deployment;
  const { stdout } = await kleis(['revoke']);
  check(/dead (now|within)/.test(stdout), '`kleis revoke` did not end the token');
  screen.meaning('The last command of a job. What it got is worth nothing to whoever reads its files or logs later.');
};

export const job: Act = {
  title: 'a job deploys',
  starts: 'a broker',
  async prepare({ house }) {
    const { screen } = house;
    const stage = await setJobStage(house);
    const { broker } = stage;
    screen.fact('GitHub', `${new URL(broker.github.url).origin} (a stand-in that gives jobs their tokens)`);
    screen.fact('broker', `${broker.url} (kleis-broker serve, a process of its own)`);
    screen.fact('API server', `${broker.cluster.server} (${describeCluster(broker.cluster)})`);
    const [ada, deployment, fork, pullRequest] = await Promise.all([
      createTypist(house, broker.home),
      createTypist(house, stage.deployment),
      createTypist(house, stage.fork),
      createTypist(house, stage.pullRequest),
    ]);
    return toSteps({ stage, ada, deployment, fork, pullRequest }, [
      ['A grant: whose jobs get what', grant],
      ['A job gets what its grant gives, and nothing else', apply, 'pictured'],
      ['A fork with the same files gets nothing', denyFork, 'pictured'],
      ['A pull request that borrows the identity gets nothing either', denyPullRequest],
      ['The job ends, and its token with it', giveBack],
    ]);
  },
};

/** It holds no secret, so it lies in the repository. */
async function copyKubeconfig(from: Home, to: Home): Promise<void> {
  await mkdir(join(to.folder, '.kube'));
  await copyFile(join(from.folder, '.kube/config'), join(to.folder, '.kube/config'));
}
