import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAuthority } from '../../support/certificates.ts';
import type { Person } from '../../support/kleis.ts';
import { createWorld, said, type World } from '../../flow/world.ts';
import { json, makeToken, page, redirect, startTestServer, type Received, type TestServer } from '../identity/world.ts';

// The programs as they are installed, in jobs of CI platforms, beside a server that answers as a broker does.

let world: World;
let broker: TestServer;
let job: Person;
let minted: number;

const live = { iat: Math.floor(Date.now() / 1000), exp: Math.floor(Date.now() / 1000) + 3600 };
const subjectOf = (name: string, claims = {}) => makeToken({ ...live, aud: broker.url, sub: name, ...claims });
const issuersWanting = (audience: string) => ({
  issuers: [
    { name: 'github', issuer: 'https://token.actions.githubusercontent.com', audience },
    { name: 'ci', issuer: 'https://issuer.test', audience },
    { name: 'sso', issuer: 'https://login.test', audience: 'kleis' },
  ],
});

beforeAll(async () => {
  [world, broker] = await Promise.all([createWorld(), startTestServer()]);
});

afterAll(async () => {
  await Promise.all([world?.end(), broker?.stop()]);
});

beforeEach(async () => {
  job = await world.person();
  minted = 0;
  broker.received.length = 0;
  broker.answer((request, response) => {
    if (request.url === '/.well-known/kleis') return json(issuersWanting(broker.url))(request, response);
    if (request.url === '/revoke') return json({ revoked: true, dead_within: 10, lease: 'l-1' })(request, response);
    minted += 1;
    return json({
      access_token: `minted-${minted}`,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 900,
      scope: form(request)['scope'],
      lease: `l-${minted}`,
      revocable: true,
      cluster: 'prod',
    })(request, response);
  });
});

afterEach(async () => world.removePeople());

const form = (request: Received | undefined) => Object.fromEntries(new URLSearchParams(request?.body));
const exchanges = () => broker.received.filter(({ url }) => url === '/token');
const flags = (identity: string) => ['--identity', identity, '--broker', broker.url, '--grant', 'deploy-web'];
const gitlab = (id: string): Record<string, string> => ({
  GITLAB_CI: 'true',
  CI_JOB_ID: id,
  KLEIS_ID_TOKEN: subjectOf(`job-${id}`),
});

function asKubectl(server = 'https://prod.test:6443', config: unknown = null): Record<string, string> {
  const spec = { cluster: { server, config }, interactive: false };
  const info = { kind: 'ExecCredential', apiVersion: 'client.authentication.k8s.io/v1', spec };
  return { KUBERNETES_EXEC_INFO: `${JSON.stringify(info)}\n` };
}

/** Each time another process asks: the same one asking again means that the server said 401. */
const ask = (args: readonly string[], env: Record<string, string>, kubectl = asKubectl()) =>
  job.run('/bin/sh', ['-c', '"$@"; exit $?', 'client', 'kleis-credential', ...args], { env: { ...kubectl, ...env } });
const tokenOf = (result: { stdout: string; stderr: string }) =>
  (
    JSON.parse(result.stdout || `{"status":{"token":${JSON.stringify(result.stderr)}}}`) as {
      status: { token: string };
    }
  ).status.token;

