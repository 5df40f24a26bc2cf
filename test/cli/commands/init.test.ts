import { chmod, chown, mkdir, readlink, rm, symlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { createAuthority } from '../../support/certificates.ts';
import { createKubeconfigWorld, type KubeconfigWorld, sample } from './kubeconfig-world.ts';

// Answers that are wrong, servers that lie, kubeconfigs that cannot be used. The sign-in fails here at once (nobody has a
// browser); with a real provider, broker and API server in test/flow/init.test.ts and one-address.test.ts.

let world: KubeconfigWorld;
let server: Server;
let api: Server;
let [url, apiUrl, authority]: string[] = [];
let document: unknown;
let wellKnown: unknown;

beforeAll(async () => {
  const listen = async (each: Server) => {
    await new Promise<void>((resolve) => each.listen(0, '127.0.0.1', resolve));
    return (each.address() as AddressInfo).port;
  };
  server = createServer(({ url: path = '' }, response) => {
    const answer = path.endsWith('openid-configuration') ? document : path.endsWith('/kleis') ? wellKnown : undefined;
    if (answer === undefined) response.writeHead(404);
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  url = `http://127.0.0.1:${await listen(server)}`;
  const own = await createAuthority();
  authority = own.cert;
  api = createTlsServer(await own.issueServer(['localhost']), (_, response) => response.end('{}'));
  apiUrl = `https://localhost:${await listen(api)}`;
});
afterAll(() => {
  for (const each of [server, api]) {
    each.close();
    each.closeAllConnections();
  }
});
beforeEach(async () => {
  world = await createKubeconfigWorld();
  await world.write('config', sample);
  await world.write('ca.crt', authority!);
  document = {
    issuer: url,
    authorization_endpoint: `${url}/auth`,
    token_endpoint: `${url}/token`,
    scopes_supported: ['openid', 'email', 'profile'],
  };
  wellKnown = undefined;
});
afterEach(() => world.remove());

const init = async (answers: readonly string[], more: object = {}) => {
  // There is no device code here, so that the sign-in fails.
  await mkdir(world.at('.config/kleis'), { recursive: true });
  await world.write('.config/kleis/config.yaml', 'login: device\ncache: none\n');
  return world.kleis(['init'], { answers, ...more });
};
const certificate = () => world.at('ca.crt');
/** Up to the try, which fails; a y then writes it all the same, and the last one says yes to what is shown. */
const cluster = () => ['', apiUrl!, certificate(), 'new'];
const provider = () => [url!, '', ''];
const entries = async (file?: string) => {
  const { contexts, users, clusters, ...rest } = parse(await world.read(file)) as Record<
    string,
    { name: string; user?: { exec: { args: string[] } } }[]
  >;
  const names = (list: { name: string }[] | undefined) => (list ?? []).map(({ name }) => name);
  const args = users?.find(({ name }) => name.startsWith('kleis-'))?.user?.exec.args;
  return {
    contexts: names(contexts),
    users: names(users),
    clusters: names(clusters),
    args,
    current: rest['current-context'],
  };
};
const unchanged = async () => expect(await world.read()).toBe(sample);

describe('an entry by questions', () => {
  test('is what was answered, with the authority inside, after a y to the fault and a y to the change', async () => {
    await world.write('config', '');
    const { code, stdout, stderr } = await init([...cluster(), ...provider(), 'y', 'y']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(/^failed +session +The provider offers no sign-in with a device code/m);
    expect(stderr).toMatch(
      /This adds the user "kleis-new" in \S+\nThis adds the context "new".*\nThis makes "new" the current context/,
    );
    expect(stderr).toMatch(/\nWrote \S+config\.\nTry it: kubectl --context new get pods\n$/);
    expect(await entries()).toEqual({
      contexts: ['new'],
      users: ['kleis-new'],
      clusters: ['new'],
      args: [`--issuer-url=${url}`, '--client-id=kleis', '--scope=email'],
      current: 'new',
    });
    const data = Buffer.from(authority!).toString('base64');
    expect(await world.read()).toContain(`certificate-authority-data: ${data}`);
  });

  test('of a context keeps its cluster, and says what becomes of it before it is written', async () => {
    const before = await world.read();
    const { code, stderr } = await init(['', 'lab', '', url!, 'mine', 'a, b', 'y', 'n', 'y']);
    expect(code).toBe(0);
    expect(stderr).toMatch(/signs in with kubectl oidc-login now\. kleis kubeconfig migrate/);
    expect(stderr).toContain('The provider does not list a b; it may refuse it.');
    expect(stderr).toContain('This changes the context "lab" in');
    expect(await entries()).toMatchObject({
      contexts: ['prod', 'prod-admin', 'lab'],
      clusters: ['prod', 'lab'],
      current: 'prod',
    });
    const text = await world.read();
    expect(text).toContain('--client-id=mine');
    expect(text.split('\n').filter((line) => before.split('\n').includes(line)).length).toBeGreaterThan(25);
  });

  test('begins with what the context says already, if it signs in with Kleis', async () => {
    await world.write(
      'config',
      sample.replace(
        'https://sso.example.com/realms/acme, --broker=https://kleis.example.com, --grant=deploy',
        `${url}, --client-id=own, --scope=profile`,
      ),
    );
    const { stderr } = await init(['', '1', '', '', '', '', 'n']);
    expect(stderr).toContain(`(https://…) [${url}]: `);
    expect(stderr).toContain('registered there [own]: ');
    expect(stderr).toContain('[profile]: ');
  });

  test('asks before it sends a file that the context names as the secret of its client', async () => {
    const secret = await world.write('token-of-another-tool', 'hunter2\n');
    await chmod(secret, 0o600);
    const named = `${url}, --client-id=own, --client-secret-file=${secret}`;
    const kleis = /https:\/\/sso[^,]*, --broker=\S+, --grant=deploy/;
    await world.write('config', sample.replace(kleis, named));
    const { code, stderr } = await init(['', '1', '', '', '', '', 'n']);
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr: expect.stringMatching(/wants to use the secret in \S+token-of-another-tool at .*Allow it\?/),
    });
  });
});

describe('a wrong answer', () => {
  // Each after the answers before it, and followed by the right one.
  type Case = [what: string, before: () => string[], wrong: () => string, why: RegExp, right: () => string];
  const free = () => '';
  test.each<Case>([
    ['an address of the company that is no URL', () => [], () => 'a b', /cannot be used/, free],
    ['one that is plain http', () => [], () => 'http://kleis.example', /neither https nor http on loopback/, free],
    ['one that answers something else', () => [], () => `${url}/nothing`, /does not answer as a Kleis broker/, free],
    ['a server that is plain http', () => [''], () => 'http://prod.example', /must begin with https/, () => 'lab'],
    ['a server with a password', () => [''], () => 'https://u:p@prod.example', /user name or password/, () => 'lab'],
    ['a server that nobody answers at', () => [''], () => '127.0.0.1:9', /connection was refused/, () => 'lab'],
    ['a number that is none', () => [''], () => '77', /"77" is none of them/, () => 'lab'],
    ['nothing', () => [''], () => '', /That was nothing/, () => 'lab'],
    ['an arrow key', () => [''], () => '\u001b[Alab', /holds what cannot be seen: \\u\{1b\}\[Alab/, () => 'lab'],
    ['an authority that is no file', () => ['', apiUrl!], () => '/nothing/there', /nothing\/there/, certificate],
    [
      'an authority that vouches for nobody',
      () => ['', apiUrl!],
      () => world.at('other.crt'),
      /not trusted here/,
      certificate,
    ],
    ['a name of 300 characters', () => ['', 'lab'], () => 'x'.repeat(300), /longer than 253 characters/, () => 'mine'],
    [
      'an issuer that is another by a slash',
      () => ['', 'lab', ''],
      () => `${url}/`,
      /slash at the end matters/,
      () => url!,
    ],
    [
      'an issuer that is no provider',
      () => ['', 'lab', ''],
      () => `${apiUrl}`,
      /Cannot reach|not an OpenID/,
      () => certificate(),
    ],
    [
      'an issuer that is a template',
      () => ['', 'lab', ''],
      () => 'https://x/{tenant}',
      /stands for something else/,
      () => url!,
    ],
    [
      'a client that cannot be',
      () => ['', 'lab', '', url!],
      () => 'x'.repeat(3000),
      /at most 2048 characters/,
      () => 'kleis',
    ],
    ['scopes that cannot be', () => ['', 'lab', '', url!, ''], () => 'a"b', /must be scopes/, () => '-'],
  ])('%s: is said why, and asked again', async (_, before, wrong, why, right) => {
    await world.write('other.crt', (await createAuthority()).cert);
    const { stderr } = await init([...before(), wrong(), right()]);
    expect(stderr).toMatch(why);
    expect(stderr.slice(stderr.search(why))).toMatch(/\n.*: .*\n/);
    expect(stderr).not.toContain('\u001b');
    await unchanged();
  });

  test('three times ends it with 2, and nothing is written', async () => {
    const { code, stderr } = await init(['', '7', '8', '9', 'lab']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/error: "9" is none of them\.\nnext: {2}Type a number of/),
    });
    await unchanged();
  });
});

describe('nothing is written', () => {
  test('wherever the input ends', async () => {
    const all = [...cluster(), ...provider(), 'y', 'n'];
    for (const length of all.keys()) {
      const { code, stderr } = await init(all.slice(0, length));
      // The end of the input is a no to the last questions.
      expect({ length, code }).toEqual({ length, code: length < all.length - 2 ? 130 : expect.any(Number) });
      expect(stderr).not.toContain('Wrote');
    }
    await unchanged();
  });

  test('after a no to what is shown, or to what failed: then with the code of the failure', async () => {
    expect(await init([...cluster(), ...provider(), 'n'])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('next:'),
    });
    expect(await init([...cluster(), ...provider(), 'y', 'n', 'n'])).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('Nothing was changed'),
    });
    await unchanged();
  });

  test('without a terminal, which is told what does the same', async () => {
    const { code, stderr } = await world.kleis(['init']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/no terminal to ask on\.\nnext: .*kleis kubeconfig add NAME --server/),
    });
    await unchanged();
  });

  test.each([
    ['holds tabs', 'clusters:\n\t- name: x\n'],
    ['holds several documents', `${sample}---\n${sample}`],
    ['is huge', `# ${'x'.repeat(17 * 1024 * 1024)}`],
    ['is no mapping', '- a\n'],
    ['has two contexts of one name', sample.replace('users:\n', '# twice\n- {name: lab, context: {}}\nusers:\n')],
    ['has an alias where something would change', 'users: &none []\ncontexts: *none\nclusters: []\n'],
  ])('into a kubeconfig that %s: that is said before anything is asked', async (_, text) => {
    await world.write('config', text);
    const { code, stderr } = await init(['']);
    expect({ code, stderr }).toEqual({ code: 6, stderr: expect.stringMatching(/^error: /) });
    expect(await world.read()).toBe(text);
  });

  test('into one that is read-only, which is said before anything is asked', async () => {
    await chmod(world.at('config'), 0o444);
    // Root may do everything.
    const root = process.geteuid?.() === 0;
    if (root) await chown(world.folder, 65_534, 65_534);
    if (root) process.seteuid?.(65_534);
    try {
      const { code, stderr } = await world.kleis(['init'], { answers: [''] });
      expect({ code, stderr }).toEqual({ code: 6, stderr: expect.stringMatching(/^error: .*no right/) });
    } finally {
      if (root) process.seteuid?.(0);
    }
  });
});

