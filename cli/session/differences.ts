import { nameOf } from '../provider/tokens.ts';
import type { SessionEntry } from './contract.ts';
import type { SessionInfo } from './file-format.ts';

/** What settings a session may differ in from another of the same person at the same provider. */
const parts: readonly (readonly [string, (what: SessionInfo['what']) => string])[] = [
  ['client', ({ clientId }) => clientId],
  [
    'scopes',
    ({ scopes }) =>
      [...scopes]
        .filter((scope) => scope !== 'openid')
        .toSorted()
        .join(' ') || 'none',
  ],
  ['account', ({ account = 'none' }) => account],
  ['audience', ({ audience = 'none' }) => audience],
  ['resource', ({ resource = 'none' }) => resource],
];

/** By its key, what tells a session from those that would read the same: `scopes email groups`. */
export function describeDifferences(entries: readonly SessionEntry[]): ReadonlyMap<string, string> {
  const alike = new Map<string, SessionInfo[]>();
  for (const entry of entries) {
    if (!('info' in entry)) continue;
    const { info } = entry;
    const name = JSON.stringify([nameOf(info.subject), info.what.issuerUrl]);
    alike.set(name, [...(alike.get(name) ?? []), info]);
  }
  const found = new Map<string, string>();
  for (const infos of alike.values()) {
    if (infos.length === 1) continue;
    const differing = parts.filter(([, read]) => new Set(infos.map(({ what }) => read(what))).size > 1);
    const texts = infos.map(({ what }) => differing.map(([name, read]) => `${name} ${read(what)}`).join(', '));
    for (const [index, info] of infos.entries()) {
      const text = texts[index]!;
      const isUnique = text !== '' && texts.filter((each) => each === text).length === 1;
      found.set(info.key, isUnique ? text : `${text === '' ? '' : `${text}, `}id ${info.key.slice(0, 12)}`);
    }
  }
  return found;
}
