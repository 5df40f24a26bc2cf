import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isTrustFailure } from '../../../shared/net/network-errors.ts';
import { backoff, isPassingStatus, readRetryAfter } from '../../../shared/net/retry.ts';

const now = Date.parse('2026-11-26T12:00:00Z');

describe('Retry-After', () => {
  test.each([
    ['7', 7],
    [' 7 ', 7],
    ['0', undefined],
    ['86400', 86_400],
    ['86401', 86_400],
    ['9'.repeat(400), 86_400],
    // The three forms of RFC 9110 section 5.6.7.
    ['Thu, 26 Nov 2026 12:01:30 GMT', 90],
    ['Thursday, 26-Nov-26 12:01:30 GMT', 90],
    ['Thu Nov 26 12:01:30 2026', 90],
    ['Thu, 26 Nov 2026 11:59:00 GMT', undefined],
    ['Thu, 26 Nov 2026 12:00:00 GMT', undefined],
    ['Fri, 31 Dec 2999 23:59:59 GMT', 86_400],
    ['', undefined],
    ['soon', undefined],
    ['-7', undefined],
    ['7.5', undefined],
    ['7 s', undefined],
    ['2027', 2027],
    ['2027-01-01', undefined],
    [null, undefined],
    [undefined, undefined],
  ])('%j', (value, seconds) => expect(readRetryAfter(value, now)).toBe(seconds));

  test('is whole seconds, never none and never more than a day, whatever is sent', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
        ),
        (text) => {
          const seconds = readRetryAfter(text, now);
          expect(seconds === undefined || (Number.isInteger(seconds) && seconds > 0 && seconds <= 86_400)).toBe(true);
        },
      ),
    );
  });
});

test('the time between attempts doubles, within a quarter, up to its bound', () => {
  for (let round = 0; round < 200; round += 1) {
    for (const [attempt, usual] of [
      [1, 100],
      [2, 200],
      [3, 400],
      [9, 1000],
    ] as const) {
      const wait = backoff(attempt, 100, 1000);
      expect(wait).toBeGreaterThanOrEqual(usual * 0.75);
      expect(wait).toBeLessThanOrEqual(usual * 1.25);
    }
  }
});

test('what passes is 429 and what a server says that is not well', () => {
  expect([429, 500, 502, 503, 504, 599].every(isPassingStatus)).toBe(true);
  expect([200, 302, 400, 401, 403, 404, 408, 501].some(isPassingStatus)).toBe(false);
});

describe('a certificate is no better in half a second', () => {
  const withCode = (code: string, cause?: unknown) => Object.assign(new Error('x', { cause }), { code });
  test.each([
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'HOSTNAME_MISMATCH',
    'INVALID_CA',
    'PATH_LENGTH_EXCEEDED',
    'EPROTO',
  ])('%s, at whatever depth', (code) => {
    expect(isTrustFailure(withCode(code))).toBe(true);
    expect(isTrustFailure(withCode('provider_unavailable', withCode(code)))).toBe(true);
    expect(isTrustFailure(new AggregateError([withCode('ETIMEDOUT'), withCode(code)]))).toBe(true);
  });
  test.each(['ECONNRESET', 'ETIMEDOUT', 'ENOTFOUND', 'provider_unavailable'])('but %s may be', (code) =>
    expect(isTrustFailure(withCode(code))).toBe(false),
  );
  test('nor is what is no error', () => expect([undefined, null, 'EPROTO', {}].some(isTrustFailure)).toBe(false));
});