describe('a job asks with kubectl', () => {
  it('and gets what the broker gives for its identity, once; the next call needs no Node', async () => {
    const first = await ask(flags('gitlab'), gitlab('1'));
    expect(said(first)).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(first.stdout)).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'minted-1', expirationTimestamp: expect.stringMatching(/Z$/) },
    });
    expect(form(exchanges()[0])).toMatchObject({
      subject_token: gitlab('1')['KLEIS_ID_TOKEN'],
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      scope: 'deploy-web',
    });
    const nodes = await job.nodeStarts();
    expect((await ask(flags('gitlab'), gitlab('1'))).stdout).toBe(first.stdout);
    expect(await job.nodeStarts()).toBe(nodes);
    expect(exchanges()).toHaveLength(1);
  });

  it('and job B on the same runner never gets what job A got', async () => {
    for (const identity of ['gitlab', 'auto']) {
      const a = tokenOf(await ask(flags(identity), gitlab('A')));
      const b = tokenOf(await ask(flags(identity), gitlab('B')));
      expect(b).not.toBe(a);
      expect(tokenOf(await ask(flags(identity), gitlab('A')))).toBe(a);
    }
    expect(exchanges()).toHaveLength(4);
  });

  it('a token from a variable or file is its own key: only Node answers, and never for another token', async () => {
    const path = join(job.home, 'token');
    for (const identity of ['env:TOKEN', `file:${path}`, 'kubernetes']) {
      const as = async (name: string) => {
        await writeFile(path, subjectOf(name));
        return tokenOf(await ask(flags(identity), { TOKEN: subjectOf(name), KLEIS_KUBERNETES_TOKEN_FILE: path }));
      };
      const a = await as('A');
      const nodes = await job.nodeStarts();
      const before = exchanges().length;
      expect(await as('A')).toBe(a);
      expect(await job.nodeStarts()).toBeGreaterThan(nodes);
      expect(exchanges()).toHaveLength(before);
      expect(await as('B')).not.toBe(a);
    }
    const names = await readdir(join(job.home, 'run/kleis'));
    for (const name of names.filter((one) => /^\d/.test(one))) {
      // What the launcher may read: which claim to queue at, and nothing to print.
      expect(await readFile(join(job.home, 'run/kleis', name), 'utf8')).toMatch(/^T=''$/m);
    }
    expect(names.filter((name) => /^own-[0-9a-f]{32}$/.test(name))).toHaveLength(6);
  });

  it('GitHub is asked for a token for the URL of the broker, with a new token for each exchange', async () => {
    const platform = await startTestServer();
    platform.answer(json({ value: subjectOf('gh') }));
    const env = {
      GITHUB_ACTIONS: 'true',
      GITHUB_RUN_ID: '1',
      GITHUB_RUN_ATTEMPT: '1',
      GITHUB_JOB: 'deploy',
      ACTIONS_ID_TOKEN_REQUEST_URL: `${platform.url}/token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'bearer',
    };
    expect(tokenOf(await ask(flags('github'), env))).toBe('minted-1');
    expect(platform.received[0]?.url).toBe(`/token?api-version=2.0&audience=${encodeURIComponent(broker.url)}`);
    const nodes = await job.nodeStarts();
    expect(tokenOf(await ask(flags('github'), env))).toBe('minted-1');
    expect(await job.nodeStarts()).toBe(nodes);
    const leg = { ...env, ACTIONS_ID_TOKEN_REQUEST_URL: `${platform.url}/token/2?api-version=2.0` };
    expect(tokenOf(await ask(flags('github'), leg))).toBe('minted-2');
    expect(broker.received.filter(({ url }) => url === '/.well-known/kleis')).toHaveLength(1);
    await platform.stop();
  });

  it('the same process that asks again was refused: it gets a new token', async () => {
    for (const identity of ['gitlab', 'env:KLEIS_ID_TOKEN']) {
      const before = minted;
      const twice = 'kleis-credential "$@"; kleis-credential "$@"; exit $?';
      const { stdout } = await job.run('/bin/sh', ['-c', twice, 'client', ...flags(identity)], {
        env: { ...asKubectl(), ...gitlab('1') },
      });
      expect(stdout).toContain(`minted-${before + 1}`);
      expect(stdout).toContain(`minted-${before + 2}`);
    }
  });

  it('a token that no broker is named for goes to the cluster as it is, until it ends', async () => {
    const { stdout } = await ask(['--identity', 'gitlab', '--audience', broker.url], gitlab('1'));
    expect(JSON.parse(stdout)).toMatchObject({ status: { token: gitlab('1')['KLEIS_ID_TOKEN'] } });
    const other = await ask(['--identity', 'gitlab', '--audience', 'other'], gitlab('1'));
    expect(other).toMatchObject({ code: 3, stdout: '', stderr: expect.stringContaining(`meant for ${broker.url}`) });
    expect(broker.received).toEqual([]);
  });

  it('the cluster names its grant, and it wins over the flag', async () => {
    const kubectl = asKubectl('https://prod.test:6443', { grant: 'of-the-cluster' });
    await ask([...flags('gitlab'), '--ttl', '20m'], gitlab('1'), kubectl);
    expect(form(exchanges()[0])).toMatchObject({ scope: 'of-the-cluster', expires_in: '1200' });
  });

  it('nothing is kept with --cache none', async () => {
    await ask([...flags('gitlab'), '--cache', 'none'], gitlab('1'));
    await ask([...flags('gitlab'), '--cache', 'none'], gitlab('1'));
    expect(minted).toBe(2);
    const kept = await readdir(join(job.home, 'run/kleis'));
    for (const name of kept) expect(await readFile(join(job.home, 'run/kleis', name), 'utf8')).not.toContain('minted');
  });
});

describe('who receives a token does not choose its audience', () => {
  const github = (platform: TestServer) => ({
    GITHUB_ACTIONS: 'true',
    ACTIONS_ID_TOKEN_REQUEST_URL: `${platform.url}/token?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'bearer',
  });
  const naming = (audience: string) =>
    broker.answer((request, response) =>
      request.url === '/.well-known/kleis'
        ? json(issuersWanting(audience))(request, response)
        : json({ error: 'invalid_request', code: 'grant_denied', message: 'No.', request_id: 'r' }, 400)(
            request,
            response,
          ),
    );

  it.each(['sts.amazonaws.com', 'https://kleis.example.com', 'kleis', 'https://127.0.0.1'])(
    'a broker that names %s, which is not its URL, is refused with both, and no platform is asked',
    async (audience) => {
      const platform = await startTestServer();
      platform.answer(json({ value: subjectOf('gh', { aud: audience }) }));
      const agent = join(job.bin, 'buildkite-agent');
      await writeFile(agent, `#!/bin/sh\ntouch '${job.home}/asked'; echo '${subjectOf('bk', { aud: audience })}'\n`, {
        mode: 0o755,
      });
      naming(audience);
      const token = subjectOf('t', { aud: audience });
      const path = join(job.home, 'token');
      await writeFile(path, token);
      for (const [identity, env] of [
        ['github', github(platform)],
        ['buildkite', { BUILDKITE: 'true', BUILDKITE_JOB_ID: 'b-1' }],
        ['gitlab', { ...gitlab('1'), KLEIS_ID_TOKEN: token }],
        ['circleci', { CIRCLECI: 'true', CIRCLE_WORKFLOW_JOB_ID: 'c', CIRCLE_OIDC_TOKEN_V2: token }],
        ['kubernetes', { KLEIS_KUBERNETES_TOKEN_FILE: path }],
        [`file:${path}`, {}],
        ['env:TOKEN', { TOKEN: token }],
      ] as const) {
        const { code, stdout, stderr } = await ask(flags(identity), env);
        expect({ code, stdout }, identity).toEqual({ code: 3, stdout: '' });
        expect(stderr).toContain(`the audience ${audience}`);
        expect(stderr).toContain(`its own URL ${broker.url}`);
      }
      expect(platform.received).toEqual([]);
      expect(await readdir(job.home)).not.toContain('asked');
      expect(exchanges()).toEqual([]);
      await platform.stop();
    },
    60_000,
  );

  it('but the kubeconfig, its extension for the cluster and config.yaml can say that it is the broker of that name', async () => {
    const platform = await startTestServer();
    platform.answer(json({ value: subjectOf('gh', { aud: 'kleis-internal' }) }));
    naming('kleis-internal');
    const asked = () => platform.received.map(({ url }) => new URL(url, platform.url).searchParams.get('audience'));
    await ask([...flags('github'), '--audience', 'kleis-internal'], github(platform));
    await ask(flags('github'), github(platform), asKubectl('https://prod.test:6443', { audience: 'kleis-internal' }));
    await job.writeConfig({ brokerAudiences: { [broker.url]: 'kleis-internal', 'https://other.test': 'other' } });
    await ask(flags('github'), github(platform));
    expect(asked()).toEqual(['kleis-internal', 'kleis-internal', 'kleis-internal']);
    expect(exchanges()).toHaveLength(3);
    await platform.stop();
  });

  it('a token that lies ready for somebody else does not leave the machine, whoever it lies ready from', async () => {
    for (const [identity, env] of [
      ['gitlab', { ...gitlab('1'), KLEIS_ID_TOKEN: subjectOf('x', { aud: 'vault' }) }],
      ['env:TOKEN', { TOKEN: subjectOf('x', { aud: ['vault', 'sts.amazonaws.com'] }) }],
    ] as const) {
      const { code, stderr } = await ask(flags(identity), env);
      expect(code).toBe(3);
      expect(stderr).toMatch(/meant for vault.*, not for http/);
    }
    expect(exchanges()).toEqual([]);
  });

  it('a token for the cluster itself needs to be for somebody who is named', async () => {
    const result = await ask(['--identity', 'env:TOKEN'], { TOKEN: subjectOf('x') });
    expect(said(result)).toMatchObject({ code: 2, stdout: '' });
    expect(result.stderr).toContain('--audience');
  });
});

