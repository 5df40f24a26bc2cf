import { execFile } from 'node:child_process';
import { hash } from 'node:crypto';
import { appendFile, mkdir, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { seal, startOfChain } from '../../../broker/audit/chain.ts';
import type { AuditEvent } from '../../../broker/audit/event.ts';
import { useAudit } from '../audit/fixture.ts';
import { built } from '../../support/built.ts';
import { until } from '../../support/wait.ts';
import { begin, ran } from './audit-run.ts';

const audit = useAudit();
const minute = 60_000;
const noon = Date.parse('2026-11-26T12:00:00Z');

/** Lines of one replica, a minute apart. */
function lines(events: readonly Partial<AuditEvent>[], { chain = 'replica-1', from = noon } = {}): string[] {
  let head = startOfChain(chain);
  return events.map((each, index) => {
    const sealed = seal(head, { event: 'exchange', outcome: 'allowed', ...each }, from + index * minute);
    ({ head } = sealed);
    return sealed.line;
  });
}

const exchanges = (count: number, options?: Parameters<typeof lines>[1]) =>
  lines(
    Array.from({ length: count }, (_, index) => ({ grant: `g${index}` })),
    options,
  );
/** A line that is intact, whatever it says. */
function sealedText(body: string): string {
  return `${body.slice(0, -1)},"hash":"${hash('sha256', body)}"}`;
}
const show = async (...argv: string[]) => ran(['audit', 'show', ...argv]);
const grantsOf = (out: string) => Array.from(out.matchAll(/ (g\d+)(?=\s)/g), ([, grant]) => grant);
const path = (name: string) => `${audit.folder}/${name}`;

describe('audit show', () => {
  it('prints each line once and by time, whatever the order of the files, compressed or not', async () => {
    const all = exchanges(9);
    await writeFile(path('a.2.gz'), gzipSync(`${all.slice(0, 4).join('\n')}\n`));
    await writeFile(path('a.1'), `${all.slice(3, 6).join('\n')}\n`);
    await writeFile(path('a'), `${all.slice(5).join('\n')}\n`);
    const { out, err, code } = await show(path('a'), path('a.2.gz'), path('a.1'));
    expect(grantsOf(out)).toEqual(all.map((_, index) => `g${index}`));
    expect([err, code]).toEqual(['', 0]);
  });

  it('puts the lines of replicas between one another', async () => {
    await writeFile(path('a'), `${lines([{ grant: 'g0' }, { grant: 'g2' }, { grant: 'g4' }]).join('\n')}\n`);
    const other = lines([{ grant: 'g1' }, { grant: 'g3' }], { chain: 'replica-2', from: noon + 30_000 });
    await writeFile(path('b'), `${other.join('\n')}\n`);
    expect(grantsOf((await show(path('b'), path('a'))).out)).toEqual(['g0', 'g1', 'g2', 'g3', 'g4']);
  });

  it('reads standard input, what a container runtime wrote before a line, and compressed text', async () => {
    const text = exchanges(3).map((line) => `2026-11-26T12:00:00Z stdout F ${line}\n`);
    const plain = await ran(['audit', 'show', '-'], { stdin: text.join('') });
    expect(grantsOf(plain.out)).toEqual(['g0', 'g1', 'g2']);
    const packed = await ran(['audit', 'show', '-'], { stdin: gzipSync(text.join('')) });
    expect(packed.out).toBe(plain.out);
  });

  it('chooses by time, grant, subject, issuer, event and outcome', async () => {
    await audit.write(
      lines([
        { event: 'started', outcome: 'done' },
        { grant: 'web', issuer: 'ci', subject: 'repo:acme/web' },
        { grant: 'api', issuer: 'ci', subject: 'repo:acme/api', outcome: 'denied', reason: 'claims' },
        { event: 'revoke', outcome: 'done', issuer: 'sso', subject: 'boss', lease: 'r1' },
        { event: 'explain', issuer: 'ci', subject: 'repo:acme/api', asker: { issuer: 'sso', subject: 'boss' } },
      ]),
    );
    const chosen = async (...flags: string[]) => {
      const { out } = await ran(['audit', 'show', audit.file, '-o', 'json', ...flags], { now: noon + 5 * minute });
      return out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).seq]));
    };
    expect(await chosen('--since', '3m')).toEqual([3, 4, 5]);
    expect(await chosen('--since', '2026-11-26T12:01:00Z', '--until', '2026-11-26T13:03:00+01:00')).toEqual([2, 3]);
    expect(await chosen('--since', '2026-11-27')).toEqual([]);
    expect(await chosen('--grant', 'web')).toEqual([2]);
    expect(await chosen('--subject', 'acme/')).toEqual([2, 3, 5]);
    expect(await chosen('--subject', 'boss')).toEqual([4, 5]);
    expect(await chosen('--issuer', 'sso')).toEqual([4, 5]);
    expect(await chosen('--event', 'started', '--event', 'revoke')).toEqual([1, 4]);
    expect(await chosen('--denied')).toEqual([3]);
  });

  it.each(['yesterday', '2026-02-31', '2026-13-01', '-5m', '26.11.2026', ''])('takes %j for no time', async (text) => {
    await audit.write(exchanges(1));
    const { code, err, out } = await show(audit.file, `--since=${text}`);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('--since is no time');
  });

  it('tells and counts what is wrong with lines, and shows all others', async () => {
    const all = exchanges(6);
    all[1] = all[1]!.replace('"g1"', '"g9"');
    all[2] = all[2]!.slice(0, 150);
    await audit.write([...all, 'a line of another log', '{"a":1}']);
    const { out, err, code } = await show(audit.file);
    expect(grantsOf(out)).toEqual(['g0', 'g9', 'g3', 'g4', 'g5']);
    expect(out).toMatch(/g9 +EDITED/);
    expect(err).toContain(`${audit.file}:2: edited`);
    expect(err).toContain(`${audit.file}:3: half a line`);
    expect(err).toContain('2 lines are no audit');
    expect(code).toBe(0);
  });

  it('shows what can be read of a file that is damaged, and the others', async () => {
    const packed = gzipSync(`${exchanges(4000).join('\n')}\n`);
    await writeFile(path('a.gz'), packed.subarray(0, packed.length - 2000));
    await writeFile(path('b'), `${exchanges(1, { chain: 'replica-2', from: noon + 5000 * minute }).join('\n')}\n`);
    const { out, err } = await show(path('a.gz'), path('b'));
    expect(grantsOf(out).length).toBeGreaterThan(1000);
    expect(grantsOf(out).at(-1)).toBe('g0');
    expect(err).toContain('a.gz: cannot be read to its end');
  });

  it('says which file it cannot open', async () => {
    const { code, err } = await show(path('nowhere'));
    expect(code).toBe(2);
    expect(err).toContain('nowhere cannot be read');
  });

  it('lets no text of a line act on a terminal', async () => {
    const evil = '\u001b[2J\u202eweb\u0007\u2028x';
    await audit.write(
      lines([{ grant: evil, subject: evil, issuer: evil, outcome: 'denied', detail: evil, cluster: evil }]),
    );
    for (const flags of [[], ['-o', 'json']]) {
      const { out } = await show(audit.file, ...flags);
      expect(out).toMatch(/web/);
      expect(out.replaceAll('\n', '')).not.toMatch(/[\p{C}\u2028]/u);
    }
  });

  it('prints JSON that can be verified still', async () => {
    await audit.write(exchanges(5));
    const { out } = await show(audit.file, '-o', 'json');
    expect(out.trim().split('\n')).toEqual(await audit.lines());
  });

  it.each([40, 80, 120])('fits a terminal of %i columns', async (columns) => {
    const long = 'repo:acme/a-rather-long-name-of-a-repository:environment:production';
    const [grant, cluster] = ['deploy-the-whole-of-web', 'production-eu-central-1'];
    const denied = { outcome: 'denied', reason: 'claims', failed: [{ claim: 'repository_id', seen: '9' }] } as const;
    await audit.write(lines([{ issuer: 'github', subject: long, grant, cluster, ...denied }, { event: 'kubeconfig' }]));
    const { out } = await ran(['audit', 'show', audit.file], { columns });
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(columns);
    expect(out).toContain('claims of the token do not fit');
  });
});

