import { expect, test } from 'vitest';
import type { ClusterClient } from '../../../../cli/cluster/client.ts';
import { checkSecrets } from '../../../../cli/doctor/cluster/secrets.ts';
import { summarize } from '../../../../cli/doctor/print.ts';

const words = {
  host: 'api',
  kubectl: 'kubectl --context prod',
  cluster: 'prod',
  namespace: 'web',
  platform: 'linux',
} as const;
const total = 100_000;

/** A hundred thousand, of which every tenth is in use. */
const crowded: ClusterClient = {
  host: 'api',
  async ask({ path }) {
    const query = new URL(path, 'https://api').searchParams;
    if (!path.startsWith('/api/v1/secrets?')) return { status: 403, body: {}, text: '', ahead: undefined };
    const from = Number(query.get('continue') ?? 0);
    const items = Array.from({ length: Math.min(Number(query.get('limit')), total - from) }, (_, nth) => ({
      metadata: {
        name: `s-${from + nth}`,
        namespace: `n-${nth}\u001b[2J`,
        annotations: { 'kubernetes.io/service-account.name': 'a' },
        ...((from + nth) % 10 === 0 && { labels: { 'kubernetes.io/legacy-token-last-used': '2026-11-20' } }),
      },
    }));
    const end = from + items.length;
    const metadata = end < total ? { continue: String(end) } : {};
    return { status: 200, body: { kind: 'PartialObjectMetadataList', metadata, items }, text: '', ahead: undefined };
  },
};

test('a hundred thousand are all told, those in use first, and shown as twenty', async () => {
  const findings = await checkSecrets(crowded, undefined, words);
  expect(findings).toHaveLength(total);
  expect(findings.slice(0, total / 10).every(({ code }) => code === 'token_in_use')).toBe(true);
  expect(findings.filter(({ grant }) => grant !== undefined)).toHaveLength(100);
  expect(JSON.stringify(findings)).not.toContain('\\u001b');
  const shown = summarize(findings, '');
  expect(shown.map(({ what }) => what).filter((what) => what.startsWith('And'))).toEqual([
    'And 9990 more like these.',
    'And 89990 more like these.',
  ]);
  expect(shown).toHaveLength(22);
});

test('whoever may list those of one namespace is told of these, and what is not known', async () => {
  const own: ClusterClient = {
    host: 'api',
    async ask({ path }) {
      if (path.startsWith('/api/v1/namespaces/web/secrets?'))
        return crowded.ask({ method: 'GET', path: '/api/v1/secrets?limit=1&continue=99999' });
      return { status: 403, body: { message: 'forbidden' }, text: '', ahead: undefined };
    },
  };
  expect(await checkSecrets(own, undefined, words)).toMatchObject([
    { severity: 'warning', code: 'token_unused' },
    { severity: 'unknown', what: expect.stringContaining('outside of web'), why: 'forbidden.' },
  ]);
});
