import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { needs } from './needs.ts';
import { startSecretService } from './secret-service.ts';

describe.skipIf(!needs('secret-service'))('the Secret Service of the tests', () => {
  it('keeps a secret while it runs, and begins empty each time', async () => {
    for (let round = 0; round < 2; round += 1) {
      const service = await startSecretService();
      try {
        const tool = (args: string[], input = '') =>
          execFileSync('secret-tool', args, { env: { ...process.env, ...service.env }, input }).toString();
        expect(() => tool(['lookup', 'kleis', 'test'])).toThrow(/Command failed/);
        tool(['store', '--label=test', 'kleis', 'test'], 'value');
        expect(tool(['lookup', 'kleis', 'test'])).toBe('value');
      } finally {
        await service.stop();
      }
    }
  });
});
