import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatDuration, parseDuration } from '../../shared/duration.ts';

test.each([
  ['15m', 900_000],
  ['90s', 90_000],
  ['1h30m', 5_400_000],
  ['2h0m5s', 7_205_000],
  ['0s', 0],
])('%s is %i ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test.each([
  '',
  '15',
  'm',
  '15 m',
  ' 15m',
  '-1m',
  '1.5h',
  '1m1h',
  '1m1m',
  '15ms',
  '1d',
  '15M',
  '1h ',
  '1_0s',
  '9999999s',
  '٣s',
])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each([
  [0, '0s'],
  [999, '0s'],
  [-5000, '0s'],
  [61_999, '1m1s'],
  [3_600_000, '1h'],
  [90_061_000, '25h1m1s'],
])('%i ms reads %s', (milliseconds, text) => {
  expect(formatDuration(milliseconds)).toBe(text);
});

test('what is formatted, is parsed to the same seconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 999_999 * 3600 }), (seconds) => {
      expect(parseDuration(formatDuration(seconds * 1000))).toBe(seconds * 1000);
    }),
  );
});
