import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { appendFile, mkdtemp, open as openFile, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Anchor, kubeAnchors, startAnchoring } from '../../../broker/audit/anchors.ts';
import type { AuditEvent } from '../../../broker/audit/event.ts';
import { type AuditLog, createAuditLog, openAuditLog } from '../../../broker/audit/log.ts';
import { SinkError, type Sink } from '../../../broker/audit/sink.ts';
import { verifyAudit } from '../../../broker/audit/verify.ts';
import { startStateWorld, type StateWorld } from '../leases/world.ts';
import { until } from '../../support/wait.ts';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-audit-'));
  file = join(folder, 'audit.jsonl');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const options = { stdout: process.stdout, now: Date.now, host: 'Replica_1', version: '0.0.0', policy: 'a'.repeat(64) };
const event = (grant: string): AuditEvent => ({ event: 'exchange', outcome: 'allowed', grant });
const open = async (path = file): Promise<AuditLog> => openAuditLog({ ...options, file: path });
const lines = async (path = file): Promise<string[]> => (await readFile(path, 'utf8')).trim().split('\n');
const write = async (all: readonly string[], path = file) => writeFile(path, `${all.join('\n')}\n`);
const verify = async (anchors?: readonly Anchor[], partial = false, files = [file]) =>
  verifyAudit(files, { anchors, partial, now });
/** Long after what the tests write, unless they say otherwise. */
let now = Date.now() + 3_600_000;
const kinds = ({ faults }: { faults: readonly { kind: string }[] }) => faults.map(({ kind }) => kind);

/** A whole audit with `count` exchanges, closed. */
async function written(count: number): Promise<Anchor> {
  const log = await open();
  for (let index = 0; index < count; index += 1) await log.record(event(`g${index}`));
  await log.close();
  return { ...log.head, time: new Date().toISOString() };
}

