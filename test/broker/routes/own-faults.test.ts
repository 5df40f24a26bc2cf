import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority } from '../../support/certificates.ts';
import { until } from '../../support/wait.ts';
import { type AppWorld, startAppWorld } from './world.ts';

let world: AppWorld;

beforeAll(async () => {
  world = await startAppWorld();
});
afterAll(() => world.stop());

/** What the operator's files may be like when a broker needs them. */
const spoilt: readonly [string, (files: { token: string; authority: string }) => Promise<unknown>][] = [
  ['a token file that is not there', async ({ token }) => rm(token)],
  ['a token file with nothing in it', async ({ token }) => writeFile(token, '\n')],
  ['a token file with something else in it', async ({ token }) => writeFile(token, 'two words')],
  ['an authority that is not there', async ({ authority }) => rm(authority)],
  ['an authority that is no certificate', async ({ authority }) => writeFile(authority, 'no certificate')],
];

describe('a fault of the operator', () => {
  it.each(spoilt)('(%s) is told in the log and the audit, and not to the caller', async (_, spoil) => {
    const [token, authority] = [join(world.folder, 'own-token'), join(world.folder, 'own-ca')];
    await writeFile(token, 'x');
    await writeFile(authority, (await createAuthority()).cert);
    const credentials = { tokenFile: token };
    await spoil({ token, authority });
    const broker = await world.start({
      state: { memory: true },
      clusters: { prod: { server: world.state.cluster.server, certificateAuthority: authority, credentials } },
    });
    for (const scope of ['deploy-web', 'plain']) {
      const { status, body, text, headers } = await broker.exchange(await world.issue(), { scope });
      expect([status, body.error, body.code]).toEqual([503, 'temporarily_unavailable', 'cluster_unavailable']);
      expect(text).not.toContain(world.folder);
      expect(Number(headers['retry-after'])).toBeGreaterThan(0);
      const id = headers['x-request-id'];
      const [event] = (await broker.audit()).filter(({ requestId }) => requestId === id);
      expect(String(event!['detail'])).toMatch(/cluster prod, unavailable: .*own-(token|ca)|certificate/);
      const line = await until('a line', () => broker.lines().find(({ requestId }) => requestId === id));
      expect(line).toMatchObject({ level: 'warn', detail: event!['detail'] });
    }
  });
});
