import type { Broker } from '../broker.ts';
import { makeHome, type Home } from '../home.ts';
import type { House } from '../house.ts';

/** The manifest that every checkout of the repository holds. */
export const manifest = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'release' },
  data: { version: '42' },
};

/** The broker, and three jobs that run with the same files: one that may, and two that a fork has a hand in. */
export interface JobStage {
  readonly broker: Broker;
  readonly deployment: Home;
  /** In the fork's own repository. */
  readonly fork: Home;
  /** In the repository itself, for a pull request of the fork. */
  readonly pullRequest: Home;
}

export async function setJobStage(house: House): Promise<JobStage> {
  const broker = await house.broker();
  const [deployment, fork, pullRequest] = await Promise.all([
    makeRunner(house, broker, 'deployment'),
    makeRunner(house, broker, 'fork', {
      sub: 'repo:mallory/web:environment:production',
      repository: 'mallory/web',
      repository_id: '990001',
      repository_owner_id: '666',
    }),
    makeRunner(house, broker, 'pull-request', { event_name: 'pull_request_target' }),
  ]);
  return { broker, deployment, fork, pullRequest };
}

/** The runner of one job, with a checkout of the repository. */
export function makeRunner(
  house: House,
  { github }: Broker,
  name: string,
  claims: Readonly<Record<string, unknown>> = {},
): Promise<Home> {
  return makeHome(house, name, {
    files: { 'deploy.json': JSON.stringify(manifest) },
    env: { CI: 'true', ...github.job(name, claims) },
  });
}
