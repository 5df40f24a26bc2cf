import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { startSuite } from './world.ts';

const { broker } = await startSuite();

it('GET / of a broker without a page says what it is and how to begin, and nothing of its configuration', async () => {
  const { status, text, headers } = await broker.call('/');
  expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
  expect(text).toContain('kleis kubeconfig add --from');
  expect(text).not.toMatch(/kleis\.example\.com|prod|deploy-web|github\.example/);
  const style = /<style>([^<]*)<\/style>/.exec(text)?.[1] ?? '';
  const hash = createHash('sha256').update(style).digest('base64');
  expect(headers['content-security-policy']).toContain(`style-src 'sha256-${hash}'`);
  expect(headers['content-security-policy']).not.toContain('unsafe');
});
