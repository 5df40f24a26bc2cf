import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClusterCall, ClusterClient } from '../../../cli/cluster/client.ts';
import { listObjects } from '../../../cli/cluster/list.ts';
import { KleisError } from '../../../shared/errors.ts';
import { failure } from '../../support/failure.ts';

interface Item {
  readonly name: number;
  readonly size: number;
}

/** A server that holds these, takes pages of at most `most` bytes, and remembers what it was asked. */
function serve(items: readonly Item[], most = Infinity): ClusterClient & { readonly calls: ClusterCall[] } {
  const calls: ClusterCall[] = [];
  return {
    host: 'api.example.com',
    calls,
    async ask(call) {
      calls.push(call);
      const query = new URL(call.path, 'https://api.example.com').searchParams;
      const from = Number(query.get('continue') ?? 0);
      const page = items.slice(from, from + Number(query.get('limit')));
      if (page.reduce((sum, { size }) => sum + size, 0) > most) {
        const cause = new KleisError('provider_invalid', 'too much');
        throw new KleisError('cluster_unavailable', 'too much', { cause });
      }
      const end = from + page.length;
      const metadata = end < items.length ? { continue: String(end) } : {};
      return answer({ kind: 'PartialObjectMetadataList', metadata, items: page.length === 0 ? null : page });
    },
  };
}

const answer = (body: Record<string, unknown>, status = 200) => ({ status, body, text: '', ahead: undefined });
const path = '/api/v1/secrets';
const read = ({ name }: Readonly<Record<string, unknown>>) => Number(name);
const said = (body: Record<string, unknown>, status = 200): ClusterClient => ({
  host: 'x',
  ask: async () => answer(body, status),
});

describe('a list of an API server', () => {
  it('is read whole and in order, however its objects and the bounds of an answer fall', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 1500 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 50, max: 5000 }), async (drawn, most) => {
        const items = drawn.map((size, name) => ({ size, name }));
        const listed = await listObjects(serve(items, most), { path, read });
        expect(listed).toEqual({ kind: 'read', complete: true, items: items.map(({ name }) => name) });
      }),
      { numRuns: 40 },
    );
  });

  it('asks for metadata alone, with its selector, on every page', async () => {
    const server = serve(Array.from({ length: 1200 }, (_, name) => ({ name, size: 1 })));
    await listObjects(server, { path, read, metadataOnly: true, fieldSelector: 'type=a/b' });
    expect(server.calls).toHaveLength(3);
    for (const call of server.calls) {
      expect(call.accept).toBe('application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1');
      expect(call.path).toContain('fieldSelector=type%3Da%2Fb');
    }
  });

  it('of one object that is too large by itself is an error, and no endless loop', async () => {
    const error = await failure(listObjects(serve([{ name: 1, size: 100 }], 50), { path, read }));
    expect(error).toMatchObject({ code: 'cluster_unavailable' });
  });

  it('that goes in a circle ends, and says that it is not whole', async () => {
    const circle = said({ kind: 'SecretList', metadata: { continue: 'again' }, items: [{ name: 1 }] });
    expect(await listObjects(circle, { path, read })).toEqual({ kind: 'read', complete: false, items: [1, 1] });
  });

  it.each([
    ['without objects', () => answer({ kind: 'SecretList', metadata: { continue: String(Math.random()) } }), 500],
    [
      'of endless objects',
      () => ({
        ...answer({ kind: 'SecretList', metadata: { continue: String(Math.random()) }, items: [{ name: 1 }] }),
        text: { length: 32 * 1024 * 1024 } as string,
      }),
      8,
    ],
  ])('whose pages %s never end ends, and says that it is not whole', async (_, page, pages) => {
    let calls = 0;
    const ask = async () => {
      calls += 1;
      return page();
    };
    expect(await listObjects({ host: 'x', ask }, { path, read })).toMatchObject({ kind: 'read', complete: false });
    expect(calls).toBe(pages);
  });

  it.each([
    ['a refusal', said({ kind: 'Status', message: 'no\u001b[2J' }, 403), { status: 403, message: 'no [2J' }],
    ['a page of something else', said({ hello: 1 }), { status: 200, message: 'HTTP 200' }],
    ['items that are none', said({ kind: 'SecretList', items: 'x' }), { status: 200 }],
  ])('%s is told in clean words', async (_, server, expected) => {
    expect(await listObjects(server, { path, read })).toMatchObject({ kind: 'refused', ...expected });
  });
});
