import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { decodeUnverified } from '../../shared/jwt.ts';
import { type Answer, exchangeForm, request } from '../broker/routes/world.ts';
import { type Balancer, startBalancer } from '../support/balancer.ts';
import { expectDead } from '../support/dead.ts';
import { needs } from '../support/needs.ts';
import { buildNextBroker, next } from '../support/next-version.ts';
import { until } from '../support/wait.ts';
import { type BrokerWorld, jsonLines, type Replica, type ReplicaOptions, startBrokerWorld } from './broker-world.ts';

const kind = needs('kube') === undefined ? 'stand-in' : '1.36';
const kubectl = needs('kubectl-new') ?? needs('kubectl');
const leases = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases';
const identities = '/api/v1/namespaces/kleis-identities/secrets';
const form = { 'content-type': 'application/x-www-form-urlencoded' };
/** Milliseconds from a pod's deletion to its SIGTERM; more than the balancer needs to be told. */
const preStop = 600;

const tokenOf = ({ status, body, text }: Answer): string => {
  if (status !== 200) throw new Error(`no token: ${status} ${text}`);
  return body.access_token as string;
};
const jtiOf = (token: string) => (decodeUnverified(token).claims as { jti: string }).jti;

interface Minted {
  readonly subject: string;
  readonly key: string;
  readonly token: string;
  readonly lease: string;
}

