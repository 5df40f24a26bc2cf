import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { built } from '../support/built.ts';
import { needs } from '../support/needs.ts';
import { type Running, start } from '../support/run.ts';
import { baseDocument } from './policy/fixture.ts';
import { request } from './routes/world.ts';

let folder: string;
let broker: Running;
let url: string;

async function configure(name: string, address: string): Promise<string> {
  const config = join(folder, `${name}.yaml`);
  const document = baseDocument({
    listen: { address },
    state: { memory: true },
    audit: { file: join(folder, `${name}.jsonl`) },
  });
  await writeFile(config, stringify(document));
  return config;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kleis-process-'));
  const config = await configure('broker', '127.0.0.1:0');
  const program = join((await built()).dist, 'kleis-broker.js');
  broker = start(process.execPath, [program, 'serve', '--config', config], { env: { HOME: folder }, timeout: 120_000 });
  [, url = ''] = await broker.waitFor(/"address":"(http:[^"]+)"/, 60_000);
});
afterAll(async () => {
  broker.kill('SIGKILL');
  await broker.done;
  await rm(folder, { recursive: true, force: true });
});

it.skipIf(!needs('pods'))('listens at localhost on a machine that has ::1 alone', async () => {
  const config = await configure('localhost', 'localhost:0');
  const program = join((await built()).dist, 'kleis-broker.js');
  const script = 'set -e; ip link set lo up; ip address del 127.0.0.1/8 dev lo; exec "$@"';
  const alone = start(
    'unshare',
    ['--net', 'sh', '-c', script, 'sh', process.execPath, program, 'serve', '--config', config],
    { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: folder }, timeout: 120_000 },
  );
  await alone.waitFor(/"address":"http:\/\/localhost:\d+"/, 60_000);
  alone.kill('SIGTERM');
  expect(await alone.done).toMatchObject({ code: 0 });
});

// The bundle leaves out what Express has for other bodies and queries than ours: `withoutUnused` in build.mjs.
it.each([
  [{}, 'unsupported_grant_type'],
  [{ 'content-type': 'application/x-www-form-urlencoded; charset=utf-16' }, 'unsupported_grant_type'],
  [{ 'content-type': 'application/json' }, 'invalid_request'],
  [{ 'content-encoding': 'gzip' }, 'invalid_request'],
  [{ 'content-encoding': '' }, 'unsupported_grant_type'],
])('the bundled broker answers a body with %j in JSON: %s', async (more, error) => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded', ...more };
  const answer = await request(`${url}/token?a[b]=c`, { method: 'POST', headers, body: 'grant_type=x' });
  expect(answer.body).toMatchObject({ error });
  expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
});

it('SIGUSR1 opens no debugger, and SIGUSR2 ends nothing', async () => {
  for (const signal of ['SIGUSR1', 'SIGUSR2', 'SIGUSR1'] as const) {
    broker.kill(signal);
    expect((await request(`${url}/healthz`)).status).toBe(200);
  }
  broker.kill('SIGTERM');
  const { code, stderr } = await broker.done;
  expect(code).toBe(0);
  // What Node says of a debugger that it has opened, or could not open.
  expect(stderr).not.toMatch(/debugger|inspector/i);
});
