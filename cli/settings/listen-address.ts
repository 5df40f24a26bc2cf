import { isLoopback } from '../../shared/net/url.ts';

/** What the field's most used plugin made administrators register; exactly so, without a slash at the end. */
export const defaultListenAddresses = ['localhost:8000', 'localhost:18000'] as const;

/** Where the browser ends after the redirect. */
export const donePath = '/kleis-sign-in';

export const listenPattern = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]):\d{1,5}$/;

/** HOST:PORT on loopback; port 0 is any free one. */
export function isListenAddress(value: string): boolean {
  return listenPattern.test(value) && URL.canParse(`http://${value}`);
}

/**
 * RFC 8252 section 7.3: http on loopback; never with a fragment (RFC 6749 section 3.1.2), nor with a query, which the
 * answer is added to, nor at the path that Kleis uses for itself.
 */
export function isRedirectUri(value: string): boolean {
  const url = URL.parse(value);
  if (url?.protocol !== 'http:' || !isLoopback(url.hostname) || url.pathname === donePath) return false;
  return url.search === '' && url.hash === '' && url.username === '';
}
