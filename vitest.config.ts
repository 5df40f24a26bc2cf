import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { Summary } from './test/support/summary.ts';

/** Whole stories, queues, faults and real servers: what takes long. `npm run test:fast` leaves it out. */
const slow = [
  'test/flow/**/*.test.ts',
  'test/support/**/*.test.ts',
  'test/**/*-real.test.ts',
  'test/**/{ambient,claim,faults,keyring,launcher,launcher-hostile,launcher-queue,store-keyring}.test.ts',
  'test/broker/{check,leases}/*.test.ts',
  'test/broker/deploy/chart-*.test.ts',
  'test/broker/cluster/{mint,own-token,restart}.test.ts',
  'test/broker/audit/{file,logrotate}.test.ts',
  'test/broker/commands/audit-show.test.ts',
  'test/broker/service/{rights,unwell}.test.ts',
  'test/house/monitoring.test.ts',
  'test/broker/issuers/{cluster-keys,key-source,keys,keys-and-jose}.test.ts',
  'test/broker/{http/connections,routes/issuer-keys,service/health-log,config/reload}.test.ts',
  'test/shared/{kube/client,net/http}.test.ts',
  'test/broker/commands/serve.test.ts',
  'test/broker/web/{admin,hostile,in-chromium,issued,sign-in}.test.ts',
  'test/cli/kubeconfig/{add,edit}.test.ts',
  'test/cli/credentials/cache.test.ts',
  'test/cli/settings/of-context.test.ts',
  'test/cli/sign-in/{browser,device,sign-in}.test.ts',
  'test/cli/broker/client.test.ts',
  'test/cli/program.test.ts',
  'test/cli/commands/token.test.ts',
  'test/cli/session/client-files.test.ts',
  'test/security/*.test.ts',
];

export default defineConfig({
  test: {
    projects: [
      { extends: true, test: { name: 'fast', include: ['test/**/*.test.ts'], exclude: slow } },
      { extends: true, test: { name: 'slow', include: slow } },
    ],
    // Processes, since tests change their environment, umask and handlers of signals.
    pool: 'forks',
    // Each worker may start an API server with etcd: more than a few at a time only make one another late.
    maxWorkers: Math.min(availableParallelism(), 4),
    // Of the tests within a file that run beside each other; each starts servers and browsers of its own.
    maxConcurrency: Math.min(availableParallelism(), 4),
    // What is to be fast is measured; these only end what hangs, on a busy machine too.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    setupFiles: ['test/support/setup.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', new Summary()],
    coverage: { provider: 'v8', include: ['cli/**', 'broker/**', 'shared/**'], reporter: ['text-summary', 'html'] },
  },
});
