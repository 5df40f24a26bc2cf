import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect } from 'vitest';
import { stringify } from 'yaml';
import type { Deps } from '../../../broker/surroundings.ts';
import { run } from '../../../broker/program.ts';
import { tokenExchangeGrant } from '../../../shared/protocol.ts';
import type { ClusterOptions } from '../../support/cluster.ts';
import { startStateWorld, type StateWorld } from '../leases/world.ts';
import { makeKey, sign, type SigningKey } from '../issuers/fixture.ts';
import { faultsOf } from '../../support/contract.ts';
import { until } from '../../support/wait.ts';

export const issuerUrl = 'https://ci.example.com';
export const audience = 'https://kleis.example.com';
export const formType = { 'content-type': 'application/x-www-form-urlencoded' };
/** Where the Secrets are that tokens are bound to. */
export const secrets = '/api/v1/namespaces/kleis-identities/secrets';
export const jwt = 'urn:ietf:params:oauth:token-type:jwt';

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- answers are read by tests in many ways
  readonly body: any;
}

export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

/** A broker that was started as `kleis-broker serve`, in this process. */
export interface RunningBroker {
  readonly url: string;
  readonly operations: string | undefined;
  /** All that it wrote anywhere but in its audit file. */
  output(): string;
  lines(): readonly Record<string, unknown>[];
  audit(): Promise<readonly Record<string, unknown>[]>;
  readonly auditFile: string;
  call(path: string, call?: Call): Promise<Answer>;
  /** A form. */
  post(path: string, fields: Readonly<Record<string, string>>, headers?: Record<string, string>): Promise<Answer>;
  /** `POST /token` with what is usual, unless it is given; undefined leaves a parameter out. */
  exchange(
    token: string,
    form?: Readonly<Record<string, string | undefined>>,
    headers?: Record<string, string>,
  ): Promise<Answer>;
  /** Writes another configuration and waits until it is in force, or refused. */
  reconfigure(parts: Record<string, unknown>): Promise<void>;
  /** SIGHUP. */
  hangUp(): void;
  /** Milliseconds that its clock goes on at once. */
  pass(milliseconds: number): void;
  /** SIGTERM; resolves to the exit code. */
  stop(): Promise<number>;
}

export interface AppWorld {
  readonly state: StateWorld;
  readonly folder: string;
  readonly key: SigningKey;
  /** A subject token of its own, valid now. */
  issue(claims?: Record<string, unknown>): Promise<string>;
  /** The header of somebody who is an admin. */
  admin(): Promise<Record<string, string>>;
  document(parts?: Record<string, unknown>): Record<string, unknown>;
  start(parts?: Record<string, unknown>, env?: Deps['env']): Promise<RunningBroker>;
  stop(): Promise<void>;
}

export const job = { event_name: 'push', repository_id: '1', ref: 'refs/heads/main', environment: 'production' };
const where = { repository_id: '1', environment: 'production', event_name: { not: 'pull_request_target' } };
const access = [{ namespace: 'web', role: 'deployer' }];

export const grants: Record<string, Record<string, unknown>> = {
  'deploy-web': { issuer: 'ci', where, cluster: 'prod', serviceAccount: 'deploy-web', access },
  plain: { issuer: 'ci', where, cluster: 'prod', serviceAccount: 'deploy-web', access, revocable: false },
  open: { issuer: 'ci', where, cluster: 'prod', serviceAccount: 'deploy-web', access, explain: true },
  once: { issuer: 'github', where, cluster: 'prod', serviceAccount: 'deploy-web', access },
  other: { issuer: 'ci', where: { repository_id: '2' }, cluster: 'prod', serviceAccount: 'deploy-web', access },
};

