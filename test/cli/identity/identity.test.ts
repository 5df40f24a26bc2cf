import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openIdentity } from '../../../cli/identity/identity.ts';
import { makeToken, now, surroundings } from './world.ts';

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kleis-identity-'));
});

afterEach(async () => rm(home, { recursive: true, force: true }));

const open = (identity: string, env: Record<string, string> = {}) => openIdentity(identity, surroundings(env));

const gitlab = { GITLAB_CI: 'true', CI_JOB_ID: '7', KLEIS_ID_TOKEN: makeToken() };
const circleci = { CIRCLECI: 'true', CIRCLE_WORKFLOW_JOB_ID: 'c-1', CIRCLE_OIDC_TOKEN_V2: makeToken() };

describe('tokens that lie ready', () => {
  it('come from the variable that the platform or the flag names', async () => {
    for (const [name, env] of [
      ['gitlab', gitlab],
      ['circleci', circleci],
      ['env:MY_TOKEN', { MY_TOKEN: `${makeToken()}\n` }],
    ] as const) {
      const identity = await open(name, env);
      expect((await identity.token('kleis')).token.reveal()).toBe(makeToken());
    }
  });

  it('come from the file, read anew by each run', async () => {
    const path = join(home, 'token');
    for (const jti of ['1', '2']) {
      await writeFile(path, `${makeToken({ jti })}\n`);
      const identity = await open(`file:${path}`);
      expect((await identity.token('kleis')).token.reveal()).toBe(makeToken({ jti }));
      expect(await open('kubernetes', { KLEIS_KUBERNETES_TOKEN_FILE: path })).toMatchObject({
        title: 'a Kubernetes pod',
      });
    }
  });

  it('are asked for with a hint where there are none', async () => {
    await expect(open('gitlab', {})).rejects.toMatchObject({
      code: 'identity_missing',
      hint: expect.stringContaining('id_tokens'),
    });
    await expect(open('env:NONE')).rejects.toMatchObject({ code: 'identity_missing' });
    await expect(open(`file:${home}/none`)).rejects.toMatchObject({
      message: expect.stringContaining('does not exist'),
    });
    await expect(open('kubernetes', { KLEIS_KUBERNETES_TOKEN_FILE: `${home}/none` })).rejects.toMatchObject({
      hint: expect.stringContaining('serviceAccountToken'),
    });
  });

  it('are not looked for in what is no file: nothing waits for a pipe', async () => {
    const pipe = join(home, 'pipe');
    execFileSync('mkfifo', [pipe]);
    await expect(open(`file:${pipe}`)).rejects.toMatchObject({ message: expect.stringContaining('not a file') });
    await expect(open(`file:${home}`)).rejects.toMatchObject({ code: 'identity_missing' });
  });

  it.each([
    ['a password', 'correct horse battery staple'],
    ['a private key', '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----'],
    ['two parts', 'eyJhbGciOiJIUzI1NiJ9.e30'],
    ['an encrypted token', 'a.b.c.d.e'],
    ['padding', `${makeToken()}=`],
    ['control characters', `${makeToken().slice(0, 20)}\u0007${makeToken().slice(20)}`],
    ['more than any token', 'x'.repeat(20_000)],
  ])('are not used, nor quoted, if they are %s', async (_, content) => {
    const path = join(home, 'token');
    await writeFile(path, content);
    for (const name of [`file:${path}`, 'env:T']) {
      const error: Error = await open(name, { T: content }).then(
        () => new Error('it was taken'),
        (reason: unknown) => reason as Error,
      );
      expect(error).toMatchObject({ code: 'subject_malformed' });
      expect(error.message).not.toContain(content.slice(0, 12));
    }
  });

  it('are not used once they have ended, a minute of leeway aside', async () => {
    const ended = (seconds: number) => ({ T: makeToken({ exp: now / 1000 - seconds }) });
    await expect(open('env:T', ended(61))).rejects.toMatchObject({
      code: 'subject_expired',
      message: expect.stringContaining('ended at 2026-11-22T11:58:59Z'),
    });
    await expect(open('env:T', ended(30))).resolves.toBeDefined();
  });

  it.each([
    ['nor until when', { exp: undefined, aud: undefined }, /does not say until when \(exp\) nor for whom \(aud\)/],
    ['until when, though for whom', { exp: undefined }, /does not say until when \(exp\) it is/],
    ['for whom, though until when', { aud: undefined }, /does not say for whom \(aud\) it is/],
    ['for whom in words', { aud: [] }, /for whom/],
    ['a name of whom it is for', { aud: '' }, /for whom/],
    ['for whom but a number', { aud: 7 }, /for whom/],
    ['until when in text', { exp: '4102444800' }, /until when/],
  ])(
    'are not used if they do not say for whom %s: a Secret of a service account goes nowhere',
    async (_, claims, why) => {
      const path = join(home, 'token');
      const token = makeToken({ iss: 'kubernetes/serviceaccount', ...claims });
      await writeFile(path, token);
      for (const [name, env] of [
        ['env:T', { T: token }],
        [`file:${path}`, {}],
        ['kubernetes', { KLEIS_KUBERNETES_TOKEN_FILE: path }],
        ['gitlab', { KLEIS_ID_TOKEN: token }],
        ['circleci', { CIRCLE_OIDC_TOKEN_V2: token }],
      ] as const) {
        await expect(open(name, env), name).rejects.toMatchObject({
          code: 'subject_malformed',
          message: expect.stringMatching(why),
        });
      }
    },
  );

  it('are not used for another audience than the one that is asked for', async () => {
    const identity = await open('circleci', circleci);
    await expect(identity.token('https://kleis.test')).rejects.toMatchObject({
      code: 'subject_audience',
      message: expect.stringContaining('meant for kleis, not for https://kleis.test'),
      hint: expect.stringContaining('circleci run oidc get'),
    });
    const several = await open('env:T', { T: makeToken({ aud: ['a', 'b'] }) });
    await expect(several.token('b')).resolves.toBeDefined();
  });
});

