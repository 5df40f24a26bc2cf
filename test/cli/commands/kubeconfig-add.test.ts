import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createAuthority } from '../../support/certificates.ts';
import { createKubeconfigWorld, type KubeconfigWorld, sample } from './kubeconfig-world.ts';

// What `kleis kubeconfig add` finds before it writes. One server plays a provider at /sso and a broker at /kleis; with real
// ones in test/flow/init.test.ts.

let world: KubeconfigWorld;
let server: Server;
let url: string;
/** What it answers by path; undefined: nothing at all. */
let answers: Record<string, unknown>;

const listen = async (each: Server) => {
  await new Promise<void>((resolve) => each.listen(0, '127.0.0.1', resolve));
  return (each.address() as AddressInfo).port;
};

beforeEach(async () => {
  world = await createKubeconfigWorld();
  await world.write('config', sample);
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', url);
    if (!(pathname in answers)) return response.writeHead(404).end();
    const answer = answers[pathname];
    if (answer === undefined) return;
    if (answer === 'refuse') return response.writeHead(400).end();
    if (answer === 'sign in') {
      return response.writeHead(302, { location: `${searchParams.get('redirect_uri')}?error=login_required` }).end();
    }
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  url = `http://127.0.0.1:${await listen(server)}`;
  answers = { [discovery]: provider(), [wellKnown]: broker(), '/auth': 'sign in' };
});
afterEach(async () => {
  server.close();
  server.closeAllConnections();
  await world.remove();
});

const discovery = '/sso/.well-known/openid-configuration';
const wellKnown = '/kleis/.well-known/kleis';
const provider = (change: object = {}) => ({
  issuer: `${url}/sso`,
  authorization_endpoint: `${url}/auth`,
  token_endpoint: `${url}/token`,
  device_authorization_endpoint: `${url}/device`,
  scopes_supported: ['openid', 'groups'],
  code_challenge_methods_supported: ['S256'],
  ...change,
});
const broker = (change: object = {}) => ({
  broker: `${url}/kleis`,
  issuers: [{ name: 'sso', issuer: `${url}/sso`, audience: 'kleis' }],
  ...change,
});

const nobody = 'https://127.0.0.1:9';

/** Nobody answers at the API server, which warns. */
const add = async (args: readonly string[], surroundings = {}) =>
  world.kubeconfig(['add', 'new', '--server', nobody, '--issuer-url', `${url}/sso`, ...args], surroundings);
const withBroker = ['--broker', () => `${url}/kleis`, '--grant', 'deploy'];
const resolved = (args: readonly (string | (() => string))[]) =>
  args.map((arg) => (typeof arg === 'string' ? arg : arg()));
const without = (name: string) => ({ [name]: undefined });

