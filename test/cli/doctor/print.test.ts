import type { WriteStream } from 'node:tty';
import { describe, expect, it } from 'vitest';
import { ok, warning } from '../../../cli/doctor/finding.ts';
import { printFindings, summarize } from '../../../cli/doctor/print.ts';

const pipe = { stdout: { isTTY: false } as WriteStream, env: {} };
const many = (count: number) =>
  Array.from({ length: count }, (_, nth) => ({
    ...warning('secrets', 'token', `Secret ${nth}.`, { why: 'For ever.', next: `delete ${nth}` }),
    grant: 'a:\n  b: c\u001b[2J',
  }));

describe('findings of one kind', () => {
  it('are ten and a number; all of them are counted, and why is said once', () => {
    const findings = [ok('server', 'It answers.'), ...many(1234)];
    const shown = summarize(findings, 'with -o json');
    expect(shown).toHaveLength(12);
    const text = printFindings(shown, pipe, findings);
    expect(text).toContain('And 1224 more like these.');
    expect(text.match(/why: For ever\./g)).toHaveLength(1);
    expect(text.match(/next: delete/g)).toHaveLength(10);
    expect(text).toMatch(/\n {18}grant:\n {20}a:\n {22}b: c \[2J\n/);
    expect(text).toMatch(/\n0 failed, 1234 warnings, 0 unknown, 1 ok\n$/);
  });

  it('are all shown where they are ten, and in the order in which they came', () => {
    const shown = summarize(many(10), '');
    expect(shown.map(({ what }) => what)).toEqual(many(10).map(({ what }) => what));
    expect(summarize(many(11), '').at(-1)).toMatchObject({ what: 'And 1 more like it.' });
  });
});
