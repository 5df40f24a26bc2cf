import type { Server } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { DoctorFinding } from '../../cli/doctor/finding.ts';
import type { Cluster } from '../support/cluster.ts';
import type { Person } from '../support/kleis.ts';
import { needs } from '../support/needs.ts';
import type { RunOptions, RunResult } from '../support/run.ts';
import type { StandInCluster } from '../support/stand-in/cluster.ts';
import { createWorld, type World } from './world.ts';

// Set-ups that are broken in one way each: `kleis doctor` names that way. Real API servers where they judge a token.

const real = needs('kube');

let world: World;
let standIn: StandInCluster;
let cluster: Cluster;
const servers: Server[] = [];

const other = {
  client_id: 'other',
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'],
  token_endpoint_auth_method: 'none',
};

beforeAll(async () => {
  world = await createWorld({
    clients: [other],
    accounts: { nobody: { groups: ['strangers'] }, ungrouped: { groups: undefined } },
  });
  standIn = (await world.startCluster('stand-in')) as StandInCluster;
  cluster = real === undefined ? standIn : await world.startCluster('1.36');
});
afterEach(async () => {
  delete world.provider.quirks.before;
  delete world.provider.quirks.discovery;
  delete world.provider.quirks.token;
  standIn.standIn.clockOffset = 0;
  for (const server of servers.splice(0)) server.close();
  await world.removePeople();
});
afterAll(() => world?.end());

const trust = (person: Person) => ['--certificate-authority', person.providerCaFile];

interface Seen {
  readonly code: number;
  readonly findings: readonly DoctorFinding[];
  readonly stdout: string;
  readonly stderr: string;
  /** The first of its kind. */
  of(about: string, severity?: DoctorFinding['severity']): DoctorFinding | undefined;
}

async function examine(
  person: Person,
  args: readonly string[] = [],
  options: Partial<RunOptions> = {},
  program: readonly [string, ...string[]] = ['kleis'],
): Promise<Seen> {
  const [file, ...before] = program;
  const run: RunResult = await person.run(file, [...before, 'doctor', '-o', 'json', ...args], {
    timeout: 60_000,
    ...options,
  });
  const { code, stdout, stderr } = run;
  const { findings, exitCode } = JSON.parse(stdout || '{}') as { findings: DoctorFinding[]; exitCode: number };
  expect({ code, stderr }).toEqual({ code: exitCode, stderr });
  return {
    code,
    stdout,
    stderr,
    findings,
    of: (about, severity) =>
      findings.find((each) => each.about === about && each.severity === (severity ?? each.severity)),
  };
}

/** What is broken: the first failure, which is the cause. */
const cause = ({ findings }: Seen) => findings.find(({ severity }) => severity === 'error');

async function signedIn(person: Person, at: Cluster, flags: readonly string[]): Promise<void> {
  await person.addContext('prod', at, [...flags, ...trust(person)]);
  const { code, stderr } = await person.run('kleis', ['login', '--context', 'prod'], { timeout: 60_000 });
  expect({ code, stderr }).toEqual({ code: 0, stderr });
}

describe('a set-up that is as it should be', () => {
  it.skipIf(real === undefined)('has no failure: from the programs to what I may do', async () => {
    const person = await world.person();
    await signedIn(person, cluster, world.flags);
    const seen = await examine(person, [
      '--oidc-issuer-url',
      world.provider.issuer,
      '--oidc-client-id',
      'kleis',
      '--oidc-username-claim',
      'email',
      '--oidc-groups-claim',
      'groups',
    ]);
    expect(cause(seen)).toBeUndefined();
    expect(seen.code).toBe(0);
    expect(seen.of('identity')).toMatchObject({
      severity: 'ok',
      what: expect.stringContaining('oidc:alice@example.com'),
    });
    expect(seen.of('rights')).toMatchObject({ severity: 'ok', what: expect.stringMatching(/pods/) });
    expect(seen.of('expected')).toMatchObject({ severity: 'ok' });
  });
});
