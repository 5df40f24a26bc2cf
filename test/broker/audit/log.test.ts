import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { writeFile, open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createAuditLog, openAuditLog } from '../../../broker/audit/log.ts';
import { SinkError, type Sink } from '../../../broker/audit/sink.ts';
import { until } from '../../support/wait.ts';
import { event, options, useAudit } from './fixture.ts';

const audit = useAudit();

describe('an audit', () => {
  it('is a JSON line for each event, chained and numbered, for its owner alone', async () => {
    await audit.written(3);
    const all = (await audit.lines()).map((line) => JSON.parse(line));
    expect(all.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
    expect(all.map((line) => line.event)).toEqual(['started', 'exchange', 'exchange', 'exchange', 'stopped']);
    for (const [index, line] of all.entries()) {
      expect(line.previous).toBe(index === 0 ? '0'.repeat(64) : all[index - 1].hash);
    }
    expect(await audit.verify()).toMatchObject({ ok: true, faults: [], chains: [{ first: 1, last: 5, ended: true }] });
  });

  it('keeps the order of events that come together', async () => {
    const log = await audit.open();
    await Promise.all(Array.from({ length: 200 }, async (_, index) => log.record(event(`g${index}`))));
    await log.close();
    const grants = (await audit.lines()).map((line) => JSON.parse(line).grant).filter((grant) => grant !== undefined);
    expect(grants).toEqual(Array.from({ length: 200 }, (_, index) => `g${index}`));
    expect((await audit.verify()).ok).toBe(true);
  });

  it('begins a chain at each start, in the same file', async () => {
    await audit.written(1);
    await audit.written(2);
    const { ok, chains } = await audit.verify();
    expect([ok, chains.length]).toEqual([true, 2]);
    expect(new Set(chains.map(({ chain }) => chain)).size).toBe(2);
  });

  it('does not join its first line to half a line that a power cut left', async () => {
    await writeFile(audit.file, '{"time":"x","chain":"old","seq":7');
    await audit.written(1);
    const { faults, chains } = await audit.verify();
    expect(faults).toMatchObject([{ kind: 'damaged', place: `${audit.file}:1` }]);
    expect(chains).toMatchObject([{ first: 1, last: 3 }]);
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
    await writeFile(audit.file, sink.text);
    expect(await audit.verify()).toMatchObject({ ok: true, chains: [{ last: 5, ended: true }] });
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
    await until('it has recovered', () => (log.health.ok && sink.text.includes('"resumed"') ? true : undefined));
    // What was lost stays lost, for whoever looks only now and then.
    expect(log.health.lost).toBe(lost);
    await log.close();
    expect(sink.text.split('"resumed"')).toHaveLength(2);
    const resumed = sink.text.split('\n').find((line) => line.includes('"resumed"'));
    expect(JSON.parse(resumed!)).toMatchObject({ event: 'resumed', lost });
  });

  it('takes no file for a slow one where this process itself was held up for longer than the patience', async () => {
    const log = await openAuditLog({ ...options, file: audit.file, patience: 2_000 });
    const recorded = log.record(event('web'));
    // In a turn of its own: by then the write is under way.
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    const end = performance.now() + 2_500;
    while (performance.now() < end);
    await expect(recorded).resolves.toBeUndefined();
    expect(log.health.ok).toBe(true);
    await log.close();
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
    execFileSync('mkfifo', [audit.file]);
    // Without a reader it does not begin, rather than wait for one.
    await expect(audit.open()).rejects.toMatchObject({ code: 'config_invalid' });
    const reader = await openFile(audit.file, constants.O_RDONLY | constants.O_NONBLOCK);
    const log = await openAuditLog({ ...options, file: audit.file, patience: 100 });
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
    await expect(audit.open(join(audit.folder, 'none', 'audit.jsonl'))).rejects.toMatchObject({
      code: 'config_invalid',
    });
  });
});