it.each(['audit show', 'audit show --event exchange', 'audit report --by x', 'audit verify --partial'])(
  '%s: a line of hostile form hides no other',
  async (command) => {
    const rest = `"chain":"evil","seq":1,"event":"exchange","outcome":"allowed","previous":"${'0'.repeat(64)}"}`;
    // Deeper than the stack of whoever writes it again.
    const deep = `${'['.repeat(60_000)}${']'.repeat(60_000)}`;
    const evil = [
      sealedText(`{"time":{"toString":1},${rest}`),
      sealedText(`{"time":"2026-11-26T12:00:00.000Z",${rest.replace('"exchange"', '{"toString":1}')}`),
      sealedText(`{"time":"2026-11-26T12:00:00.000Z","claims":{"x":${deep}},${rest}`),
    ];
    await audit.write([...evil, ...exchanges(2)]);
    const { code, out, err } = await ran([...command.split(' '), audit.file]);
    expect({ code, all: out + err }).toEqual({
      code: expect.toBeOneOf([0, 1]),
      all: expect.not.stringMatching(/unexpected/),
    });
    expect(out).toMatch(/g1|replica-1/);
  },
);

describe('audit show of a large file', () => {
  it('needs no more memory for twenty times as many lines', async () => {
    const { dist } = await built();
    const member = gzipSync(`${exchanges(20_000).join('\n')}\n`, { level: 1 });
    // Members of a compressed file follow on one another (RFC 1952 section 2.2). 150 MB of text.
    await writeFile(path('large.gz'), Buffer.concat(Array.from({ length: 20 }, () => member)));
    // Bounded by V8 itself: what gathers lines ends with an error.
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        '--max-old-space-size=40',
        join(dist, 'kleis-broker.js'),
        'audit',
        'show',
        path('large.gz'),
        '--grant',
        'g19999',
      ],
      { maxBuffer: 4 * 1024 * 1024 },
    );
    expect(grantsOf(stdout).length).toBeGreaterThanOrEqual(1);
  });
});