describe('a job that gets nothing reads why', () => {
  it('denied: exit 4, with the reason, the next step and the request id, and nothing on stdout', async () => {
    const denial = {
      error: 'invalid_request',
      code: 'grant_denied',
      message: 'No such grant is yours.',
      hint: 'Ask ops.',
    };
    broker.answer(json({ ...denial, request_id: 'req-7' }, 400));
    const result = await ask(flags('gitlab'), gitlab('1'));
    expect(said(result)).toMatchObject({ code: 4, stdout: '' });
    expect(result.stderr).toMatch(/No such grant is yours\. \(request req-7\)\nnext: {2}Ask ops\./);
    expect(result.stderr).not.toContain('eyJ');
  });

  it('an audience that the broker does not take: which one it wants, and how to get it', async () => {
    broker.answer(
      json({ error: 'invalid_request', code: 'subject_audience', message: 'Wrong audience.', request_id: 'r' }, 400),
      json({ issuers: [{ name: 'gitlab', issuer: 'https://issuer.test', audience: 'https://kleis.test' }] }),
    );
    const { code, stderr } = await ask([...flags('gitlab'), '--audience', broker.url], gitlab('1'));
    expect(code).toBe(3);
    expect(stderr).toContain('id_tokens: { KLEIS_ID_TOKEN: { aud: https://kleis.test } }');
  });

  it.each([
    ['GitHub without the permission', 'github', { GITHUB_ACTIONS: 'true' }, 6, /id-token: write/],
    ['no token', 'gitlab', { GITLAB_CI: 'true', CI_JOB_ID: '1' }, 6, /id_tokens/],
    ['no job at all', 'auto', {}, 6, /--identity/],
    ['a secret that is no token', 'env:SECRET', { SECRET: 'hunter2-hunter2' }, 3, /not have three parts/],
    ['a token that ended', 'env:OLD', { OLD: makeToken({ exp: 1_000_000 }) }, 3, /ended at/],
  ])('%s', async (_, identity, env, code, why) => {
    const result = await ask(flags(identity), env);
    expect(said(result)).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(why);
    expect(result.stderr).not.toContain('hunter2');
    expect(exchanges()).toEqual([]);
  });

  it('a server that is no broker: exit 5, and the token goes nowhere else', async () => {
    const other = await startTestServer();
    for (const answer of [page(), redirect(`${other.url}/token`)]) {
      broker.answer(answer);
      expect(await ask([...flags('gitlab'), '--force'], gitlab('1'))).toMatchObject({ code: 5, stdout: '' });
    }
    expect(other.received).toEqual([]);
    await other.stop();
  });

  it.each([
    [
      ['--identity', 'gitlab', '--broker', 'http://kleis.example.com', '--grant', 'x'],
      /neither https nor http on loopback/,
    ],
    [['--identity', 'gitlab', '--broker', 'https://kleis.test'], /--grant/],
    [['--identity', 'gitlab', '--grant', 'x'], /give --broker too/],
    [['--identity', 'gitlab', '--issuer-url', 'https://login.test'], /--issuer-url is for a sign-in/],
    [['--identity', 'env:A B'], /names no variable/],
    [['--identity', 'jenkins'], /file:PATH and env:NAME/],
    [['--identity', 'github'], /permission|--audience/],
    [
      [...['--identity', 'gitlab', '--broker', 'https://kleis.test'], '--grant', 'two words'],
      /not the name of a grant/,
    ],
  ])('flags that cannot be meant: %j', async (args, why) => {
    const result = await ask(args, gitlab('1'));
    expect([2, 6]).toContain(result.code);
    expect(result.stderr).toMatch(why);
    expect(exchanges()).toEqual([]);
  });
});

