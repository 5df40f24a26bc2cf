import { createHash } from 'node:crypto';
import type { Answer } from '../../http/answer.ts';
import { script } from './script.ts';
import { stylesheet } from './stylesheet.ts';

/** Of what an address with its hash gives: nothing else will ever be there. */
const forever = 'public, max-age=31536000, immutable';

interface Asset {
  /** With its hash: what is there never changes. */
  readonly path: string;
  readonly type: string;
  readonly body: string;
}

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5f8a"/><path fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" d="M12.5 18.5a5 5 0 1 1 3.6-8.5 5 5 0 0 1-3.6 8.5Zm3.8-1.2L24.5 25.5m-4-4 2.5-2.5"/></svg>`;

export const assets = {
  stylesheet: asset('css', 'text/css; charset=utf-8', stylesheet),
  script: asset('js', 'text/javascript; charset=utf-8', script),
  icon: asset('svg', 'image/svg+xml; charset=utf-8', icon),
};

function asset(kind: string, type: string, body: string): Asset {
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 16);
  return { path: `/ui/assets/page-${hash}.${kind}`, type, body };
}

/** Undefined for what is none. While one replica is newer than another, a page of the one may ask the other for its style. */
export function assetAt(path: string): Answer | undefined {
  const kind = /^\/ui\/assets\/page-[0-9a-f]{16}(\.\w+)$/.exec(path)?.[1];
  const found = kind && Object.values(assets).find((each) => each.path.endsWith(kind));
  if (!found) return undefined;
  const { type, body } = found;
  return { status: 200, type, body, ...(found.path === path && { cache: forever }) };
}