describe('an audit', () => {
  it('is a JSON line for each event, chained and numbered, for its owner alone', async () => {
    await written(3);
    const all = (await lines()).map((line) => JSON.parse(line));
    expect(all.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
    expect(all.map((line) => line.event)).toEqual(['started', 'exchange', 'exchange', 'exchange', 'stopped']);
    for (const [index, line] of all.entries()) {
      expect(line.previous).toBe(index === 0 ? '0'.repeat(64) : all[index - 1].hash);
    }
    expect(await verify()).toMatchObject({ ok: true, faults: [], chains: [{ first: 1, last: 5, ended: true }] });
  });

  it('keeps the order of events that come together', async () => {
    const log = await open();
    await Promise.all(Array.from({ length: 200 }, async (_, index) => log.record(event(`g${index}`))));
    await log.close();
    const grants = (await lines()).map((line) => JSON.parse(line).grant).filter((grant) => grant !== undefined);
    expect(grants).toEqual(Array.from({ length: 200 }, (_, index) => `g${index}`));
    expect((await verify()).ok).toBe(true);
  });

  it('begins a chain at each start, in the same file', async () => {
    await written(1);
    await written(2);
    const { ok, chains } = await verify();
    expect([ok, chains.length]).toEqual([true, 2]);
    expect(new Set(chains.map(({ chain }) => chain)).size).toBe(2);
  });

  it('does not join its first line to half a line that a power cut left', async () => {
    await writeFile(file, '{"time":"x","chain":"old","seq":7');
    await written(1);
    const { faults, chains } = await verify();
    expect(faults).toMatchObject([{ kind: 'damaged', place: `${file}:1` }]);
    expect(chains).toMatchObject([{ first: 1, last: 3 }]);
  });
});

describe('audit verify shows', () => {
  it('an edit', async () => {
    await written(3);
    const all = await lines();
    all[2] = all[2]!.replace('"g1"', '"gX"');
    await write(all);
    expect((await verify()).faults).toMatchObject([{ kind: 'edited', place: `${file}:3` }]);
  });

  it('an edit whose hash was made anew', async () => {
    await written(3);
    const all = await lines();
    const { hash: _, ...record } = JSON.parse(all[2]!);
    const body = JSON.stringify({ ...record, grant: 'gX' });
    const { createHash } = await import('node:crypto');
    all[2] = `${body.slice(0, -1)},"hash":"${createHash('sha256').update(body).digest('hex')}"}`;
    await write(all);
    expect((await verify()).faults).toMatchObject([{ kind: 'edited', place: `${file}:4` }]);
  });

  it('a gap', async () => {
    await written(5);
    const all = await lines();
    await write(all.toSpliced(2, 2));
    expect((await verify()).faults).toMatchObject([{ kind: 'gap', message: 'lines 3 to 4 are missing' }]);
  });

  it('a beginning that is cut off', async () => {
    await written(3);
    await write((await lines()).slice(2));
    expect(kinds(await verify())).toEqual(['cut']);
    expect((await verify(undefined, true)).ok).toBe(true);
  });

  it('an end that is cut off, by its anchor', async () => {
    const anchor = await written(3);
    await write((await lines()).slice(0, -2));
    expect((await verify()).ok).toBe(true);
    expect((await verify([anchor])).faults).toMatchObject([
      { kind: 'cut', message: `ends with line 3, but 5 were written by ${anchor.time}` },
    ]);
  });

  it('a chain that was written anew, by its anchor', async () => {
    const anchor = await written(3);
    const hash = 'a'.repeat(64);
    expect(kinds(await verify([{ ...anchor, hash }]))).toEqual(['rewritten']);
    expect(kinds(await verify([anchor]))).toEqual([]);
  });

  it('a chain that is gone, by its anchor', async () => {
    const anchor = await written(1);
    await written(1);
    const all = await lines();
    await write(all.filter((line) => !line.includes(anchor.chain)));
    const report = await verify([anchor]);
    expect(report.faults).toMatchObject([{ kind: 'missing', chain: anchor.chain }]);
    expect((await verify([anchor], true)).ok).toBe(true);
  });

  it('two lines for one number', async () => {
    await written(2);
    const all = await lines();
    const forged = all[1]!.replace('"g0"', '"g9"');
    await write([...all, forged]);
    expect(kinds(await verify())).toEqual(['edited']);
  });

  it.each([undefined, []])(
    'no audit as verified that no anchor (%j) vouches for, however well it hangs together',
    async (anchors) => {
      await written(3);
      expect(await verify(anchors)).toMatchObject({ ok: true, verified: false, chains: [{ covered: undefined }] });
    },
  );

  it('an invented chain beside a genuine one as not verified, also under its name', async () => {
    const anchor = await written(3);
    expect(await verify([anchor])).toMatchObject({
      ok: true,
      verified: true,
      chains: [{ covered: { first: 1, last: 5 } }],
    });
    await written(2);
    expect(await verify([anchor])).toMatchObject({ ok: true, verified: false });
    // Made of the beginning alone, as if the rest were in other files.
    await write((await lines()).slice(0, 3));
    expect(await verify([anchor], true)).toMatchObject({ ok: true, verified: false, chains: [{ covered: undefined }] });
  });

  it('lines that were added after the anchor as not verified once the replica would have anchored them', async () => {
    const log = await open();
    await log.record(event('a'));
    const anchor = { ...log.head, time: new Date().toISOString() };
    await log.record(event('b'));
    now = Date.now();
    expect(await verify([anchor])).toMatchObject({
      verified: true,
      chains: [{ last: 3, covered: { first: 1, last: 2 } }],
    });
    now += 181_000;
    expect(await verify([anchor])).toMatchObject({ ok: true, verified: false });
    await log.close();
    now += 3_600_000;
  });

  it('lines after a replica had stopped', async () => {
    const anchor = await written(1);
    const last = JSON.parse((await lines()).at(-1)!);
    const { seal } = await import('../../../broker/audit/chain.ts');
    await appendFile(
      file,
      `${seal({ chain: last.chain, seq: last.seq, hash: last.hash }, event('b'), Date.now()).line}\n`,
    );
    expect((await verify([anchor])).faults).toMatchObject([{ kind: 'edited', place: `${file}:4` }]);
  });

  it('which lines no anchor covers yet', async () => {
    const anchor = await written(3);
    const { chains } = await verify([{ ...anchor, seq: 2, hash: JSON.parse((await lines())[1]!).hash }]);
    expect(chains).toMatchObject([{ last: 5, anchored: 2 }]);
    expect((await verify([])).chains).toMatchObject([{ last: 5, anchored: undefined }]);
  });

  it('no fault in what collectors do: other order, lines twice, prefixes, compression, other logs beside it', async () => {
    await written(3);
    const all = await lines();
    const collected = [...all.toReversed(), all[1]!].map((line) => `2026-01-01T00:00:00.0Z stdout F ${line}`);
    await writeFile(`${file}.gz`, gzipSync(`${collected.join('\n')}\n{"level":"info"}\n`));
    const report = await verify(undefined, false, [`${file}.gz`]);
    expect(report).toMatchObject({ ok: true, others: 1, chains: [{ lines: 5 }] });
  });
});

describe('a sink that fails', () => {
  /** Takes what it is given until it is full. */
  function fullSink(): Sink & { text: string; room: number } {
    let taken = 0;
    const sink = {
      text: '',
      room: Number.POSITIVE_INFINITY,
      async write(bytes: Uint8Array) {
        const rest = bytes.subarray(taken);
        const fits = Math.min(rest.length, sink.room);
        sink.text += Buffer.from(rest.subarray(0, fits)).toString();
        sink.room -= fits;
        taken = fits < rest.length ? taken + fits : 0;
        if (fits < rest.length) throw new SinkError(Object.assign(new Error('full'), { code: 'ENOSPC' }));
      },
      reopen: () => undefined,
      truncations: 0,
      close: async () => undefined,
    };
    return sink;
  }

  it('makes the event fail, and loses neither it nor the chain when there is room again', async () => {
    const sink = fullSink();
    const log = createAuditLog(sink, options);
    await log.record(event('a'));
    // Half a line fits.
    sink.room = 100;
    await expect(log.record(event('b'))).rejects.toMatchObject({ code: 'audit_unavailable', status: 503 });
    expect(() => log.assertWritable()).toThrow(expect.objectContaining({ code: 'audit_unavailable' }));
    await expect(log.record(event('c'))).rejects.toMatchObject({ code: 'audit_unavailable' });
    expect(log.health).toMatchObject({ ok: false, lastError: 'ENOSPC', lines: 1 });
    expect(log.head.seq).toBe(1);
    sink.room = Number.POSITIVE_INFINITY;
    // By itself, without a request.
    await until('it has recovered', () => (log.health.ok ? true : undefined));
    log.assertWritable();
    await log.record(event('d'));
    await log.close();
    await writeFile(file, sink.text);
    expect(await verify()).toMatchObject({ ok: true, chains: [{ last: 5, ended: true }] });
    expect(sink.text).toMatch(/"g?a"[^]*"b"[^]*"c"[^]*"d"/);
  });

  it('counts what it cannot even keep, and says how many when it can', async () => {
    const sink = fullSink();
    const log = createAuditLog(sink, options);
    sink.room = 0;
    const big = 'x'.repeat(100_000);
    for (let index = 0; index < 30; index += 1) await log.record(event(big)).catch(() => undefined);
    expect(log.health.lost).toBeGreaterThan(0);
    const { lost } = log.health;
    sink.room = Number.POSITIVE_INFINITY;
    await until('it has recovered', () => (log.health.ok && log.health.lost === 0 ? true : undefined));
    await log.close();
    const resumed = sink.text.split('\n').find((line) => line.includes('"resumed"'));
    expect(JSON.parse(resumed!)).toMatchObject({ event: 'resumed', lost });
  });

  it('does not hold a request for ever when it hangs', async () => {
    const sink: Sink = {
      write: async () => new Promise(() => undefined),
      reopen: () => undefined,
      truncations: 0,
      close: async () => undefined,
    };
    const log = createAuditLog(sink, { ...options, patience: 50 });
    await expect(log.record(event('a'))).rejects.toMatchObject({ code: 'audit_unavailable' });
    expect(log.health).toMatchObject({ ok: false, lastError: 'it takes too long' });
    expect(() => log.assertWritable()).toThrow(expect.objectContaining({ code: 'audit_unavailable' }));
    await log.close();
  });

  it('is well again when a pipe that was not read is read, and ends while one is not', async () => {
    execFileSync('mkfifo', [file]);
    // Without a reader it does not begin, rather than wait for one.
    await expect(open()).rejects.toMatchObject({ code: 'config_invalid' });
    const reader = await openFile(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const log = await openAuditLog({ ...options, file, patience: 100 });
    const big = 'x'.repeat(200_000);
    await expect(log.record(event(big))).rejects.toMatchObject({ code: 'audit_unavailable' });
    expect(log.health.ok).toBe(false);
    const text = Buffer.alloc(1_000_000);
    let length = 0;
    await until('it is well again', async () => {
      const { bytesRead } = await reader.read(text, length, text.length - length, null).catch(() => ({ bytesRead: 0 }));
      length += bytesRead;
      return log.health.ok ? true : undefined;
    });
    log.assertWritable();
    await expect(log.record(event(big))).rejects.toMatchObject({ code: 'audit_unavailable' });
    await log.close();
    await reader.close();
  });

  it('that cannot be opened ends the start', async () => {
    await expect(open(join(folder, 'none', 'audit.jsonl'))).rejects.toMatchObject({ code: 'config_invalid' });
  });
});

describe('anchors', () => {
  let world: StateWorld;
  beforeAll(async () => {
    world = await startStateWorld({ cluster: 'stand-in', memory: false });
  });
  afterAll(() => world.stop());
  const store = () => kubeAnchors(world.replica().clusters.get('prod')!.kube, 'kleis-state', () => world.clock.now());
  const head = (chain: string, seq: number) => ({ chain, seq, hash: String(seq % 10).repeat(64) });

  it('move with the head of the chain, also when their object was changed or removed meanwhile', async () => {
    const [one, other] = [store(), store()];
    await one.put(head('a', 1));
    await one.put(head('a', 2));
    await other.put(head('a', 3));
    await one.put(head('a', 4));
    expect(await one.list()).toMatchObject([{ chain: 'a', seq: 4, hash: '4'.repeat(64) }]);
    const path = '/apis/coordination.k8s.io/v1/namespaces/kleis-state/leases/audit-a';
    await world.cluster.request('DELETE', path);
    await one.put(head('a', 5));
    expect(await other.list()).toMatchObject([{ chain: 'a', seq: 5 }]);
  });

  it('of audits that nobody keeps any more are removed', async () => {
    const anchors = store();
    await anchors.put(head('old', 1));
    world.clock.offset = 401 * 24 * 60 * 60 * 1000;
    await anchors.put(head('new', 1));
    await anchors.removeOlder(400 * 24 * 60 * 60 * 1000);
    world.clock.offset = 0;
    expect((await anchors.list()).map(({ chain }) => chain)).toEqual(['new']);
  });

  it('are put once a minute while something happens, and tell when they cannot be', async () => {
    let current = head('b', 1);
    const put: number[] = [];
    let fault: Error | undefined;
    const fake = {
      put: async ({ seq }: { seq: number }) => {
        if (fault) throw fault;
        put.push(seq);
      },
      list: async () => [],
      removeOlder: async () => undefined,
    };
    const anchoring = startAnchoring(fake, () => current, { now: Date.now, every: 10 });
    await until('the first', () => (put.length > 0 ? true : undefined));
    fault = new Error('the cluster is gone');
    current = head('b', 2);
    await until('the fault', () => (anchoring.health.ok ? undefined : true));
    expect(anchoring.health.lastError).toBe('the cluster is gone');
    fault = undefined;
    await until('the second', () => (put.includes(2) ? true : undefined));
    anchoring.stop();
    expect(put).toEqual([1, 2]);
  });
});

it('an audit with a line from elsewhere says so', async () => {
  await written(1);
  await appendFile(file, 'hello\n');
  expect(await verify()).toMatchObject({ ok: true, others: 1 });
});