describe('a script', () => {
  const kleis = (args: readonly string[], env: Record<string, string> = gitlab('1'), stdin?: string) =>
    job.run('kleis', args, { env, ...(stdin !== undefined && { stdin }) });
  const token = (...more: string[]) => kleis(['token', ...flags('gitlab'), ...more]);

  it('gets one token, in whatever form it can use', async () => {
    expect(await token()).toMatchObject({ code: 0, stdout: 'minted-1\n', stderr: '' });
    const { stdout } = await token('-o', 'json');
    expect(JSON.parse(stdout)).toEqual({
      token: 'minted-1',
      expiresAt: expect.stringMatching(/^\d{4}.*Z$/),
      grant: 'deploy-web',
      cluster: 'prod',
      lease: 'l-1',
      revocable: true,
    });
    const authority = join(job.home, 'ca.crt');
    await writeFile(authority, (await createAuthority()).cert);
    const cluster = ['--server', 'https://prod.test:6443', '--cluster-certificate-authority', authority];
    const { stdout: env } = await token('-o', 'env', ...cluster, '--tls-server-name', "it's");
    const show =
      'eval "$KLEIS_ENV"; printf "%s|%s|%s|%s" "$KUBE_TOKEN" "$KUBE_HOST" "$KUBE_TLS_SERVER_NAME" "$KUBE_CLUSTER_CA_CERT_DATA"';
    const shown = await job.run('/bin/sh', ['-c', show], { env: { KLEIS_ENV: env } });
    expect(shown.stdout).toBe(`minted-1|https://prod.test:6443|it's|${await readFile(authority, 'utf8')}`);
    const { stdout: kubeconfig } = await token('-o', 'kubeconfig', ...cluster, '--namespace', 'web');
    const { parse } = await import('yaml');
    expect(parse(kubeconfig)).toMatchObject({
      'current-context': 'kleis',
      clusters: [{ cluster: { server: 'https://prod.test:6443' } }],
      contexts: [{ context: { namespace: 'web' } }],
      users: [{ user: { token: 'minted-1' } }],
    });
    expect(exchanges()).toHaveLength(1);
    expect(await kleis(['token', ...flags('gitlab')], gitlab('2'))).toMatchObject({ stdout: 'minted-2\n' });
    expect(await token('--ttl', '20m')).toMatchObject({ stdout: 'minted-3\n' });
    expect(await token('--force')).toMatchObject({ stdout: 'minted-4\n' });
  });

  it('reads what is missing for a kubeconfig', async () => {
    expect(await token('-o', 'kubeconfig')).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/--server/),
    });
  });

  it('leaves no token where others can read it', async () => {
    await token();
    const dir = join(job.home, 'run/kleis');
    for (const name of await readdir(dir)) expect((await stat(join(dir, name))).mode & 0o077, name).toBe(0);
  });

  it('takes back at its end what this job got, and nothing of another job', async () => {
    await ask(flags('gitlab'), gitlab('1'));
    await token();
    await kleis(['token', ...flags('gitlab')], gitlab('2'));
    const revoked = await kleis(['revoke', ...flags('gitlab')]);
    expect(said(revoked)).toMatchObject({ code: 0 });
    expect(revoked.stdout).toMatch(/^(revoked l-1: dead within 10 s \(by \d{4}-.*Z\)\n){2}$/);
    const sent = broker.received.filter(({ url }) => url === '/revoke').map((request) => form(request)['token']);
    expect(sent.toSorted()).toEqual(['minted-1', 'minted-2']);
    expect(await kleis(['revoke', ...flags('gitlab')])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('nothing to revoke'),
    });
    expect(await kleis(['token', ...flags('gitlab')], gitlab('2'))).toMatchObject({ stdout: 'minted-3\n' });
    expect(await token()).toMatchObject({ stdout: 'minted-4\n' });
  });

  it('keeps what could not be taken back, to try again', async () => {
    await token();
    broker.answer(
      json({ error: 'temporarily_unavailable', code: 'broker_not_ready', message: 'No.' }, 503, {
        'retry-after': '99',
      }),
    );
    expect(await kleis(['revoke', ...flags('gitlab')])).toMatchObject({ code: 5, stdout: '' });
    broker.answer(json({ revoked: true, dead_within: 0, lease: 'l-1' }));
    expect(await kleis(['revoke', ...flags('gitlab')])).toMatchObject({ code: 0, stdout: 'revoked l-1: dead now\n' });
  });

  it('is not failed at its end by a token that cannot be taken back', async () => {
    await token();
    broker.answer(
      json({ error: 'unsupported_token_type', code: 'token_type_unsupported', message: 'Not revocable.' }, 400),
    );
    const result = await kleis(['revoke', ...flags('gitlab')]);
    expect(said(result)).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('Not revocable') });
    expect(
      await readdir(join(job.home, 'run/kleis')).then((names) => names.filter((name) => name.startsWith('own'))),
    ).toEqual([]);
  });

  it('takes one token back that it has in a file or in a pipe', async () => {
    const at = ['--broker', broker.url, '--token-file'];
    const path = join(job.home, 'token');
    await writeFile(path, 'from-file\n');
    expect(await kleis(['revoke', ...at, path])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/dead within 10 s/),
    });
    expect(await kleis(['revoke', ...at, '-'], {}, 'from-pipe\n')).toMatchObject({ code: 0 });
    expect(broker.received.map((request) => form(request)['token'])).toEqual(['from-file', 'from-pipe']);
    broker.answer(json({ revoked: false, reason: 'unknown' }));
    expect(await kleis(['revoke', ...at, path])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/does not know/),
    });
    expect(await kleis(['revoke', ...at, '-'], {}, 'two lines\nof text')).toMatchObject({ code: 2 });
  });

  it('takes its flags from a context of the kubeconfig', async () => {
    const authority = join(job.home, 'ca.crt');
    await writeFile(authority, (await createAuthority()).cert);
    await mkdir(join(job.home, 'sub'));
    const cluster = { server: 'https://prod.test:6443', caFile: authority };
    await job.addContext('prod', cluster, ['--identity', 'gitlab', '--broker', broker.url, '--cluster-grant', 'g']);
    expect(await readFile(job.kubeconfig, 'utf8')).toMatch(/extension:\s*\{?\s*grant: g/);
    expect(await kleis(['token'])).toMatchObject({ code: 0, stdout: 'minted-1\n' });
    expect(form(exchanges()[0])['scope']).toBe('g');
    expect(await kleis(['revoke', '--context', 'prod'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^revoked l-1/),
    });
    const { stdout } = await kleis(['token', '-o', 'env']);
    expect(stdout).toContain("export KUBE_HOST='https://prod.test:6443'");
    expect(await kleis(['login'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/nobody signs in/) });
  });
});

