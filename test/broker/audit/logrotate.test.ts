import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openAuditLog } from '../../../broker/audit/log.ts';
import { verifyAudit } from '../../../broker/audit/verify.ts';
import { decodeUnverified } from '../../../shared/jwt.ts';
import { startAppWorld } from '../routes/world.ts';
import { needs } from '../../support/needs.ts';

const logrotate = needs('logrotate');
const runProgram = promisify(execFile);
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-rotation-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** The stanza of docs/audit.md, for this file and this user. */
async function documented(): Promise<string> {
  const page = await readFile('docs/audit.md', 'utf8');
  const stanza = /```logrotate\n([^`]*)```/.exec(page)?.[1] ?? '';
  const { username, gid } = userInfo();
  const { stdout: group } = await runProgram('id', ['-gn']);
  expect(gid).toBeGreaterThanOrEqual(0);
  return stanza.replace('/var/log/kleis', folder).replace('kleis kleis', `${username} ${group.trim()}`);
}

const stanza = (...lines: string[]) => `${join(folder, 'audit.jsonl')} {\n${lines.join('\n')}\n}\n`;

/** Records as fast as it can while logrotate runs again and again; gives what was recorded and where it is now. */
async function load(config: string, rotations: number) {
  const file = join(folder, 'audit.jsonl');
  const settings = join(folder, 'logrotate.conf');
  await writeFile(settings, config);
  await chmod(settings, 0o600);
  const log = await openAuditLog({
    file,
    stdout: process.stdout,
    now: Date.now,
    host: 'r',
    version: '0',
    policy: 'a',
    // What takes long on a busy machine is no fault here.
    patience: 60_000,
  });
  const recorded: string[] = [];
  const ending = new AbortController();
  const caller = async (name: number): Promise<void> => {
    for (let count = 0; !ending.signal.aborted; count += 1) {
      const grant = `${name}-${count}`;
      await log.record({ event: 'exchange', outcome: 'allowed', grant });
      recorded.push(grant);
    }
  };
  const callers = Promise.all(Array.from({ length: 20 }, async (_, index) => caller(index)));
  await rotate(settings, rotations).finally(() => ending.abort());
  await callers;
  const { health } = log;
  await log.close();
  const { files, allowed } = await found();
  const there = new Set(allowed.map(({ grant }) => grant));
  return { recorded, lost: recorded.filter((grant) => !there.has(grant)), files, health };
}

/** What logrotate left, and the outcomes in it. */
async function found() {
  const files = (await readdir(folder, { recursive: true }))
    .filter((name) => basename(name).startsWith('audit.jsonl'))
    .map((name) => join(folder, name));
  const texts = await Promise.all(
    files.map(async (name) => {
      const bytes = await readFile(name);
      return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
    }),
  );
  const allowed = texts
    .join('\n')
    .split('\n')
    .filter((line) => line.includes('"exchange"') && line.includes('"allowed"'))
    .map((line) => JSON.parse(line) as { readonly grant: string; readonly jti?: string });
  return { files, allowed };
}

async function rotate(settings: string, times: number): Promise<void> {
  for (let count = 0; count < times; count += 1) {
    await runProgram(logrotate!, ['-f', '-s', join(folder, 'state'), settings], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    });
  }
}

describe.skipIf(logrotate === undefined)('under load, logrotate loses no line that was recorded', () => {
  it('with the stanza of docs/audit.md', async () => {
    const { recorded, lost, files, health } = await load(await documented(), 25);
    expect(recorded.length).toBeGreaterThan(100);
    expect(files.length).toBeGreaterThan(5);
    expect(lost).toEqual([]);
    expect(health).toMatchObject({ ok: true, truncations: 0 });
    expect(await verifyAudit(files, { anchors: undefined, partial: false, now: Date.now() })).toMatchObject({
      faults: [],
    });
  });

  it.each([
    ['create, compress', ['rotate 1000', 'create 0600', 'compress']],
    ['create, compress, delaycompress', ['rotate 1000', 'create 0600', 'compress', 'delaycompress']],
    ['nocreate, compress', ['rotate 1000', 'nocreate', 'missingok', 'compress']],
    ['create', ['rotate 1000', 'create 0600']],
    ['create, compress, olddir', ['rotate 1000', 'create 0600', 'compress', 'olddir old', 'createolddir']],
    ['renamecopy, compress', ['rotate 1000', 'renamecopy', 'missingok', 'compress']],
  ])('with %s', async (_what, lines) => {
    const { lost, files, health } = await load(stanza(...lines), 12);
    expect(lost).toEqual([]);
    expect(health.ok).toBe(true);
    expect(await verifyAudit(files, { anchors: undefined, partial: false, now: Date.now() })).toMatchObject({
      faults: [],
    });
  });

  it('nor that of a token that went out', async () => {
    const world = await startAppWorld();
    const settings = join(folder, 'logrotate.conf');
    await writeFile(settings, await documented(), { mode: 0o600 });
    const many = 1_000_000;
    try {
      const broker = await world.start({
        audit: { file: join(folder, 'audit.jsonl') },
        limits: { perAddress: many, perTenant: many, perIssuer: many },
      });
      const ending = new AbortController();
      const out: unknown[] = [];
      const caller = async (): Promise<void> => {
        while (!ending.signal.aborted) {
          const { status, body } = await broker.exchange(await world.issue(), { scope: 'plain' });
          expect(status).toBe(200);
          out.push(decodeUnverified((body as { access_token: string }).access_token).claims['jti']);
        }
      };
      const callers = Promise.all(Array.from({ length: 8 }, caller));
      for (let count = 0; count < 15 || out.length < 300; count += 1) await rotate(settings, 1);
      ending.abort();
      await callers;
      await broker.stop();
      const there = new Set((await found()).allowed.map(({ jti }) => jti));
      expect(out.length).toBeGreaterThan(299);
      expect(out.filter((jti) => !there.has(String(jti)))).toEqual([]);
    } finally {
      await world.stop();
    }
  });

  it('but for copytruncate, which is noticed', async () => {
    const { health } = await load(stanza('rotate 1000', 'copytruncate'), 8);
    expect(health.truncations).toBeGreaterThan(0);
  });
});
