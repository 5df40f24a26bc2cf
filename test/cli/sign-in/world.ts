import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { PassThrough } from 'node:stream';
import type { ReadStream, WriteStream } from 'node:tty';
import type { Deps } from '../../../cli/surroundings/deps.ts';
import { createReport } from '../../../cli/surroundings/report.ts';
import type { Settings } from '../../../cli/settings/sign-in.ts';
import type { ProviderMetadata } from '../../../cli/provider/discovery.ts';
import { connect, type Provider } from '../../../cli/provider/provider.ts';
import type { TokenSet } from '../../../cli/provider/tokens.ts';
import type { SignInOptions } from '../../../cli/sign-in/context.ts';
import { signIn } from '../../../cli/sign-in/sign-in.ts';
import { type ProviderOptions, startProvider, type TestProvider } from '../../support/provider.ts';

export interface TestDeps extends Deps {
  /** What a person has read so far. */
  written(): string;
  /** What the person types or pastes. */
  type(text: string): void;
  /** Raw mode of the terminal, as it was set in turn. */
  readonly rawModes: readonly boolean[];
  abort(reason?: unknown): void;
}

export interface TestDepsOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** stdin and stderr are a terminal. */
  readonly terminal?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly clock?: Deps['clock'];
}

/** Streams that behave like a terminal's where sign-in looks; the rest is real. */
export function createTestDeps({
  env = {},
  terminal = false,
  columns = 100,
  rows = 60,
  clock,
}: TestDepsOptions = {}): TestDeps {
  const stdin = new PassThrough();
  const stderr = new PassThrough();
  const rawModes: boolean[] = [];
  let text = '';
  stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  Object.assign(stdin, { isTTY: terminal, isRaw: false, setRawMode: (mode: boolean) => rawModes.push(mode) });
  Object.assign(stderr, { isTTY: terminal, columns, rows });
  const controller = new AbortController();
  const output = stderr as unknown as WriteStream;
  const realClock: Deps['clock'] = {
    now: () => Date.now(),
    sleep: (milliseconds, signal) => sleep(milliseconds, undefined, signal ? { signal } : {}),
  };
  return {
    env,
    stdin: stdin as unknown as ReadStream,
    stdout: new PassThrough() as unknown as WriteStream,
    stderr: output,
    clock: clock ?? realClock,
    platform: 'linux',
    pid: process.pid,
    ppid: process.ppid,
    parentIsGone: () => false,
    startedAt: Date.now(),
    report: createReport(output, env, 'debug'),
    signal: controller.signal,
    written: () => text,
    type: (typed) => void stdin.write(typed),
    rawModes,
    abort: (reason) => controller.abort(reason),
  };
}

export function settingsFor(issuerUrl: string, changes: Partial<Settings> = {}): Settings {
  return {
    issuerUrl,
    clientId: 'kleis',
    broker: undefined,
    clientSecretFile: undefined,
    clientFiles: [],
    clientKeyFile: undefined,
    scopes: ['openid'],
    audience: undefined,
    resource: undefined,
    authParams: {},
    login: 'browser',
    identity: 'sso',
    token: 'id',
    account: undefined,
    cache: 'none',
    listenAddress: ['localhost:0'],
    redirectUri: undefined,
    dpop: false,
    certificateAuthority: undefined,
    minValidity: 60_000,
    loginTimeout: 15_000,
    force: false,
    // Starts, ends well and does nothing: the tests walk through the pages themselves.
    browserCommand: [process.platform === 'win32' ? 'cmd' : 'true'],
    proxy: undefined,
    confirmNewClusters: false,
    ...changes,
  };
}

/** Waits for something that a person reads; fails after five seconds with what there was instead. */
export async function readUntil(deps: TestDeps, pattern: RegExp): Promise<RegExpExecArray> {
  for (const end = Date.now() + 5000; ; await sleep(5)) {
    const found = pattern.exec(deps.written());
    if (found !== null) return found;
    if (Date.now() > end) throw new Error(`${String(pattern)} was not written. There is only:\n${deps.written()}`);
  }
}

/** The address that the person is told to open. */
export async function addressShown(deps: TestDeps): Promise<string> {
  const [, url = ''] = await readUntil(deps, /^ {2}(https?:\/\/\S+)$/m);
  return url;
}

/** A provider of the test's own, with these options. */
export async function withProvider(options: ProviderOptions, work: (at: TestProvider) => Promise<void>): Promise<void> {
  const at = await startProvider(options);
  try {
    await work(at);
  } finally {
    await at.stop();
  }
}

/** A provider, and a way to sign in there, as `useSession` puts them together. */
export interface Connected extends Provider {
  signIn(options?: SignInOptions): Promise<TokenSet>;
}

export async function connectTo(settings: Settings, deps: Deps, cached?: ProviderMetadata): Promise<Connected> {
  const provider = await connect(settings, deps, cached);
  return { ...provider, signIn: (options = { allowPaste: false }) => signIn({ provider, settings, deps }, options) };
}

/** Somebody who has signed in with a browser. */
export interface SignedIn {
  readonly kleis: Connected;
  readonly tokens: TokenSet;
}

export async function signInAt(
  at: TestProvider,
  changes: Partial<Settings> = {},
  deps: TestDeps = createTestDeps({ terminal: true }),
): Promise<SignedIn> {
  const kleis = await connectTo(settingsFor(at.issuer, changes), deps);
  const tokens = kleis.signIn();
  tokens.catch(() => undefined);
  await at.browser().open(await addressShown(deps));
  return { kleis, tokens: await tokens };
}

export function refreshed({ kleis, tokens }: SignedIn): Promise<TokenSet> {
  if (tokens.refreshToken === undefined) throw new Error('no refresh token');
  return kleis.refresh({ refreshToken: tokens.refreshToken, idTokenSub: tokens.subject?.sub });
}

/** Anything that answers HTTP on loopback. */
export async function serving(listener: RequestListener, work: (origin: string) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}