describe.skipIf(kubectl === undefined)(`an upgrade and its rollback, on ${kind}, while jobs exchange`, () => {
  let world: BrokerWorld;
  let balancer: Balancer;
  let nextProgram: string;
  const settings = { limits: { perAddress: 1_000_000, perIssuer: 1_000_000, [next.setting]: 1_000_000 } };
  const handed: string[] = [];
  const failed: string[] = [];
  const ends: number[] = [];
  /** Pods in service, each with what takes it out. */
  let serving: { readonly replica: Replica; readonly delete: () => Promise<void> }[] = [];

  beforeAll(async () => {
    [world, balancer, nextProgram] = await Promise.all([startBrokerWorld(kind), startBalancer(), buildNextBroker()]);
  }, 120_000);
  afterAll(async () => {
    await balancer?.stop();
    await world?.stop();
  }, 30_000);

  const post = async (url: string, path: string, body: string, headers = {}) =>
    request(`${url}${path}`, { method: 'POST', headers: { ...form, ...headers }, body }, world.authority.pem);
  const exchange = async (subject: string, scope: string, key: string) =>
    post(balancer.url, '/token', exchangeForm(subject, { scope }), { 'idempotency-key': key });

  async function mint(grant: string): Promise<Minted> {
    const [subject, key] = [await world.issue(), randomUUID()];
    const answer = await exchange(subject, grant, key);
    return { subject, key, token: tokenOf(answer), lease: answer.body.lease as string };
  }

  /** A job: each on a connection of its own, one after the other, until it is told to end. */
  async function work(over: AbortSignal): Promise<void> {
    const grants = ['deploy-web', 'lease', 'plain'];
    for (let turn = 0; !over.aborted; turn += 1) {
      const answer = await exchange(await world.issue(), grants[turn % grants.length]!, randomUUID()).catch(
        (error: unknown) => String(error),
      );
      if (typeof answer !== 'string' && answer.status === 200) handed.push(tokenOf(answer));
      else failed.push(typeof answer === 'string' ? answer : `${answer.status} ${answer.text}`);
    }
  }

  async function startPod(name: string, options: ReplicaOptions): Promise<void> {
    const replica = await world.replica(name, options);
    const endpoint = {
      url: replica.url,
      isReady: async () => (await request(`${replica.url}/readyz`, {}, world.authority.pem)).status === 200,
    };
    balancer.add(endpoint);
    await balancer.whenReady(endpoint);
    serving.push({
      replica,
      async delete() {
        balancer.remove(endpoint);
        await sleep(preStop);
        ends.push(await replica.end('SIGTERM'));
      },
    });
  }

  /** As a Deployment does: one more, and when it is ready one of the others goes. */
  async function roll(names: readonly string[], options: ReplicaOptions): Promise<void> {
    const over = new AbortController();
    const jobs = Array.from({ length: 3 }, async () => work(over.signal));
    const old = serving;
    serving = [];
    for (const [index, name] of names.entries()) {
      await startPod(name, options);
      await old[index]?.delete();
    }
    over.abort();
    await Promise.all(jobs);
  }

  const admin = async (...args: string[]) =>
    world.kleisBroker(
      ...args,
      ...['--broker', balancer.url, '--token-file', await world.adminToken()],
      ...['--certificate-authority', world.authority.file, '-o', 'json'],
    );
  const leaseOf = async (name: string) => (await world.list(leases)).find(({ metadata }) => metadata.name === name);

  /** That what the other version wrote is known, ended and remembered by the one that serves now. */
  async function takesOver(before: {
    readonly listed: Minted;
    readonly revoked: Minted;
    readonly ephemeral: Minted;
  }): Promise<void> {
    const { stdout, code } = await admin('leases');
    expect(code).toBe(0);
    for (const { lease } of Object.values(before)) expect(stdout).toContain(lease);
    for (const { lease, token } of [before.revoked, before.ephemeral]) {
      expect(await admin('revoke', lease)).toMatchObject({ code: 0, stderr: '' });
      await expectDead(world, token);
    }
    expect(await world.ask(before.listed.token)).toBe(201);
    // Used is used, whichever version took it; and the job that lost its answer gets another.
    const replayed = await exchange(before.listed.subject, 'deploy-web', randomUUID());
    expect(replayed).toMatchObject({ status: 400, body: { code: 'subject_replayed' } });
    tokenOf(await exchange(before.listed.subject, 'deploy-web', before.listed.key));
  }

  /** As if it had ended two hours ago. */
  async function isSwept({ lease }: Minted, name: string, options: ReplicaOptions): Promise<void> {
    const until0 = Number((await leaseOf(lease))?.metadata.labels?.['kleis.dev/until']);
    await world.cluster.request('PATCH', `${leases}/${lease}`, {
      metadata: { labels: { 'kleis.dev/until': String(until0 - 120) } },
    });
    const sweeper = await world.replica(name, { ...options, ahead: 0 });
    const isLeft = async () =>
      (await leaseOf(lease)) !== undefined ||
      (await world.list(identities)).some(({ metadata }) => metadata.name.includes(lease));
    await until('it is swept', async () => !(await isLeft()), 20_000);
    ends.push(await sweeper.end('SIGTERM'));
  }

  const writtenByNext = async (name: string) =>
    (await leaseOf(name))?.metadata.annotations?.[next.annotation] === next.version;
  const some = async () => ({
    listed: await mint('deploy-web'),
    revoked: await mint('deploy-web'),
    ephemeral: await mint('lease'),
  });
  let ofOld: Awaited<ReturnType<typeof some>>;
  let ofNext: Awaited<ReturnType<typeof some>>;
  let dueOfOld: Minted;
  let dueOfNext: Minted;

  it('no exchange fails while the next version takes the place of this one', async () => {
    await Promise.all([startPod('old-a', {}), startPod('old-b', {})]);
    [ofOld, dueOfOld] = [await some(), await mint('deploy-web')];
    await roll(['next-a', 'next-b'], { program: nextProgram, settings });
    expect(failed).toEqual([]);
    expect(handed.length).toBeGreaterThan(20);
  }, 60_000);

  it('the next version lists, ends, sweeps and remembers what this one minted', async () => {
    await takesOver(ofOld);
    await isSwept(dueOfOld, 'next-sweeper', { program: nextProgram, settings });
    [ofNext, dueOfNext] = [await some(), await mint('deploy-web')];
    expect(await writtenByNext(ofNext.listed.lease)).toBe(true);
  }, 60_000);

  it('a setting that only the next version knows: this one does not start, and says which and that it is older', async () => {
    const config = serving[0]!.replica.config;
    const { code, stderr } = await world.kleisBroker('serve', '--config', config);
    expect(code).toBe(6);
    expect(stderr).toContain(`limits.${next.setting} is not known to Kleis ${packageJson.version}`);
  });

  it('no exchange fails while this version comes back, and what the next one minted is listed, ended, swept, remembered', async () => {
    const before = handed.length;
    await roll(['back-a', 'back-b'], {});
    expect(failed).toEqual([]);
    expect(handed.length).toBeGreaterThan(before + 20);
    await takesOver(ofNext);
    await isSwept(dueOfNext, 'back-sweeper', {});
    expect(await writtenByNext(ofNext.listed.lease)).toBe(false);
  }, 60_000);

  it('a running replica that is given the newer configuration goes on with its own, and says why', async () => {
    const [{ replica } = serving[0]!] = serving;
    const newer = await readFile(join(world.folder, 'next-a.yaml'), 'utf8');
    await writeFile(replica.config, newer.replaceAll('next-a.jsonl', 'back-a.jsonl'));
    replica.process.kill('SIGHUP');
    await replica.process.waitFor(new RegExp(`limits\\.${next.setting}[^]*is not known to Kleis`));
    expect((await request(`${replica.url}/readyz`, {}, world.authority.pem)).status).toBe(200);
    tokenOf(await replica.exchange(await world.issue(), 'deploy-web'));
  }, 30_000);

  it('the audits of both versions are whole, and tell of every token', async () => {
    const config = serving[0]!.replica.config;
    await Promise.all(serving.map(async (pod) => pod.delete()));
    expect(ends).toEqual(Array.from({ length: 8 }, () => 0));
    await writeFile(config, await readFile(join(world.folder, 'old-a.yaml'), 'utf8'));
    const verified = await world.kleisBroker('audit', 'verify', ...world.auditFiles, '--config', config, '-o', 'json');
    const report = JSON.parse(verified.stdout) as { chains: readonly { ended: boolean }[]; faults: readonly unknown[] };
    expect([verified.code, report.faults]).toEqual([0, []]);
    expect(report.chains.filter(({ ended }) => ended)).toHaveLength(8);
    const texts = await Promise.all(world.auditFiles.map(async (file) => readFile(file, 'utf8')));
    const told = new Set(texts.flatMap(jsonLines).map(({ jti }) => jti));
    expect(handed.filter((token) => !told.has(jtiOf(token)))).toEqual([]);
  }, 30_000);
});
