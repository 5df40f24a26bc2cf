import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../support/wait.ts';
import { stringify } from 'yaml';
import { type Answer, exchangeForm, request } from '../broker/routes/world.ts';
import { baseDocument } from '../broker/policy/fixture.ts';
import { apply, type Confined, startConfined } from '../broker/rbac/cluster.ts';
import { everyGrant } from '../broker/rbac/fixture.ts';
import { makeKey, sign, startIssuer } from '../broker/issuers/fixture.ts';
import { built } from '../support/built.ts';
import { createAuthority } from '../support/certificates.ts';
import type { ClusterOptions } from '../support/cluster.ts';
import { run, type Running, type RunResult, start } from '../support/run.ts';

type Json = Readonly<Record<string, unknown>>;

/** A `kleis-broker serve` of its own. */
export interface Replica {
  readonly url: string;
  readonly process: Running;
  readonly config: string;
  readonly auditFile: string;
  /** `POST /token`; rejects when the answer does not come to its end. */
  exchange(token: string, grant: string, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  revoke(token: string): Promise<Answer>;
  audit(): Promise<readonly Json[]>;
  /** Puts these grants in force. */
  useGrants(grants: Json): Promise<void>;
  /** Resolves to the exit code. */
  end(signal: NodeJS.Signals): Promise<number>;
}

export interface ReplicaOptions {
  readonly ahead?: number;
  /** Another broker than the built one. */
  readonly program?: string;
  /** Of the configuration, in place of what it has there. */
  readonly settings?: Json;
  /** What is run in place of Node with the built broker. */
  readonly executable?: string;
  /** Starts it with these arguments, elsewhere than as a program of this machine; it has to see `folder`. */
  readonly start?: (args: readonly string[]) => Promise<Running>;
}

/** A cluster with what `kleis-broker rbac` prints and nothing else, an issuer of single-use tokens, and any number of replicas. */
export interface BrokerWorld extends Confined {
  readonly folder: string;
  /** Vouches for the replicas, PEM and in a file. */
  readonly authority: { readonly pem: string; readonly file: string };
  /** A subject token of its own that every grant is for. */
  issue(claims?: Json): Promise<string>;
  /** A file with a token of an admin. */
  adminToken(): Promise<string>;
  /** Starts one and waits until it is ready; `ahead` makes its clock that many milliseconds fast, and it sweeps at once. */
  replica(name: string, options?: ReplicaOptions): Promise<Replica>;
  /** Audit files of all replicas so far. */
  readonly auditFiles: readonly string[];
  kleisBroker(...args: string[]): Promise<RunResult>;
  /** `kubectl apply`, as cluster-admin. */
  applyAgain(yaml: string): Promise<RunResult>;
  /** HTTP status with which the API server answers the bearer of the token: 201 or 401. */
  ask(token: string): Promise<number>;
  /** What a namespace has of a resource (`/api/v1/namespaces/web/secrets`). */
  list(path: string): Promise<readonly KubeItem[]>;
}

export interface KubeItem {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

const audience = 'https://kleis.example.com';

export async function startBrokerWorld(kind: ClusterOptions['kind']): Promise<BrokerWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'kleis-broker-'));
  const authority = await createAuthority();
  const tls = await authority.issueServer(['127.0.0.1']);
  const key = await makeKey('k1');
  const issuer = await startIssuer([key], { tls });
  const replicas: Replica[] = [];
  const release = async () => {
    await issuer.stop();
    await rm(folder, { recursive: true, force: true });
  };
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  let confined: Confined;
  try {
    confined = await startConfined(kind, false);
  } catch (error) {
    await release();
    throw error;
  }
  const { dist } = await built();
  const program = join(dist, 'kleis-broker.js');
  const env = { PATH: '/usr/bin:/bin', HOME: folder };
  const ca = await file('ca.crt', authority.cert);
  const [certFile, keyFile] = [await file('tls.crt', tls.cert), await file('tls.key', tls.key)];
  const tokenFile = await file('broker-token', confined.brokerToken);
  const jwks = await file('sso.json', JSON.stringify({ keys: [key.jwk] }));
  const fast = await file('fast.mjs', fastClock);

  const document = (auditFile: string, grants: Json, settings: Json = {}) =>
    stringify(
      baseDocument({
        publicUrl: audience,
        listen: { address: '127.0.0.1:0', tls: { certFile, keyFile } },
        audit: { file: auditFile },
        issuers: {
          github: { url: issuer.url, audience, certificateAuthority: ca, singleUse: true },
          sso: { url: ssoUrl, audience, jwks },
        },
        admins: [{ issuer: 'sso', claim: 'groups', value: 'platform' }],
        clusters: {
          prod: {
            server: confined.cluster.server,
            certificateAuthority: confined.cluster.caFile,
            audiences: [confined.cluster.server],
            credentials: { tokenFile },
          },
        },
        limits: { perAddress: 1_000_000, perIssuer: 1_000_000 },
        grants,
        ...settings,
      }),
      { aliasDuplicateObjects: false },
    );

  async function startReplica(name: string, options: ReplicaOptions = {}): Promise<Replica> {
    const { ahead, executable, settings } = options;
    const auditFile = join(folder, `${name}.jsonl`);
    const config = await file(`${name}.yaml`, document(auditFile, everyGrant, settings));
    const args = [
      ...(ahead === undefined ? [] : ['--import', fast]),
      options.program ?? program,
      'serve',
      '--config',
      config,
    ];
    const more = ahead === undefined ? {} : { TEST_CLOCK_AHEAD: String(ahead) };
    const [command, given] =
      executable === undefined ? [process.execPath, args] : [executable, ['serve', '--config', config]];
    const broker =
      (await options.start?.(['serve', '--config', config])) ??
      start(command, given, { env: { ...env, ...more }, timeout: 600_000 });
    const end: Replica['end'] = async (signal) => {
      broker.kill(signal);
      return (await broker.done).code;
    };
    try {
      const [, url = ''] = await broker.waitFor(/"address":"(https:[^"]+)"/, 30_000);
      // One whose clock is wrong never is.
      if (ahead === undefined) await broker.waitFor(/"msg":"ready"/, 30_000);
      const post = async (path: string, body: string, headers = {}) =>
        request(`${url}${path}`, { method: 'POST', headers: { ...form, ...headers }, body }, authority.cert);
      const started: Replica = {
        url,
        process: broker,
        config,
        auditFile,
        exchange: async (token, grant, headers) => post('/token', exchangeForm(token, { scope: grant }), headers),
        revoke: async (token) => post('/revoke', new URLSearchParams({ token }).toString()),
        audit: async () => jsonLines(await readFile(auditFile, 'utf8')),
        async useGrants(grants) {
          const from = broker.stderr().length;
          await writeFile(config, document(auditFile, grants));
          broker.kill('SIGHUP');
          await until('the new configuration', async () =>
            broker.stderr().slice(from).includes('"msg":"new configuration"'),
          );
        },
        end,
      };
      replicas.push(started);
      return started;
    } catch (error) {
      await end('SIGKILL');
      throw error;
    }
  }

  const issue = async (url: string, claims: Json) =>
    sign({ url }, { jti: randomUUID(), ...claims }, { key, now: Date.now() });
  return {
    ...confined,
    folder,
    authority: { pem: authority.cert, file: ca },
    issue: async (claims = {}) => issue(issuer.url, { ...job, ...claims }),
    adminToken: async () => file('admin', await issue(ssoUrl, { sub: 'ada', groups: ['platform'] })),
    replica: startReplica,
    get auditFiles() {
      return [...new Set(replicas.map(({ auditFile }) => auditFile))];
    },
    kleisBroker: async (...args) => run(process.execPath, [program, ...args], { env, timeout: 60_000 }),
    applyAgain: async (yaml) => apply(confined.cluster, yaml),
    async ask(token) {
      const { status } = await confined.as(token)('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
      });
      return status;
    },
    list: async (path) => (await confined.admin('GET', path))['items'] as KubeItem[],
    async stop() {
      await Promise.all(replicas.map(async (replica) => replica.end('SIGKILL')));
      await confined.stop();
      await release();
    },
  };
}

const ssoUrl = 'https://sso.example.com';
const job = { repository_id: '1', environment: 'production', event_name: 'push' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };

/** For a replica that is to find due today what is due in some hours. Long waits of its own it hardly keeps. */
const fastClock = `
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';
const { now } = Date;
Date.now = () => now() + Number(process.env.TEST_CLOCK_AHEAD);
const sleep = timers.setTimeout;
timers.setTimeout = (wait, ...rest) => sleep(wait > 20_000 ? 100 : wait, ...rest);
syncBuiltinESMExports();
`;

export function jsonLines(text: string): Json[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Json);
}
