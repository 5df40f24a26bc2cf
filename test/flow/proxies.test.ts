import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openCluster } from '../../shared/kube/client.ts';
import { built } from '../support/built.ts';
import { createAuthority, type Authority } from '../support/certificates.ts';
import { failure } from '../support/failure.ts';
import { type RunResult, start } from '../support/run.ts';
import { type SocksServer, type SocksServerOptions, startSocks } from '../support/socks-server.ts';

// A job behind a SOCKS proxy, which alone knows the broker and the cluster by name.

let dist: string;
let folder: string;
let authority: Authority;
let server: Server;
const proxies: SocksServer[] = [];

const token = (() => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: 'https://ci.example', sub: 'job', aud: 'https://broker.example.com', iat: now, exp: now + 600 };
  return `${part({ alg: 'RS256' })}.${part(claims)}.AAAA`;
})();

beforeAll(async () => {
  ({ dist } = await built());
  folder = await mkdtemp(join(tmpdir(), 'kleis-proxies-'));
  authority = await createAuthority();
  const pair = await authority.issueServer(['broker.example.com', 'api.example.com', 'localhost']);
  server = createServer(pair, (_request, response) => {
    response.setHeader('content-type', 'application/json').setHeader('connection', 'close');
    const issuers = [{ name: 'ci', issuer: 'https://ci.example', audience: 'https://broker.example.com' }];
    const issued = {
      access_token: 'minted',
      issued_token_type: 'x',
      token_type: 'Bearer',
      expires_in: 600,
      items: [],
      issuers,
    };
    response.end(JSON.stringify(issued));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await writeFile(join(folder, 'ca.pem'), authority.cert);
});
afterEach(() => {
  for (const proxy of proxies.splice(0)) proxy.stop();
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await rm(folder, { recursive: true });
});

const port = () => (server.address() as AddressInfo).port;

async function startProxy(options: Partial<SocksServerOptions> = {}): Promise<SocksServer> {
  const proxy = await startSocks({ target: port(), ...options });
  proxies.push(proxy);
  return proxy;
}

async function ask(variables: Record<string, string>, config?: string): Promise<RunResult> {
  const home = await mkdtemp(join(folder, 'home-'));
  if (config !== undefined) {
    await mkdir(join(home, '.config', 'kleis'), { recursive: true });
    await writeFile(join(home, '.config', 'kleis', 'config.yaml'), config, { mode: 0o600 });
  }
  const env = { PATH: '/usr/bin:/bin', HOME: home, TOKEN: token, KLEIS_LOG: 'debug', ...variables };
  const flags = ['--identity', 'env:TOKEN', '--broker', 'https://broker.example.com', '--grant', 'g'];
  return start(process.execPath, [join(dist, 'kleis.js'), 'token', ...flags], { env, timeout: 30_000 }).done;
}

describe('a job behind a SOCKS proxy', () => {
  const people = { user: 'ann', password: 'hush' };

  it.each([
    ['HTTPS_PROXY', (url: string) => ask({ HTTPS_PROXY: url, SSL_CERT_FILE: join(folder, 'ca.pem') })],
    ['ALL_PROXY', (url: string) => ask({ ALL_PROXY: url, SSL_CERT_FILE: join(folder, 'ca.pem') })],
    ['config.yaml', (url: string) => ask({ SSL_CERT_FILE: join(folder, 'ca.pem') }, `proxy: ${url}\n`)],
  ])('reaches its broker through that of %s, and never shows its password', async (_place, run) => {
    const proxy = await startProxy(people);
    const result = await run(`socks5h://ann:hush@127.0.0.1:${proxy.port}`);
    expect({ code: result.code, stdout: result.stdout }, result.stderr).toEqual({ code: 0, stdout: 'minted\n' });
    expect(new Set(proxy.asked)).toEqual(new Set(['name broker.example.com:443']));
    expect(result.stderr).not.toContain('hush');
  });

  it.each([
    ['that wants another password', { user: 'ann', password: 'other' }, /wants another user name or password/],
    ['that lets nobody through', { ...people, reply: 2 }, /does not let us through to broker\.example\.com:443/],
    ['that is none', { greeting: 'SSH-2.0-OpenSSH_9.2\r\n' }, /does not speak SOCKS 5/],
  ])('%s is named with what to do, and its password is not shown', async (_name, options, reason) => {
    const proxy = await startProxy(options);
    const result = await ask({ HTTPS_PROXY: `socks5://ann:hush@127.0.0.1:${proxy.port}` });
    expect({ code: result.code, stdout: result.stdout }, result.stderr).toEqual({ code: 5, stdout: '' });
    expect(result.stderr).toMatch(reason);
    expect(result.stderr).toContain(`The proxy 127.0.0.1:${proxy.port} `);
    expect(result.stderr).not.toContain('hush');
  });
});

describe('the proxy-url of a kubeconfig', () => {
  const kubeconfig = (proxy: string, api: string) => `apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "${api}", certificate-authority: ca.pem, proxy-url: "${proxy}"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: t}}]
`;

  it('is for all that goes to its cluster, as for kubectl, whatever NO_PROXY says and wherever the cluster is', async () => {
    const proxy = await startProxy({ user: 'ann', password: 'hush' });
    for (const host of ['api.example.com', 'localhost']) {
      const path = join(folder, 'config');
      await writeFile(path, kubeconfig(`socks5://ann:hush@127.0.0.1:${proxy.port}`, `https://${host}:6443`));
      const env = { NO_PROXY: '*', HTTPS_PROXY: 'http://127.0.0.1:1' };
      const client = openCluster({ credentials: { kubeconfig: path }, now: Date.now, env });
      expect((await client.request('GET', '/api')).status).toBe(200);
      client.close();
    }
    expect(proxy.asked).toEqual(['name api.example.com:6443', 'name localhost:6443']);
  });

  it.each(['socks4://ann:hush@127.0.0.1:1', 'ann:hush', 'http://ann:hush@:80'])(
    'that is none is not quoted: %s',
    async (proxy) => {
      const path = join(folder, 'config');
      await writeFile(path, kubeconfig(proxy, 'https://api.example.com'));
      const client = openCluster({ credentials: { kubeconfig: path }, now: Date.now, env: {} });
      const { message, hint } = await failure(client.request('GET', '/api'));
      expect(message).toMatch(/not an http/);
      expect(`${message}${hint}`).not.toContain('hush');
    },
  );
});