describe('what cannot work is refused, with what to do, and nothing is written', () => {
  type Case = [what: string, code: number, stderr: RegExp, answers: () => object, args?: (string | (() => string))[]];
  test.each<Case>([
    [
      'an issuer that is another by a slash',
      6,
      /slash at the end matters\. Use --issuer-url \S+\/sso\//,
      () => ({ [discovery]: provider({ issuer: `${url}/sso/` }) }),
    ],
    [
      'an issuer that lies',
      6,
      /calls itself https:\/\/evil\.example/,
      () => ({ [discovery]: provider({ issuer: 'https://evil.example' }) }),
    ],
    [
      'a web page in place of a provider',
      5,
      /a web page, not an OpenID provider.*\n.*--offline writes it/,
      () => ({ [discovery]: '<html>' }),
    ],
    [
      'no provider there',
      5,
      /no OpenID provider at .* \(HTTP 404\)/,
      () => ({}),
      ['--issuer-url', () => `${url}/other`],
    ],
    [
      'a provider that is down',
      5,
      /refused.*\n.*--offline writes it/,
      () => ({}),
      ['--issuer-url', 'http://127.0.0.1:9'],
    ],
    ['a provider that never answers', 5, /has not answered within 6 seconds/, () => without(discovery)],
    [
      'no device code',
      6,
      /offers no device code.*\n.*--login browser/,
      () => ({ [discovery]: provider(without('device_authorization_endpoint')) }),
      ['--login', 'device'],
    ],
    [
      'no device code among the grants',
      6,
      /lists no device code/,
      () => ({ [discovery]: provider({ grant_types_supported: ['authorization_code'] }) }),
      ['--login', 'device'],
    ],
    [
      'no authorization code',
      6,
      /lists no authorization code/,
      () => ({ [discovery]: provider({ grant_types_supported: ['client_credentials'] }) }),
      ['--login', 'browser'],
    ],
    [
      'no address to sign in at',
      6,
      /names no authorization_endpoint/,
      () => ({ [discovery]: provider(without('authorization_endpoint')) }),
      ['--login', 'paste'],
    ],
    [
      'a broker that answers a web page',
      5,
      /does not answer as a Kleis broker/,
      () => ({ [wellKnown]: '<html>' }),
      withBroker,
    ],
    [
      'a broker that is not there',
      5,
      /does not answer as a Kleis broker: it answers with HTTP 404/,
      () => ({}),
      ['--broker', () => `${url}/other`, '--grant', 'x'],
    ],
    ['a broker that never answers', 5, /has not answered within/, () => without(wellKnown), withBroker],
    [
      'a broker that is another one',
      5,
      /it says that it is https:\/\/evil\.example/,
      () => ({ [wellKnown]: broker({ broker: 'https://evil.example' }) }),
      withBroker,
    ],
    [
      'a broker that does not know the provider',
      3,
      /knows the issuer \(none\), and you sign in at \S+\/sso\./,
      () => ({ [wellKnown]: broker({ issuers: [] }) }),
      withBroker,
    ],
    [
      'a grant that is none of those which are listed',
      4,
      /has no grant deploy for you/,
      () => ({
        [wellKnown]: broker({ grants: [{ name: 'view', cluster: 'lab', expires_in: 60, max_expires_in: 60 }] }),
      }),
      withBroker,
    ],
  ])('%s', async (_, code, stderr, change, args = []) => {
    answers = { ...answers, ...change() };
    const result = await add(resolved(args), { impatient: stderr.source.includes('not answered') });
    expect(result).toEqual({ code, stdout: '', stderr: expect.stringMatching(stderr) });
    expect(result.stderr).toMatch(/^next: {2}\S/m);
    expect(await world.read()).toBe(sample);
    expect(await world.files()).toEqual(['config']);
    expect(await add([...resolved(args), '--offline'])).toMatchObject({ code: 0 });
  });

  test('a job whose token would be for somebody else', async () => {
    const job = ['--identity', 'gitlab', '--audience', 'https://other.example', ...resolved(withBroker)];
    const into = ['add', 'new', '--server', nobody, ...job];
    expect(await world.kubeconfig(into)).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('takes tokens for kleis'),
    });
  });

  test('what an address of --from says of a provider', async () => {
    const clusters = [{ name: 'far', server: 'https://far.example.com', issuer: 'sso' }];
    const signIn = { client_id: 'kleis' };
    answers['/.well-known/kleis'] = { issuers: [{ ...broker().issuers[0], sign_in: signIn }], clusters };
    answers[discovery] = provider({ issuer: 'https://evil.example' });
    const from = ['add', '--from', url, '--yes'];
    expect(await world.kubeconfig(from)).toMatchObject({ code: 6, stderr: expect.stringContaining('calls itself') });
    expect(await world.read()).toBe(sample);
    expect(await world.kubeconfig([...from, '--offline'])).toMatchObject({ code: 0 });
  });
});

