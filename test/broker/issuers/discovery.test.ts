import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { checkKeysUrl, discoveredKeys, fileKeys, type DiscoveryDeps } from '../../../broker/issuers/discovery.ts';
import { createFetch, type Fetch } from '../../../shared/net/http.ts';
import { createAuthority, type Authority } from '../../support/certificates.ts';
import { makeKey, manualClock, startIssuer, type SigningKey, type TestIssuer } from './fixture.ts';

let key: SigningKey;
let authority: Authority;
let folder: string;
const stops: (() => Promise<void>)[] = [];
const clock = manualClock();
const deps: DiscoveryDeps = {
  now: () => clock.now(),
  fetchFor: (options) => createFetch({ ...options, timeout: 1_000, env: {}, now: Date.now }),
};

beforeAll(async () => {
  key = await makeKey('k');
  authority = await createAuthority();
  folder = await mkdtemp(join(tmpdir(), 'kleis-subject-'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

async function running(...args: Parameters<typeof startIssuer>): Promise<TestIssuer> {
  const issuer = await startIssuer(...args);
  stops.push(issuer.stop);
  return issuer;
}

describe('discovery', () => {
  it('finds the keys of an issuer with a path, with or without a slash at its end', async () => {
    const issuer = await running([key], { path: '/realms/acme' });
    expect((await discoveredKeys(issuer, deps)()).keys).toHaveLength(1);
    const slashed = `${issuer.url}/`;
    issuer.discovery = (document) => ({ ...document, issuer: slashed });
    expect((await discoveredKeys({ url: slashed }, deps)()).keys).toHaveLength(1);
    expect(new Set(issuer.seen)).toEqual(
      new Set(['/realms/acme/.well-known/openid-configuration', '/realms/acme/keys']),
    );
  });

  it('over https trusts the certificate authority of that issuer alone, and a new one as soon as the file has it', async () => {
    const tls = await authority.issueServer(['localhost']);
    const issuer = await running([key], { tls, host: 'localhost' });
    await expect(discoveredKeys(issuer, deps)()).rejects.toThrow(/not trusted/);
    const file = join(folder, 'ca.pem');
    await writeFile(file, (await createAuthority('Another CA')).cert);
    const load = discoveredKeys({ url: issuer.url, certificateAuthority: file }, deps);
    await expect(load()).rejects.toThrow(/not trusted/);
    await writeFile(file, authority.cert);
    expect((await load()).keys).toHaveLength(1);
    await rm(file);
    await expect(load()).rejects.toThrow(/ca\.pem cannot be read: it does not exist/);
  });

  it('reads the document once an hour, and again when the keys are gone from where they were', async () => {
    const issuer = await running([key]);
    const load = discoveredKeys(issuer, deps);
    await load();
    await load();
    expect(issuer.count('openid-configuration')).toBe(1);
    issuer.before = (request, response) => {
      if (request.url !== '/keys') return false;
      response.writeHead(410).end();
      return true;
    };
    await expect(load()).rejects.toThrow(/HTTP 410/);
    issuer.before = undefined;
    await load();
    expect(issuer.count('openid-configuration')).toBe(2);
    clock.advance(3_600_001);
    await load();
    expect(issuer.count('openid-configuration')).toBe(3);
  });

  it.each([
    [undefined, 600],
    ['max-age=900, public', 900],
    ['public,max-age=900', 900],
    ['s-maxage=5', 600],
    ['max-age=0', 60],
    ['no-store', 600],
    ['max-age=86400', 3600],
    ['max-age=99999999999999', 3600],
    ['max-age=-1', 600],
  ])('Cache-Control %s keeps keys fresh for %i s', async (cacheControl, seconds) => {
    const issuer = await running([key]);
    issuer.cacheControl = cacheControl;
    expect((await discoveredKeys(issuer, deps)()).maxAge).toBe(seconds * 1000);
  });

  it('does not import the same keys again', async () => {
    const issuer = await running([key]);
    const load = discoveredKeys(issuer, deps);
    expect((await load()).keys).toBe((await load()).keys);
  });

  it.each<[string, (document: Record<string, unknown>) => unknown, RegExp]>([
    ['another issuer', (document) => ({ ...document, issuer: 'https://evil.example' }), /another issuer/],
    [
      'the issuer with a slash',
      (document) => ({ ...document, issuer: `${String(document['issuer'])}/` }),
      /another issuer/,
    ],
    ['no issuer', ({ jwks_uri }) => ({ jwks_uri }), /another issuer/],
    ['no place of keys', ({ issuer }) => ({ issuer }), /jwks_uri/],
    ['a relative place', (document) => ({ ...document, jwks_uri: '/keys' }), /jwks_uri/],
    ['a file', (document) => ({ ...document, jwks_uri: 'file:///etc/passwd' }), /not over https/],
    ['plain http elsewhere', (document) => ({ ...document, jwks_uri: 'http://keys.example/k' }), /not over https/],
    ['null', () => null, /another issuer/],
    ['a page', () => '<html></html>', /something else than a discovery document/],
  ])('with %s is a fault', async (_what, alter, reason) => {
    const issuer = await running([key]);
    issuer.discovery = alter;
    await expect(discoveredKeys(issuer, deps)()).rejects.toThrow(reason);
    expect(issuer.count('/keys')).toBe(0);
  });

  it('over plain http ends at loopback, without a request', async () => {
    let asked = 0;
    const counting: Fetch = () => {
      asked += 1;
      return Promise.reject(new Error('asked'));
    };
    const load = discoveredKeys({ url: 'http://issuer.example.com' }, { ...deps, fetchFor: () => counting });
    await expect(load()).rejects.toThrow(/neither https nor http on loopback/);
    expect(asked).toBe(0);
  });
});

describe('jwks_uri', () => {
  const names: Readonly<Record<string, readonly string[]>> = {
    'issuer.example.com': ['93.184.216.34'],
    'keys.example.com': ['93.184.216.35', '2606:2800:220::1'],
    'sneaky.example.com': ['93.184.216.36', '10.0.0.7'],
    'mapped.example.com': ['::ffff:169.254.169.254'],
    'kubernetes.default.svc': ['10.96.0.1'],
    // Never asked: decision 52.
    localhost: ['93.184.216.37'],
  };
  const lookup = (host: string) => Promise.resolve(names[host] ?? []);
  const check = (issuer: string, target: string) => checkKeysUrl(new URL(issuer), new URL(target), lookup);

  it.each([
    ['https://issuer.example.com', 'https://issuer.example.com/keys'],
    ['https://issuer.example.com', 'https://issuer.example.com:8443/keys'],
    ['https://issuer.example.com', 'https://keys.example.com/keys'],
    ['https://issuer.example.com', 'https://only-the-proxy-knows.example/keys'],
    ['https://kubernetes.default.svc', 'https://10.0.0.1:6443/openid/v1/jwks'],
    ['https://10.0.0.2', 'https://10.0.0.1/keys'],
    ['http://localhost:8080', 'http://127.0.0.1:8080/keys'],
  ])('of %s may be %s', async (issuer, target) => {
    await expect(check(issuer, target)).resolves.toBeUndefined();
  });

  it.each([
    ['https://issuer.example.com', 'http://issuer.example.com/keys'],
    ['https://issuer.example.com', 'http://127.0.0.1/keys'],
    ['https://issuer.example.com', 'https://user:pw@issuer.example.com/keys'],
    ['https://issuer.example.com', 'https://127.0.0.1/keys'],
    ['https://issuer.example.com', 'https://2130706433/keys'],
    ['https://issuer.example.com', 'https://0x7f.1/keys'],
    ['https://issuer.example.com', 'https://localhost/keys'],
    ['https://issuer.example.com', 'https://[::1]/keys'],
    ['https://issuer.example.com', 'https://[::ffff:10.0.0.1]/keys'],
    ['https://issuer.example.com', 'https://[fd00::1]/keys'],
    ['https://issuer.example.com', 'https://[fe80::1]/keys'],
    ['https://issuer.example.com', 'https://169.254.169.254/latest/meta-data'],
    ['https://issuer.example.com', 'https://0.0.0.0/keys'],
    ['https://issuer.example.com', 'https://100.64.0.1/keys'],
    ['https://issuer.example.com', 'https://sneaky.example.com/keys'],
    ['https://issuer.example.com', 'https://mapped.example.com/keys'],
    ['https://issuer.example.com', 'https://kubernetes.default.svc/openid/v1/jwks'],
    ['http://localhost:8080', 'http://keys.example.com/keys'],
  ])('of %s may not be %s', async (issuer, target) => {
    await expect(check(issuer, target)).rejects.toThrow(/jwks_uri names/);
  });
});

describe('a file of keys', () => {
  it('is read again when it has changed', async () => {
    const file = join(folder, 'keys.json');
    await writeFile(file, JSON.stringify({ keys: [key.jwk] }));
    const load = fileKeys(file);
    const { keys } = await load();
    expect(keys.map(({ kid }) => kid)).toEqual(['k']);
    expect((await load()).keys).toBe(keys);
    const other = await makeKey('other');
    await writeFile(`${file}.new`, JSON.stringify({ keys: [other.jwk] }));
    await rename(`${file}.new`, file);
    expect((await load()).keys.map(({ kid }) => kid)).toEqual(['other']);
    await writeFile(file, '{');
    await expect(load()).rejects.toThrow(/not JSON/);
    await rm(file);
    await expect(load()).rejects.toThrow(/cannot be read/);
  });
});
