import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { built } from '../support/built.ts';
import type { Person } from '../support/kleis.ts';
import { createWorld, said, type World } from './world.ts';

// What a program loads of Node before it does anything is time that somebody waits.

let world: World;
let person: Person;
let dist: string;
beforeAll(async () => {
  world = await createWorld({ refreshTokens: 'always' });
  person = await world.person();
  ({ dist } = await built());
});
afterAll(() => world?.end());

interface Loaded {
  /** Node's own modules. */
  readonly modules: readonly string[];
  /** Ours, but for the guard: whether V8 took what the build had compiled; null where there was none. */
  readonly files: Readonly<Record<string, boolean | null>>;
  /** Whether it looked at its stdin, which opens it. */
  readonly stdin: boolean;
}

/** Notes what was loaded when the program has ended. */
const probe = (list: string) => `
  const vm = require('node:vm');
  const files = {};
  vm.Script = class extends vm.Script {
    constructor(text, options) {
      super(text, options);
      files[options.filename] = this.cachedDataRejected === undefined ? undefined : !this.cachedDataRejected;
    }
  };
  const { get } = Object.getOwnPropertyDescriptor(process, 'stdin');
  let stdin = false;
  Object.defineProperty(process, 'stdin', { get: () => (stdin = true) && get() });
  process.on('exit', () => {
    const loaded = { modules: process.moduleLoadList, files, stdin };
    require('node:fs').writeFileSync(${JSON.stringify(list)}, JSON.stringify(loaded, (_, value) => value ?? null));
  });`;

async function loadedBy(
  program: string,
  args: readonly string[],
  from = dist,
  code = 0,
  env: Readonly<Record<string, string>> = {},
): Promise<Loaded> {
  const [required, list] = [join(person.home, 'probe.cjs'), join(person.home, 'loaded.json')];
  await writeFile(required, probe(list));
  const result = await person.run(process.execPath, ['--require', required, join(from, program), ...args], { env });
  expect(said(result)).toMatchObject(code === 0 ? { code, stderr: '' } : { code });
  const loaded = JSON.parse(await readFile(list, 'utf8')) as Loaded;
  return { ...loaded, modules: loaded.modules.map((each) => each.replace('NativeModule ', '')) };
}

/** Of `get-token`: with a session whose token is fresh, and with one refresh. */
async function tokens(): Promise<{ session: Loaded; refresh: Loaded; whoami: Loaded }> {
  const authority = `--certificate-authority=${person.providerCaFile}`;
  const args = [...world.flags, authority, '--cluster-server=https://a.example'];
  expect(await person.run('kleis-get-token', args)).toMatchObject({ code: 0 });
  // Without it, no yaml and nothing that parses it.
  await rm(join(person.home, '.config'), { recursive: true });
  const before = world.provider.seen.length;
  // Another line is another credential; the session is the same.
  const session = await loadedBy('kleis-get-token.js', [...args, '--min-validity=2m']);
  expect(world.provider.seen).toHaveLength(before);
  const refresh = await loadedBy('kleis-get-token.js', ['--rejected', ...args]);
  expect(world.provider.seen.slice(before).map(({ params }) => params['grant_type'])).toEqual(['refresh_token']);
  const whoami = await loadedBy('kleis.js', ['whoami', ...world.flags, authority]);
  return { session, refresh, whoami };
}

// What each would load of Node by an import that somebody forgets.
const idle = ['child_process', 'fs/promises', 'readline', 'perf_hooks', 'timers/promises', 'internal/crypto/webcrypto'];

it('a program loads what it needs, and never undici, which takes as long as Node itself', async () => {
  const { session, refresh, whoami } = await tokens();
  const runs = {
    version: await loadedBy('kleis.js', ['--version']),
    help: await loadedBy('kleis.js', ['--help']),
    status: await loadedBy('kleis.js', ['status', '-o', 'json']),
    broker: await loadedBy('kleis-broker.js', ['rbac', '--help']),
    session,
    refresh,
    whoami,
  };
  for (const [name, { modules }] of Object.entries(runs)) {
    expect(modules.length, name).toBeGreaterThan(50);
    expect(
      modules.filter((each) => each.includes('undici')),
      name,
    ).toEqual([]);
  }
  expect(runs.help.modules.filter((each) => ['child_process', 'crypto', 'http'].includes(each))).toEqual([]);
  expect(refresh.modules).toContain('https');
  expect([session.stdin, refresh.stdin]).toEqual([false, false]);
  expect(refresh.modules.filter((each) => idle.includes(each))).toEqual([]);
  expect(session.modules.filter((each) => [...idle, 'http', 'tls', 'dns'].includes(each))).toEqual([]);
  // Each further file takes a quarter of a millisecond: main, and what is made one (build.mjs).
  const count = ({ files }: Loaded) => Object.keys(files).length;
  expect(count(runs.version)).toBe(0);
  expect(count(runs.help)).toBeLessThan(6);
  expect(count(session)).toBeLessThan(5);
  expect(count(refresh)).toBeLessThan(8);
  // Compiling what they wait for would take a quarter of a session's time.
  for (const { files } of [runs.help, session, refresh]) {
    expect(new Set(Object.values(files))).toEqual(new Set([true]));
  }
});

