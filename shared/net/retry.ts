/**
 * Milliseconds to wait after an attempt (the first is 1): twice as long each time, and by a quarter more or less, so that
 * those who failed together do not come back together.
 */
export function backoff(attempt: number, first: number, longest = Infinity): number {
  return Math.min(first * 2 ** (attempt - 1), longest) * (0.75 + Math.random() / 2);
}

const day = 86_400;

/**
 * `Retry-After` (RFC 9110 section 10.2.3) in whole seconds, at most a day. Undefined where there is none, where it cannot
 * be read, and where its time has come.
 */
export function readRetryAfter(value: string | null | undefined, now: number): number | undefined {
  const text = value?.trim() ?? '';
  const seconds = /^\d+$/.test(text) ? Number(text) : Math.ceil((readDate(text) - now) / 1000);
  return seconds > 0 ? Math.min(seconds, day) : undefined;
}

/** The three forms of RFC 9110 section 5.6.7; NaN for anything else, of which `Date.parse` takes a lot. */
function readDate(text: string): number {
  if (!/^[A-Z][a-z]{2,8},? [\w :-]{10,30}$/.test(text)) return Number.NaN;
  return Date.parse(text.endsWith(' GMT') ? text : `${text} GMT`);
}

/** What a server answers when it is not well or has too much to do; 501 does not pass. */
export function isPassingStatus(status: number): boolean {
  return status === 429 || (status >= 500 && status !== 501);
}