describe('audit show -f', () => {
  it('goes on over a rotation and a truncation, loses and repeats nothing, and ends when it is interrupted', async () => {
    const all = exchanges(12);
    await audit.write(all.slice(0, 2));
    const showing = begin(['audit', 'show', '-f', audit.file]);
    const seen = async (count: number) =>
      until(`${count} lines`, () => (grantsOf(showing.out()).length >= count ? true : undefined));
    await seen(2);
    // Half a line, and then its other half.
    await appendFile(audit.file, all[2]!.slice(0, 50));
    await new Promise((resolve) => setTimeout(resolve, 700));
    await appendFile(audit.file, `${all[2]!.slice(50)}\n`);
    await seen(3);
    // Written to it until it was moved, and once more to the new one.
    await appendFile(audit.file, `${all[3]!}\n`);
    await rename(audit.file, `${audit.file}.1`);
    await appendFile(`${audit.file}.1`, `${all[4]!}\n`);
    await audit.write(all.slice(4, 7));
    await seen(7);
    await truncate(audit.file, 0);
    await new Promise((resolve) => setTimeout(resolve, 700));
    await audit.write(all.slice(7));
    await seen(12);
    showing.interrupt();
    const { code, out, err } = await showing.ended;
    expect(grantsOf(out)).toEqual(all.map((_, index) => `g${index}`));
    expect(err).toContain('cut the file short');
    expect(code).toBe(0);
  });

  it.each([
    ['a pipe that nobody writes to', async (file: string) => promisify(execFile)('mkfifo', [file])],
    ['a device without end', async (file: string) => symlink('/dev/zero', file)],
    ['a folder', async (file: string) => mkdir(file)],
  ])('waits neither for nor in %s that somebody puts in the place of the file', async (_, put) => {
    const all = exchanges(4);
    await audit.write(all.slice(0, 1));
    await writeFile(path('other'), `${lines([{ grant: 'g90' }], { chain: 'replica-2' }).join('\n')}\n`);
    const showing = begin(['audit', 'show', '-f', audit.file, path('other')]);
    const seen = async (grant: string) =>
      until(grant, () => (grantsOf(showing.out()).includes(grant) ? true : undefined));
    await seen('g90');
    await rename(audit.file, `${audit.file}.1`);
    await put(audit.file);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    const next = lines([{ grant: 'g90' }, { grant: 'g91' }], { chain: 'replica-2' })[1]!;
    await appendFile(path('other'), `${next}\n`);
    await seen('g91');
    await rename(audit.file, `${audit.file}.2`);
    await audit.write(all.slice(1));
    await seen('g3');
    showing.interrupt();
    expect(await showing.ended).toMatchObject({ code: 0 });
  });
});
