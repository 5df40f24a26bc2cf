import { expect, test } from 'vitest';
import { checkSupport } from '../../../../cli/doctor/cluster/releases.ts';

const at = (date: string, text: string) => {
  const minor = Number(/^v1\.(\d+)/.exec(text)?.[1]);
  return checkSupport({ text, minor }, Date.parse(date));
};

test.each([
  ['2026-11-26', 'v1.36.3', 'ok', 'until 2027-06-28, as known on'],
  ['2027-06-27', 'v1.36.3', 'ok', 'until 2027-06-28'],
  ['2027-06-28', 'v1.36.3', 'warning', 'on 2027-06-28'],
  ['2026-11-26', 'v1.30.14', 'warning', 'on 2025-07-15'],
  ['2026-11-26', 'v1.32.0', 'warning', 'before 2026-06-28'],
  ['2026-11-26', 'v1.9.0', 'warning', 'before 2025-07-15'],
  ['2026-11-26', 'v1.99.0', 'unknown', 'newer than this Kleis'],
])('on %s %s is %s: %s', (date, text, severity, words) => {
  expect(at(date, text)).toMatchObject({ severity, what: expect.stringContaining(words) });
});

test('a vendor may support what upstream does not', () => {
  expect(at('2026-11-26', 'v1.30.14-eks-1').why).toContain('vendor');
  expect(at('2026-11-26', 'v1.30.14').why).not.toContain('vendor');
  expect(checkSupport(undefined, 0)).toMatchObject({ severity: 'unknown' });
});