describe('a person whose cluster knows no SSO', () => {
  it('exchanges the sign-in in the same way, and reads that the broker is new to the session', async () => {
    const sso = [...world.flags, '--certificate-authority', job.providerCaFile];
    await ask(sso, {});
    const first = await ask([...sso, '--broker', broker.url, '--grant', 'people'], {});
    expect(said(first)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`New: the broker ${broker.url} now gets tokens`),
    });
    expect(tokenOf(first)).toBe('minted-1');
    expect(form(exchanges()[0])).toMatchObject({
      subject_token: expect.stringMatching(/^eyJ/),
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
      scope: 'people',
    });
    expect(await job.windows()).toHaveLength(1);
    const nodes = await job.nodeStarts();
    expect(tokenOf(await ask([...sso, '--broker', broker.url, '--grant', 'people'], {}))).toBe('minted-1');
    expect(await job.nodeStarts()).toBe(nodes);
    const revoked = await job.run('kleis', ['revoke', ...sso, '--broker', broker.url, '--grant', 'people']);
    expect(revoked).toMatchObject({ code: 0, stdout: expect.stringMatching(/^revoked l-1/) });
    await job.run('kleis', ['logout']);
    await job.behave({ behaviour: 'refuse' });
    expect(await ask([...sso, '--broker', broker.url, '--grant', 'people'], {})).toMatchObject({ code: 3, stdout: '' });
  });
});
