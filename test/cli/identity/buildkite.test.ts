import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildkite } from '../../../cli/identity/buildkite.ts';
import { failureOf, makeToken, surroundings } from './world.ts';

let home: string;
let env: Record<string, string>;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'kleis-buildkite-'));
  env = { BUILDKITE: 'true', BUILDKITE_JOB_ID: '0189-a', PATH: ['', '.', home, '/usr/bin', '/bin'].join(delimiter) };
});

afterEach(async () => rm(home, { recursive: true, force: true }));

async function agent(body: string, folder = home): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'buildkite-agent'), `#!/bin/sh\n${body}\n`);
  await chmod(join(folder, 'buildkite-agent'), 0o755);
}

const ask = (audience = 'https://kleis.test') => buildkite.getToken(audience, surroundings(env));

describe('the ID token of a Buildkite job', () => {
  it('is what the agent prints for the audience', async () => {
    await agent(`printf '%s\\n' "$@" >'${home}/args'; echo 'some log line' >&2; echo '${makeToken()}'`);
    expect((await ask('$(touch x); https://kleis.test')).token.reveal()).toBe(makeToken());
    const args = await readFile(join(home, 'args'), 'utf8');
    expect(args).toMatch(/^oidc\nrequest-token\n--audience\n\$\(touch x\); https:\/\/kleis.test\n--claim\n/);
  });

  it('holds the ids that a grant names, which the agent leaves out unless it is asked, and what the job asks for', async () => {
    await agent(
      `printf '%s ' "$@" >'${home}/args'; echo "\${BUILDKITE_OIDC_TOKEN_CLAIMS-}" >>'${home}/args'; echo '${makeToken()}'`,
    );
    const asked = async () => (await readFile(join(home, 'args'), 'utf8')).split(' https://kleis.test ')[1];
    await ask();
    expect(await asked()).toBe('--claim organization_id --claim pipeline_id \n');
    env['BUILDKITE_OIDC_TOKEN_CLAIMS'] = 'pipeline_id, cluster_id,--lifetime,,agent_tag:queue';
    await ask();
    expect(await asked()).toBe(
      '--claim organization_id --claim pipeline_id --claim cluster_id --claim agent_tag:queue \n',
    );
  });

  it('is not asked of a program in the working directory', async () => {
    const checkout = join(home, 'checkout');
    await agent(`echo '${makeToken()}'`, checkout);
    env['PATH'] = ['', '.', 'checkout'].join(delimiter);
    const before = process.cwd();
    process.chdir(checkout);
    try {
      await expect(ask()).rejects.toMatchObject({ code: 'identity_missing' });
    } finally {
      process.chdir(before);
    }
  });

  it('is not asked for outside of a job: no program runs because of a flag', async () => {
    await agent(`touch '${home}/ran'; echo '${makeToken()}'`);
    for (const name of ['BUILDKITE', 'BUILDKITE_JOB_ID']) {
      const { [name]: _, ...rest } = env;
      await expect(buildkite.getToken('a', surroundings(rest))).rejects.toMatchObject({ code: 'identity_missing' });
    }
    await expect(readFile(join(home, 'ran'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('an agent that misbehaves', () => {
  it('is quoted with its last line, without what looks like a token', async () => {
    await agent(`echo 'first' >&2; echo "fatal: 403 for ${makeToken()}" >&2; exit 1`);
    const error = await failureOf(ask());
    expect(error).toMatchObject({ code: 'provider_unavailable', exitCode: 5 });
    expect(error.message).toContain('fatal: 403 for [redacted]');
    expect(error.message).not.toContain(makeToken().slice(0, 20));
  });

  it('cannot print without end', async () => {
    await agent('while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done');
    await expect(ask()).rejects.toMatchObject({ message: expect.stringContaining('more than a token') });
  });

  it('gives nothing that is used if it prints no token', async () => {
    await agent('echo hello');
    await expect(ask()).rejects.toMatchObject({ code: 'subject_malformed' });
  });

  it('ends with the program that waits for it', async () => {
    await agent('exec sleep 60');
    const interrupted = new AbortController();
    const asked = buildkite.getToken('a', { ...surroundings(env), signal: interrupted.signal });
    interrupted.abort('SIGINT');
    await expect(asked).rejects.toMatchObject({ name: 'AbortError' });
  });
});
