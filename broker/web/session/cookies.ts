/**
 * Cookies of this host alone (RFC 6265bis section 4.1.3.2): no other host of the domain can set one, and no script reads
 * one. `Lax`: the way back from the provider is a navigation from its site.
 */
const attributes = 'Path=/; Secure; HttpOnly; SameSite=Lax';

export type CookieName = `__Host-kleis-${string}`;

/** `Set-Cookie`; `maxAge` in seconds. */
export function setCookie(name: CookieName, value: string, maxAge: number): string {
  return `${name}=${value}; Max-Age=${Math.max(0, Math.floor(maxAge))}; ${attributes}`;
}

export function clearCookie(name: CookieName): string {
  return setCookie(name, '', 0);
}

/**
 * By name; what comes twice is nobody's. Node has bounded the header. Only the blanks between cookies are taken off: a name
 * with U+00A0 before it has no prefix for a browser, so that any host of the domain may set it, but has one after `trim`.
 */
export function readCookies(header: string | undefined): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const twice = new Set<string>();
  for (const given of (header ?? '').split(';')) {
    const part = given.replace(/^[ \t]+/, '');
    const equals = part.indexOf('=');
    const name = part.slice(0, equals);
    if (equals === -1 || !name.startsWith('__Host-kleis-')) continue;
    if (found.has(name)) twice.add(name);
    found.set(name, part.slice(equals + 1));
  }
  for (const name of twice) found.delete(name);
  return found;
}