export async function startAppWorld(cluster: ClusterOptions['kind'] = 'stand-in'): Promise<AppWorld> {
  const state = await startStateWorld({ cluster, memory: false });
  const folder = await mkdtemp(join(tmpdir(), 'kleis-app-'));
  const key = await makeKey('a');
  const jwks = join(folder, 'jwks.json');
  await writeFile(jwks, JSON.stringify({ keys: [key.jwk] }));
  const issuer = (url: string, more = {}) => ({ url, audience, jwks, idClaims: ['repository_id'], ...more });
  const brokers: RunningBroker[] = [];
  let count = 0;

  const document: AppWorld['document'] = (parts = {}) => ({
    apiVersion: 'kleis.dev/v1',
    kind: 'BrokerConfig',
    publicUrl: audience,
    listen: { address: '127.0.0.1:0' },
    state: { cluster: 'prod' },
    audit: { file: join(folder, `audit-${count}.jsonl`) },
    admins: [{ issuer: 'ci', claim: 'groups', value: 'platform' }],
    issuers: {
      ci: issuer(issuerUrl),
      github: issuer('https://github.example.com', { singleUse: true, tenantClaim: 'repository_id' }),
    },
    clusters: { prod: { credentials: { kubeconfig: state.cluster.adminKubeconfig } } },
    admissionPolicy: 'optional',
    grants,
    ...parts,
  });

  const world: AppWorld = {
    state,
    folder,
    key,
    document,
    issue: async (claims = {}) =>
      sign({ url: issuerUrl }, { sub: 'acme/web', jti: randomUUID(), ...job, ...claims }, { key, now: Date.now() }),
    admin: async () => ({ authorization: `Bearer ${await world.issue({ sub: 'boss', groups: ['dev', 'platform'] })}` }),
    async start(parts = {}, env = {}) {
      count += 1;
      const broker = await startBroker(folder, count, (more = {}) => document({ ...parts, ...more }), env);
      brokers.push(broker);
      return broker;
    },
    async stop() {
      await Promise.all(brokers.map((broker) => broker.stop()));
      await state.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return world;
}

/** One world with one broker for all tests of a suite, and the header of an admin; they stop after the last test. */
export async function startSuite(): Promise<{
  readonly world: AppWorld;
  readonly broker: RunningBroker;
  readonly admin: Readonly<Record<string, string>>;
}> {
  const world = await startAppWorld();
  afterAll(() => world.stop());
  return { world, broker: await world.start(), admin: await world.admin() };
}

async function startBroker(
  folder: string,
  number: number,
  document: (parts?: Record<string, unknown>) => Record<string, unknown>,
  env: Deps['env'],
): Promise<RunningBroker> {
  const file = join(folder, `broker-${number}.yaml`);
  const write = async (value: Record<string, unknown>) =>
    writeFile(file, stringify(value, { aliasDuplicateObjects: false }));
  const first = document();
  await write(first);
  const world = testDeps(env);
  const ended = run(['serve', '--config', file], world.deps);
  const early = ended.then((code) => {
    throw new Error(`the broker ended with ${code}: ${world.output()}`);
  });
  early.catch(() => undefined);
  const lines = () => jsonLines(world.output());
  const found = await Promise.race([until('listening', () => lines().find(({ msg }) => msg === 'listening')), early]);
  const url = String(found['address']);
  const auditFile = (first['audit'] as { file: string }).file;
  /** No answer that any test sees is other than docs/openapi.json says. */
  const ask: RunningBroker['call'] = async (path, call) => {
    const answer = await request(`${url}${path}`, call);
    expect(faultsOf(call?.method ?? 'GET', path, answer)).toEqual([]);
    return answer;
  };
  const broker: RunningBroker = {
    url,
    operations: found['operations'] as string | undefined,
    output: world.output,
    lines,
    auditFile,
    audit: async () => jsonLines(auditFile === '-' ? world.output() : await readFile(auditFile, 'utf8')),
    call: ask,
    post: async (path, fields, headers = {}) =>
      ask(path, {
        method: 'POST',
        headers: { ...formType, ...headers },
        body: new URLSearchParams(fields).toString(),
      }),
    exchange: async (token, form, headers = {}) =>
      ask('/token', {
        method: 'POST',
        headers: { ...formType, ...headers },
        body: exchangeForm(token, form),
      }),
    async reconfigure(parts) {
      const before = lines().length;
      await write(document(parts));
      world.hangUp();
      await until('the new configuration', () =>
        lines()
          .slice(before)
          .find(({ msg }) => /configuration/.test(String(msg))),
      );
    },
    hangUp: world.hangUp,
    pass: world.pass,
    async stop() {
      world.end();
      return ended;
    },
  };
  return broker;
}

/** The surroundings of one run, as a test controls them. */
export function testDeps(env: Deps['env'] = {}): {
  deps: Deps;
  output: () => string;
  end: () => void;
  hangUp: () => void;
  pass: (milliseconds: number) => void;
} {
  let text = '';
  let ahead = 0;
  const stream = () =>
    new Writable({
      write(chunk: Buffer, _, done) {
        text += chunk.toString();
        done();
      },
    });
  const ending = new AbortController();
  const listeners = new Set<() => void>();
  const deps = {
    env: { KLEIS_LOG: 'debug', ...env },
    stdin: Readable.from([]),
    stdout: stream(),
    stderr: stream(),
    clock: {
      now: () => Date.now() + ahead,
      sleep: async (milliseconds: number, signal?: AbortSignal) =>
        sleep(milliseconds, undefined, signal ? { signal } : {}),
    },
    host: 'Test.Host',
    signal: ending.signal,
    onHangUp(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as Deps;
  return {
    deps,
    output: () => text,
    end: () => ending.abort('SIGTERM'),
    hangUp() {
      for (const listener of listeners) listener();
    },
    pass: (milliseconds) => void (ahead += milliseconds),
  };
}

export function exchangeForm(token: string, form: Readonly<Record<string, string | undefined>> = {}): string {
  const usual = {
    grant_type: tokenExchangeGrant,
    subject_token_type: jwt,
    subject_token: token,
    scope: 'deploy-web',
    ...form,
  };
  const given = Object.entries(usual).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new URLSearchParams(given).toString();
}

/** Node's own client, which sends what it is told and follows nothing. */
export async function request(
  url: string,
  { method = 'GET', headers = {}, body, signal }: Call = {},
  ca?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = url.startsWith('https:') ? https.request : http.request;
    const sent = call(url, { method, headers, signal, agent: false, ...(ca && { ca }) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: parse(text) });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .map((line) => parse(line))
    .filter((value) => typeof value === 'object' && value !== null) as Record<string, unknown>[];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
