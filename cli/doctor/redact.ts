const hidden = '[redacted]';

/** A JWT, whole or cut off, and what else has the form of a bearer token in a header. */
const tokens = /\b[\w-]{10,}\.[\w-]{10,}\.[\w-]*|\beyJ[\w-]{6,}(?:\.[\w-]*)*|(?<=\b(?:bearer|basic)\s+)\S+/gi;
/** The user and password of a URL, and what a query may hold. */
const userinfo = /(?<=:\/\/)[^/?#\s@]*@/g;
const queries = /(?<=[?&](?:[\w-]*(?:token|secret|password|code|key|assertion|state|nonce)[\w-]*)=)[^&\s#]+/gi;
/** `client_secret=…`, and a header with cookies. */
const named = /(?<=(?:password|passwd|secret|token)=["']?)[^\s"',;}]+|(?<=cookie:\s*)\S.*/gi;
const pem = /-----BEGIN [^-]*PRIVATE KEY-----[\s\S]*?(?:-----END [^-]*PRIVATE KEY-----|$)/g;

/**
 * Takes out of a value for a stranger whatever is known to be secret, and whatever looks as if it were: of every text in
 * it, names included.
 */
export function redact<T>(value: T, secrets: readonly string[]): T {
  // The longest first: a secret may hold another.
  const known = secrets.filter((secret) => secret.length >= 4).toSorted((a, b) => b.length - a.length);
  const clear = (text: string): string => {
    let result = text;
    for (const secret of known) result = result.replaceAll(secret, hidden);
    return result
      .replace(pem, hidden)
      .replace(tokens, hidden)
      .replace(userinfo, `${hidden}@`)
      .replace(queries, hidden)
      .replace(named, hidden);
  };
  const walk = (each: unknown): unknown => {
    if (typeof each === 'string') return clear(each);
    if (Array.isArray(each)) return each.map(walk);
    if (typeof each !== 'object' || each === null) return each;
    return Object.fromEntries(Object.entries(each).map(([name, content]) => [clear(name), walk(content)]));
  };
  return walk(value) as T;
}
