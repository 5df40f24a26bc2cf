import { appendFile, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { event, kinds, useAudit } from './fixture.ts';

const audit = useAudit();

describe('audit verify shows', () => {
  it('an edit', async () => {
    await audit.written(3);
    const all = await audit.lines();
    all[2] = all[2]!.replace('"g1"', '"gX"');
    await audit.write(all);
    expect((await audit.verify()).faults).toMatchObject([{ kind: 'edited', place: `${audit.file}:3` }]);
  });

  it('an edit whose hash was made anew', async () => {
    await audit.written(3);
    const all = await audit.lines();
    const { hash: _, ...record } = JSON.parse(all[2]!);
    const body = JSON.stringify({ ...record, grant: 'gX' });
    const { createHash } = await import('node:crypto');
    all[2] = `${body.slice(0, -1)},"hash":"${createHash('sha256').update(body).digest('hex')}"}`;
    await audit.write(all);
    expect((await audit.verify()).faults).toMatchObject([{ kind: 'edited', place: `${audit.file}:4` }]);
  });

  it('a gap', async () => {
    await audit.written(5);
    const all = await audit.lines();
    await audit.write(all.toSpliced(2, 2));
    expect((await audit.verify()).faults).toMatchObject([{ kind: 'gap', message: 'lines 3 to 4 are missing' }]);
  });

  it('a beginning that is cut off', async () => {
    await audit.written(3);
    await audit.write((await audit.lines()).slice(2));
    expect(kinds(await audit.verify())).toEqual(['cut']);
    expect((await audit.verify(undefined, { partial: true })).ok).toBe(true);
  });

  it('an end that is cut off, by its anchor', async () => {
    const anchor = await audit.written(3);
    await audit.write((await audit.lines()).slice(0, -2));
    expect((await audit.verify()).ok).toBe(true);
    expect((await audit.verify([anchor])).faults).toMatchObject([
      { kind: 'cut', message: `ends with line 3, but 5 were written by ${anchor.time}` },
    ]);
  });

  it('a chain that was written anew, by its anchor', async () => {
    const anchor = await audit.written(3);
    const hash = 'a'.repeat(64);
    expect(kinds(await audit.verify([{ ...anchor, hash }]))).toEqual(['rewritten']);
    expect(kinds(await audit.verify([anchor]))).toEqual([]);
  });

  it('a chain that is gone, by its anchor', async () => {
    const anchor = await audit.written(1);
    await audit.written(1);
    const all = await audit.lines();
    await audit.write(all.filter((line) => !line.includes(anchor.chain)));
    const report = await audit.verify([anchor]);
    expect(report.faults).toMatchObject([{ kind: 'missing', chain: anchor.chain }]);
    expect((await audit.verify([anchor], { partial: true })).ok).toBe(true);
  });

  it('two lines for one number', async () => {
    await audit.written(2);
    const all = await audit.lines();
    const forged = all[1]!.replace('"g0"', '"g9"');
    await audit.write([...all, forged]);
    expect(kinds(await audit.verify())).toEqual(['edited']);
  });

  it.each([undefined, []])(
    'no audit as verified that no anchor (%j) vouches for, however well it hangs together',
    async (anchors) => {
      await audit.written(3);
      expect(await audit.verify(anchors)).toMatchObject({
        ok: true,
        verified: false,
        chains: [{ covered: undefined }],
      });
    },
  );

  it('an invented chain beside a genuine one as not verified, also under its name', async () => {
    const anchor = await audit.written(3);
    expect(await audit.verify([anchor])).toMatchObject({
      ok: true,
      verified: true,
      chains: [{ covered: { first: 1, last: 5 } }],
    });
    await audit.written(2);
    expect(await audit.verify([anchor])).toMatchObject({ ok: true, verified: false });
    // Made of the beginning alone, as if the rest were in other files.
    await audit.write((await audit.lines()).slice(0, 3));
    expect(await audit.verify([anchor], { partial: true })).toMatchObject({
      ok: true,
      verified: false,
      chains: [{ covered: undefined }],
    });
  });

  it('lines that were added after the anchor as not verified once the replica would have anchored them', async () => {
    const log = await audit.open();
    await log.record(event('a'));
    const anchor = { ...log.head, time: new Date().toISOString() };
    await log.record(event('b'));
    const now = Date.now();
    expect(await audit.verify([anchor], { now })).toMatchObject({
      verified: true,
      chains: [{ last: 3, covered: { first: 1, last: 2 } }],
    });
    expect(await audit.verify([anchor], { now: now + 181_000 })).toMatchObject({ ok: true, verified: false });
    await log.close();
  });

  it('lines after a replica had stopped', async () => {
    const anchor = await audit.written(1);
    const last = JSON.parse((await audit.lines()).at(-1)!);
    const { seal } = await import('../../../broker/audit/chain.ts');
    await appendFile(
      audit.file,
      `${seal({ chain: last.chain, seq: last.seq, hash: last.hash }, event('b'), Date.now()).line}\n`,
    );
    expect((await audit.verify([anchor])).faults).toMatchObject([{ kind: 'edited', place: `${audit.file}:4` }]);
  });

  it('which lines no anchor covers yet', async () => {
    const anchor = await audit.written(3);
    const { chains } = await audit.verify([{ ...anchor, seq: 2, hash: JSON.parse((await audit.lines())[1]!).hash }]);
    expect(chains).toMatchObject([{ last: 5, anchored: 2 }]);
    expect((await audit.verify([])).chains).toMatchObject([{ last: 5, anchored: undefined }]);
  });

  it('no fault in what collectors do: other order, lines twice, prefixes, compression, other logs beside it', async () => {
    await audit.written(3);
    const all = await audit.lines();
    const collected = [...all.toReversed(), all[1]!].map((line) => `2026-01-01T00:00:00.0Z stdout F ${line}`);
    await writeFile(`${audit.file}.gz`, gzipSync(`${collected.join('\n')}\n{"level":"info"}\n`));
    const report = await audit.verify(undefined, { files: [`${audit.file}.gz`] });
    expect(report).toMatchObject({ ok: true, others: 1, chains: [{ lines: 5 }] });
  });
});

it('an audit with a line from elsewhere says so', async () => {
  await audit.written(1);
  await appendFile(audit.file, 'hello\n');
  expect(await audit.verify()).toMatchObject({ ok: true, others: 1 });
});