describe('whose a kept credential is', () => {
  it('the launcher knows where the platform says which job this is', async () => {
    expect((await open('gitlab', gitlab)).keyedBy).toEqual({ kind: 'call' });
    const github = { GITHUB_RUN_ID: '1', GITHUB_RUN_ATTEMPT: '1', GITHUB_JOB: 'a', ACTIONS_ID_TOKEN_REQUEST_URL: 'x' };
    expect((await open('github', github)).keyedBy).toEqual({ kind: 'call' });
  });

  it('is told by the token everywhere else', async () => {
    const { CI_JOB_ID: _, ...noJob } = gitlab;
    for (const [name, env] of [
      ['gitlab', noJob],
      ['env:KLEIS_ID_TOKEN', gitlab],
    ] as const) {
      const { keyedBy } = await open(name, env);
      const other = await open(name, { ...env, KLEIS_ID_TOKEN: makeToken({ jti: 'other' }) });
      expect(keyedBy).toMatchObject({ kind: 'subject', hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
      expect(other.keyedBy).not.toEqual(keyedBy);
    }
  });

  it('is told by the platform and the job where only Node has found out which platform it is', async () => {
    expect((await open('auto', gitlab)).keyedBy).toEqual({ kind: 'job', platform: 'gitlab' });
  });

  it('is not known where nothing tells one job from another: then none is kept', async () => {
    expect((await open('github', { GITHUB_ACTIONS: 'true' })).keyedBy).toEqual({ kind: 'nothing' });
  });
});

describe('auto', () => {
  it('finds the platform by what each says in its jobs, and asks only that one', async () => {
    for (const [env, name] of [
      [gitlab, 'gitlab'],
      [circleci, 'circleci'],
      [{ BUILDKITE: 'true' }, 'buildkite'],
      [{ GITHUB_ACTIONS: 'true', KLEIS_ID_TOKEN: 'nonsense' }, 'github'],
    ] as const) {
      expect(await open('auto', env)).toMatchObject({ name });
    }
  });

  it('takes a runner in a pod for a runner', async () => {
    expect(await open('auto', { ...gitlab, KUBERNETES_SERVICE_HOST: '10.0.0.1' })).toMatchObject({ name: 'gitlab' });
    const path = join(home, 'token');
    await writeFile(path, makeToken());
    const pod = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KLEIS_KUBERNETES_TOKEN_FILE: path };
    expect(await open('auto', pod)).toMatchObject({ name: 'kubernetes' });
  });

  it('does not guess between two, nor where there is none, nor falls back on another', async () => {
    await expect(open('auto', { ...gitlab, ...circleci })).rejects.toMatchObject({
      message: expect.stringContaining('GitLab CI and CircleCI at once'),
    });
    await expect(open('auto')).rejects.toMatchObject({ code: 'identity_missing', exitCode: 6 });
    const { KLEIS_ID_TOKEN: _, ...noToken } = gitlab;
    const identity = await open('auto', { ...noToken, CIRCLE_OIDC_TOKEN_V2: makeToken() });
    await expect(identity.token('kleis')).rejects.toMatchObject({ hint: expect.stringContaining('id_tokens') });
  });
});
