import dns from 'node:dns';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createAuthority } from '../../support/certificates.ts';
import { until } from '../../support/wait.ts';
import { type AppWorld, grants, request, startAppWorld } from '../routes/world.ts';

let world: AppWorld;

beforeAll(async () => {
  world = await startAppWorld();
});
afterAll(() => world.stop());

describe('transport', () => {
  it('without TLS is for named proxies alone, and only for what came to them with TLS', async () => {
    const open = await world.start({ listen: { address: '0.0.0.0:0' }, trustedProxies: ['192.0.2.1'] });
    const { port } = new URL(open.url);
    const url = `http://127.0.0.1:${port}`;
    const refused = await request(`${url}/.well-known/kleis`);
    expect([refused.status, refused.body.code]).toEqual([403, 'proxy_untrusted']);
    expect((await request(`${url}/healthz`)).status).toBe(200);

    const behind = await world.start({ listen: { address: '0.0.0.0:0' }, trustedProxies: ['loopback'] });
    const inner = `http://127.0.0.1:${new URL(behind.url).port}/.well-known/kleis`;
    expect((await request(inner, { headers: { 'x-forwarded-proto': 'https' } })).status).toBe(200);
    expect((await request(inner, { headers: { 'x-forwarded-proto': 'http' } })).status).toBe(403);
  });

  it.each(['127.0.0.1:0', '[::1]:0', 'localhost:0'])('without TLS is for this machine at %s', async (address) => {
    const local = await world.start({ listen: { address } });
    expect((await local.call('/.well-known/kleis')).status).toBe(200);
    expect((await local.exchange(await world.issue())).status).toBe(200);
  });

  it('at localhost asks nobody where that is', async () => {
    const lookup = vi.spyOn(dns, 'lookup');
    try {
      const local = await world.start({ listen: { address: 'localhost:0' } });
      expect((await request(`http://127.0.0.1:${new URL(local.url).port}/.well-known/kleis`)).status).toBe(200);
      expect(lookup.mock.calls.filter(([host]) => host === 'localhost')).toEqual([]);
    } finally {
      lookup.mockRestore();
    }
  });

  it('with TLS takes a renewed certificate, and keeps the old one while the new one cannot be used', async () => {
    const [first, second] = [await createAuthority(), await createAuthority()];
    const certFile = join(world.folder, 'tls.crt');
    const keyFile = join(world.folder, 'tls.key');
    const put = async ({ cert, key }: { cert: string; key: string }) => {
      await writeFile(keyFile, key);
      await writeFile(certFile, cert);
    };
    await put(await first.issueServer(['127.0.0.1']));
    const secure = await world.start({ listen: { address: '127.0.0.1:0', tls: { certFile, keyFile } } });
    const healthy = async (ca: string) => (await request(`${secure.url}/healthz`, {}, ca)).status;
    expect(await healthy(first.cert)).toBe(200);

    await writeFile(certFile, 'half a certificate');
    await secure.reconfigure({ grants: {} });
    await until('the fault', () => secure.lines().find(({ fault }) => fault !== undefined));
    expect(await healthy(first.cert)).toBe(200);

    await put(await second.issueServer(['127.0.0.1']));
    await secure.reconfigure({ grants });
    await until('the new certificate', async () => healthy(second.cert).catch(() => undefined));
    await expect(healthy(first.cert)).rejects.toThrow('certificate');
  });
});
