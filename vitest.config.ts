import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { Summary } from './test/support/summary.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Processes, since tests change their environment, umask and handlers of signals.
    pool: 'forks',
    // Each worker may start an API server with etcd: more than a few at a time only make one another late.
    maxWorkers: Math.min(availableParallelism(), 4),
    testTimeout: 20_000,
    hookTimeout: 60_000,
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', new Summary()],
    coverage: { provider: 'v8', include: ['cli/**', 'broker/**', 'shared/**'], reporter: ['text-summary', 'html'] },
  },
});
