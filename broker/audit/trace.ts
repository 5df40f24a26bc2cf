import { isObject } from '../../shared/json.ts';
import { type Said, textOf } from './describe.ts';
import type { Entry } from './entries.ts';

/** One token that a broker minted, as its line tells of it. */
export interface MintedToken {
  readonly jti: string;
  /** Empty if nothing but its end ends it. */
  readonly lease: string;
  readonly grant: string;
  readonly cluster: string;
  /** namespace/name */
  readonly account: string;
  /** RFC 3339 */
  readonly minted: string;
  readonly expires: string;
}

/** Lines that are about one token or lease, in their order. */
export interface Trace {
  /** At most so many; `more` is the number of the others. */
  readonly entries: readonly Entry[];
  readonly more: number;
  readonly tokens: readonly MintedToken[];
}

const maxEntries = 1000;
/** Members that an id can be in. */
const places = ['lease', 'jti', 'subjectJti', 'subjectSha256', 'requestId'] as const;

/** `JTI=…`, as API servers write it, is the same without. */
export function plainId(id: string): string {
  return id.startsWith('JTI=') ? id.slice(4) : id;
}

/**
 * The lines that name `id`: a lease, the `jti` of a minted token or of a subject token, the SHA-256 of a subject token, or a
 * request. What happens later to what they minted belongs to them.
 */
export async function traceOf(id: string, entries: AsyncIterable<Entry>): Promise<Trace> {
  const wanted = new Set([id]);
  const found: Entry[] = [];
  const tokens: MintedToken[] = [];
  let more = 0;
  for await (const entry of entries) {
    const { record } = entry;
    if (!isAbout(record, wanted)) continue;
    if (found.length < maxEntries) found.push(entry);
    else more += 1;
    const token = tokenOf(record);
    if (token === undefined || tokens.length >= maxEntries) continue;
    tokens.push(token);
    wanted.add(token.jti);
    if (token.lease !== '') wanted.add(token.lease);
  }
  return { entries: found, more, tokens };
}

function isAbout(record: Said, wanted: ReadonlySet<string>): boolean {
  const { asker } = record;
  return [record, ...(isObject(asker) ? [asker] : [])].some((said) =>
    places.some((place) => typeof said[place] === 'string' && wanted.has(said[place])),
  );
}

function tokenOf(record: Said): MintedToken | undefined {
  const [jti, expires] = [textOf(record, 'jti', 128), textOf(record, 'expires', 40)];
  if (record['event'] !== 'exchange' || jti === '' || expires === '') return undefined;
  const of = (name: string) => textOf(record, name, 300);
  const minted = textOf(record, 'time', 40);
  return {
    jti,
    expires,
    minted,
    lease: of('lease'),
    grant: of('grant'),
    cluster: of('cluster'),
    account: of('account'),
  };
}