describe('what is odd in a kubeconfig stays', () => {
  test('a link', async () => {
    await world.write('real', sample);
    await rm(world.at('config'));
    await symlink('real', world.at('config'));
    expect(await init([...cluster(), ...provider(), 'y', 'n', 'y'])).toMatchObject({ code: 0 });
    expect(await readlink(world.at('config'))).toBe('real');
    expect((await entries('real')).contexts).toContain('new');
  });

  test('an anchor and its alias', async () => {
    const odd = sample
      .replace('server: "https://api.prod', 'server: &prod "https://api.prod')
      .replace("server: 'https://lab'", 'server: *prod');
    await world.write('config', odd);
    expect(await init(['', 'lab', 'mine', ...provider(), 'y', 'n', 'y'])).toMatchObject({ code: 0 });
    const text = await world.read();
    expect(odd.split('\n').filter((line) => !text.includes(line))).toEqual([]);
    expect(await entries()).toMatchObject({
      clusters: ['prod', 'lab'],
      args: expect.arrayContaining(['--client-id=kleis']),
    });
  });
});

describe('an address that says the rest', () => {
  const offers = (...clusters: readonly object[]) => {
    const signIn = { client_id: 'kleis', scopes: ['email'] };
    const issuers = [{ name: 'sso', issuer: url, audience: 'kleis', sign_in: signIn }];
    wellKnown = {
      issuers,
      clusters: clusters.map((each) => ({ server: apiUrl, certificate_authority: authority, issuer: 'sso', ...each })),
    };
  };

  test('of one cluster asks nothing more', async () => {
    offers({ name: 'far' });
    const { code, stderr } = await init([url!, 'y', 'n', 'y']);
    expect(code).toBe(0);
    expect(stderr).toContain(`There is one for you: far, at ${apiUrl}.`);
    expect((await entries()).contexts).toContain('far');
  });

  test('of many lets one be named, or all be taken with Enter', async () => {
    offers({ name: 'a' }, { name: 'b' }, { name: 'all' });
    expect(await init([url!, 'b', 'y', 'n', 'y'])).toMatchObject({ code: 0 });
    expect((await entries()).contexts).toEqual(['prod', 'prod-admin', 'lab', 'b']);
    expect(await init([url!, '', 'y', 'y'])).toMatchObject({ code: 0 });
    expect((await entries()).contexts).toEqual(['prod', 'prod-admin', 'lab', 'b', 'a', 'all']);
  });

  test('changes no entry of the person without showing it', async () => {
    offers({ name: 'prod' });
    const { code, stderr } = await init([url!, 'y', 'n']);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(/This changes the cluster "prod" in .*\(server: https:\/\/api\.prod\S+ → https:/),
    });
    await unchanged();
  });

  test('of ten thousand with names that are markup shows twenty on a narrow terminal, and no control character', async () => {
    offers(...Array.from({ length: 10_000 }, (_, index) => ({ name: `<b>'"${index}"'</b> $(id)` })));
    const { code, stderr } = await init([url!, `<b>'"9999"'</b> $(id)`, 'y', 'n', 'y'], { columns: 40 });
    expect(code).toBe(0);
    expect(stderr).toContain('and 9980 more');
    const list = stderr.split('\n').filter((line) => /^ +\d+ {2}/.test(line));
    expect(list).toHaveLength(20);
    expect(Math.max(...list.map((line) => line.length))).toBeLessThanOrEqual(40);
    expect(stderr).toContain(String.raw`kubectl --context '<b>'\''"9999"'\''</b> $(id)' get pods`);
    offers({ name: 'a\u001b[2J' });
    expect(await init([url!])).toMatchObject({ stderr: expect.stringContaining('the name of a cluster') });
    wellKnown = `<html>${'x'.repeat(100)}`;
    expect(await init([url!])).toMatchObject({ stderr: expect.stringContaining('does not answer as a Kleis broker') });
    wellKnown = { broker: 'https://other.example', issuers: [] };
    expect(await init([url!])).toMatchObject({
      stderr: expect.stringContaining('it says that it is https://other.example'),
    });
  });
});
