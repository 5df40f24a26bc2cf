import { expect, it } from 'vitest';
import { openClusters } from '../../../broker/cluster/clusters.ts';
import { load } from '../rbac/fixture.ts';

it('what a probe finds that began earlier and ends later does not hide what a newer one found', async () => {
  const answers: ((missing: readonly string[]) => void)[] = [];
  const config = load().config.clusters['prod']!;
  const clusters = openClusters(
    // Nobody listens there: what counts here is when a probe ends.
    { prod: { ...config, server: 'https://127.0.0.1:1', credentials: { tokenFile: '/nowhere', renew: false } } },
    {
      clock: { now: Date.now },
      env: {},
      reviewRights: () => new Promise((resolve) => answers.push(resolve)),
    },
  );
  const prod = clusters.get('prod')!;
  const older = prod.probe();
  const newer = prod.probe();
  const found = 'create secrets in kleis-identities';
  answers[1]!([found]);
  expect((await newer).missing).toEqual([found]);
  answers[0]!([]);
  expect((await older).missing).toEqual([found]);
  expect(prod.health().missing).toEqual([found]);
  const last = prod.probe();
  answers[2]!([]);
  await last;
  expect(prod.health().missing).toEqual([]);
  clusters.close();
});