it('a broker that starts compiles nothing: V8 takes what the build made with the flags that a broker sets', async () => {
  const { files } = await loadedBy('kleis-broker.js', ['serve', '--config', join(person.home, 'none.yaml')], dist, 6);
  expect(Object.keys(files).length).toBeGreaterThan(10);
  expect(new Set(Object.values(files))).toEqual(new Set([true]));
});

it('a broker loads OpenTelemetry where the environment says to whom spans are sent, and nothing of it elsewhere', async () => {
  const config = join(person.home, 'broker.yaml');
  const token = join(person.home, 'token');
  await writeFile(token, 'x');
  // It ends where it would listen: by then it has loaded all that it serves with.
  const document = {
    apiVersion: 'kleis.dev/v1',
    kind: 'BrokerConfig',
    publicUrl: 'https://kleis.example.com',
    listen: { address: new URL(world.provider.url).host },
    state: { memory: true },
    audit: { file: join(person.home, 'audit.jsonl') },
    issuers: { ci: { url: 'https://127.0.0.1:1', audience: 'https://kleis.example.com' } },
    clusters: { prod: { server: 'https://127.0.0.1:1', credentials: { tokenFile: token } } },
    grants: { g: { issuer: 'ci', where: { sub: 'a' }, cluster: 'prod', serviceAccount: 'g' } },
  };
  await writeFile(config, JSON.stringify(document));
  const ofTelemetry = async (env: Readonly<Record<string, string>>) => {
    const { files, modules } = await loadedBy('kleis-broker.js', ['serve', '--config', config], dist, 6, env);
    expect(modules).toContain('http');
    expect(modules.filter((each) => ['http2', 'worker_threads'].includes(each))).toEqual([]);
    const texts = await Promise.all(Object.keys(files).map((file) => readFile(file, 'utf8')));
    expect(texts.some((text) => text.includes('kleis_broker_'))).toBe(true);
    // The web page is loaded with its first visitor.
    expect(texts.some((text) => text.includes('__Host-kleis'))).toBe(false);
    return Object.keys(files).filter((_, index) => /opentelemetry\.js\.api|OTLPTraceExporter/.test(texts[index]!));
  };
  expect(await ofTelemetry({ OTEL_SERVICE_NAME: 'kleis' })).toEqual([]);
  expect(await ofTelemetry({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_SDK_DISABLED: 'true' })).toEqual(
    [],
  );
  const [first = ''] = await ofTelemetry({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
  expect(first).toMatch(/broker-otlp/);
});

it('V8 judges the code cache: what is not its own making is compiled anew, with the same outcome', async () => {
  const copy = join(person.home, 'dist');
  await cp(dist, copy, { recursive: true });
  const cache = join(copy, 'cache', `${process.version}-${process.platform}-${process.arch}`);
  const change = async (make: (data: Buffer) => Buffer) => {
    for (const name of await readdir(cache)) {
      await writeFile(join(cache, name), make(await readFile(join(dist, cache.slice(copy.length), name))));
    }
  };
  const help = async () => {
    const { stdout } = await person.run(process.execPath, [join(copy, 'kleis.js'), '--help']);
    return { stdout, taken: new Set(Object.values((await loadedBy('kleis.js', ['--help'], copy)).files)) };
  };
  const { stdout, taken } = await help();
  expect(stdout).toMatch(/^Usage: kleis /);
  expect(taken).toEqual(new Set([true]));
  // Cut off, of another version of V8 (its hash is the second word), of another text (the third), and none of all this.
  for (const make of [
    (data: Buffer) => data.subarray(0, data.length - 1),
    (data: Buffer) => Buffer.concat([data.subarray(0, 4), Buffer.alloc(4, 7), data.subarray(8)]),
    (data: Buffer) => Buffer.concat([data.subarray(0, 8), Buffer.alloc(4, 7), data.subarray(12)]),
    () => Buffer.from('not a cache'),
    () => Buffer.alloc(0),
  ]) {
    await change(make);
    expect(await help()).toEqual({ stdout, taken: new Set([false]) });
  }
  await rm(join(copy, 'cache'), { recursive: true });
  expect(await help()).toEqual({ stdout, taken: new Set([null]) });
});
