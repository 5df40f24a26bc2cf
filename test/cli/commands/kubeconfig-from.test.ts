import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createKubeconfigWorld, type KubeconfigWorld, sample } from './kubeconfig-world.ts';

// What an address that lies can do to a kubeconfig; with a real broker in test/flow/one-address.test.ts.

let world: KubeconfigWorld;
let server: Server;
let url: string;
let document: unknown;

beforeEach(async () => {
  world = await createKubeconfigWorld();
  await world.write('config', sample);
  server = createServer((_, response) => response.end(JSON.stringify(document)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await world.remove();
});

const issuer = { name: 'sso', issuer: 'https://sso.example.com', audience: 'kleis', sign_in: { client_id: 'kleis' } };
const offers = (...clusters: readonly object[]) => {
  document = { issuers: [issuer], clusters: clusters.map((cluster) => ({ issuer: 'sso', ...cluster })) };
};
const add = async (...args: string[]) => world.kubeconfig(['add', '--offline', '--from', url, ...args]);

describe('an address that names what is in the kubeconfig already', () => {
  test('leads no other context elsewhere, with --yes either', async () => {
    offers({ name: 'prod', server: 'https://evil.example.com' });
    const { code, stderr } = await add('--yes');
    expect(code).toBe(2);
    expect(stderr).toMatch(/cluster "prod", which your context "prod-admin" uses too \(server: .* → .*evil/);
    expect(await world.read()).toBe(sample);
  });

  test('gives no other context another user', async () => {
    const own = sample.replaceAll('admin', 'kleis-sso');
    await world.write('config', own);
    offers({ name: 'new', server: 'https://new.example.com' });
    const { code, stderr } = await add('--yes');
    expect(code).toBe(2);
    expect(stderr).toContain('user "kleis-sso", which your context "prod-kleis-sso" uses too');
    expect(await world.read()).toBe(own);
  });

  test('replaces with --yes what the written context alone uses', async () => {
    offers({ name: 'lab', server: 'https://lab.example.com' });
    expect(await add('--yes')).toMatchObject({ code: 0 });
    expect(await world.read()).toContain('https://lab.example.com');
  });
});

describe('names that an address chooses', () => {
  test('stay values of the flags that they are for', async () => {
    const client = '--browser-command=touch /tmp/pwned';
    document = {
      issuers: [{ ...issuer, sign_in: { client_id: client, scopes: ['--cache=none', '-v'] } }],
      clusters: [{ name: '--kubeconfig=x', server: 'https://a.example.com', issuer: 'sso' }],
    };
    expect(await add('--yes')).toMatchObject({ code: 0 });
    const { users } = parse(await world.read()) as { users: { name: string; user: { exec: { args: string[] } } }[] };
    const { args } = users.find(({ name }) => name === 'kleis-sso')!.user.exec;
    expect(args).toEqual([
      '--issuer-url=https://sso.example.com',
      `--client-id=${client}`,
      '--scope=--cache=none',
      '--scope=-v',
    ]);
  });

  test('are one word of the command that a person is told to copy', async () => {
    offers({ name: "x'; touch /tmp/pwned; echo $(id) '", server: 'https://a.example.com' });
    const { code, stderr } = await add('--yes');
    expect(code).toBe(0);
    expect(stderr).toContain(String.raw`kubectl --context 'x'\''; touch /tmp/pwned; echo $(id) '\''' auth whoami`);
  });
});

test('ten thousand clusters are written with --all alone, in seconds', async () => {
  offers(
    ...Array.from({ length: 10_000 }, (_, index) => ({ name: `c${index}`, server: `https://c${index}.example.com` })),
  );
  expect(await add('--yes')).toMatchObject({ code: 2, stderr: expect.stringContaining('10000 contexts') });
  expect(await add('--yes', '--all')).toMatchObject({ code: 0 });
}, 60_000);