describe('what may work is written, with a warning', () => {
  type Case = [what: string, stderr: RegExp, answers: () => object, args?: (string | (() => string))[]];
  test.each<Case>([
    ['no S256', /lists no S256/, () => ({ [discovery]: provider({ code_challenge_methods_supported: ['plain'] }) })],
    [
      'scopes that are not listed',
      /does not list a b, which is asked for/,
      () => ({}),
      ['--scope', 'a', '--scope', 'groups', '--scope', 'b'],
    ],
    ['a client that is refused', /does not take the client kleis .* \(HTTP 400\)/, () => ({ '/auth': 'refuse' })],
    [
      'an audience that is not that of the client',
      /takes tokens for kleis, and this one is for other\. An ID token is for/,
      () => ({}),
      ['--client-id', 'other', ...withBroker],
    ],
    ['an API server that does not answer', /Cannot reach 127\.0\.0\.1:9: the connection was refused/, () => ({})],
  ])('%s', async (_, stderr, change, args = []) => {
    answers = { ...answers, ...change() };
    const result = await add(['--login', 'browser', ...resolved(args)]);
    expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(new RegExp(`warning: .*${stderr.source}`)) });
    expect(await world.read()).toContain('kleis-new');
  });

  test('text of the other side rewrites no terminal', async () => {
    answers[discovery] = provider({ issuer: 'https://x\u001b[2J\u202e.example' });
    const { stderr } = await add([]);
    expect(stderr).not.toMatch(/\p{Cf}/u);
    expect(stderr).not.toContain('\u001b');
  });
});

describe('the API server', () => {
  let api: Server;
  let port: number;
  let ca: string;
  beforeEach(async () => {
    const authority = await createAuthority();
    ca = await world.write('ca.crt', authority.cert);
    const tls = await authority.issueServer(['localhost']);
    const version = { major: '1', minor: '36', gitVersion: 'v1.36.0' };
    api = createTlsServer(tls, (_, response) => response.end(JSON.stringify(version)));
    port = await listen(api);
  });
  afterEach(() => {
    api.close();
    api.closeAllConnections();
  });
  const at = async (...args: string[]) => add(['--server', `https://localhost:${port}`, '--login', 'browser', ...args]);

  test('whose authority is given is fine, and so is all the rest: nothing is said of it', async () => {
    const { code, stderr } = await at('--cluster-certificate-authority', ca, ...resolved(withBroker));
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/^Wrote the context new to .*\nTry it: .*\n$/),
    });
  });

  test('whose authority is not given is warned of, with what gives it', async () => {
    const { code, stderr } = await at();
    expect(code).toBe(0);
    expect(stderr).toMatch(/warning: .*authority that is not trusted here\..*--cluster-certificate-authority FILE/);
  });
});

describe('a certificate authority', () => {
  const args = async () => {
    const { users } = parse(await world.read()) as { users: { name: string; user: { exec: { args: string[] } } }[] };
    return users.find(({ name }) => name === 'kleis-new')?.user.exec.args ?? [];
  };
  const flags = () => [
    '--certificate-authority',
    world.at('ca.crt'),
    '--broker-certificate-authority',
    world.at('ca.crt'),
  ];

  test('travels in the entry, unless its path is to stay', async () => {
    const { cert } = await createAuthority();
    await world.write('ca.crt', `# of the office\n${cert}`);
    const data = Buffer.from(cert.trim().concat('\n')).toString('base64');
    const cluster = ['--cluster-certificate-authority', world.at('ca.crt')];
    const all = ['--offline', ...resolved(withBroker), ...flags(), ...cluster];
    expect(await add(all)).toMatchObject({ code: 0 });
    expect(await args()).toEqual(
      expect.arrayContaining([`--certificate-authority-data=${data}`, `--broker-certificate-authority-data=${data}`]),
    );
    expect(await world.read()).toContain(`certificate-authority-data: ${data}`);
    expect(await world.read()).not.toContain(world.folder);
    expect(await add([...all, '--no-embed', '--yes'])).toMatchObject({ code: 0 });
    expect(await args()).toEqual(
      expect.arrayContaining([
        `--certificate-authority=${world.at('ca.crt')}`,
        `--broker-certificate-authority=${world.at('ca.crt')}`,
      ]),
    );
  });

  test('that is too large for an entry which could be used is refused, with what to do', async () => {
    const { cert } = await createAuthority();
    await world.write('ca.crt', cert.repeat(60));
    const refused = await add(['--offline', '--certificate-authority', world.at('ca.crt')]);
    expect(refused).toMatchObject({ code: 6, stderr: expect.stringMatching(/too large.*\nnext: .*--no-embed/) });
    expect(await world.read()).toBe(sample);
    expect(await add(['--offline', '--no-embed', '--certificate-authority', world.at('ca.crt')])).toMatchObject({
      code: 0,
    });
  });
});
