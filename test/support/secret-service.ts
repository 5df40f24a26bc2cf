import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findTool } from './tools.ts';
import { until } from './wait.ts';

export interface SecretService {
  /** What a program needs in its environment to find it. */
  readonly env: Readonly<Record<string, string>>;
  lock(): void;
  unlock(): Promise<void>;
  /** Stops the daemon, so that whoever asks it waits; or lets it go on. */
  freeze(on: boolean): void;
  /** Labels of the items of Kleis. */
  labels(): string[];
  stop(): Promise<void>;
}

const password = 'a password';

// Ends with its standard input, and the session bus with it: even when the tests are killed, nothing is left behind.
const session = `printf '%s' "$1" | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
printf '%s\\n' "$DBUS_SESSION_BUS_ADDRESS"
exec cat >/dev/null`;

/** A session bus with a gnome-keyring that is unlocked and empty, in a home of its own. Needs the tool `secret-service`. */
export async function startSecretService(): Promise<SecretService> {
  const program = findTool('secret-service');
  if (program === undefined) throw new Error('there is no Secret Service here');
  const folder = await mkdtemp(join(tmpdir(), 'kleis-secrets-'));
  await mkdir(join(folder, 'run'), { mode: 0o700 });
  const { XDG_RUNTIME_DIR: _, DBUS_SESSION_BUS_ADDRESS: __, ...inherited } = process.env;
  const env = { ...inherited, HOME: folder, XDG_RUNTIME_DIR: join(folder, 'run'), XDG_DATA_HOME: join(folder, 'data') };
  const child = spawn(program, ['--', 'sh', '-c', session, 'session', password], {
    env,
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.stdin.destroy();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  const address = await new Promise<string | undefined>((resolve) => {
    createInterface({ input: child.stdout })
      .once('line', resolve)
      .once('close', () => resolve(undefined));
    child.once('error', () => resolve(undefined));
  });
  if (address === undefined || address === '') {
    await stop();
    throw new Error('the session bus did not start');
  }
  return {
    env: { DBUS_SESSION_BUS_ADDRESS: address },
    ...controls({ ...env, DBUS_SESSION_BUS_ADDRESS: address }),
    stop,
  };
}

function controls(env: NodeJS.ProcessEnv): Pick<SecretService, 'lock' | 'unlock' | 'freeze' | 'labels'> {
  const call = (destination: string, path: string, method: string, ...args: string[]) =>
    execFileSync('gdbus', ['call', '--session', '-d', destination, '-o', path, '-m', method, ...args], {
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  const name = 'org.freedesktop.secrets';
  const secrets = (method: string, argument: string) =>
    call(name, '/org/freedesktop/secrets', `org.freedesktop.Secret.Service.${method}`, argument);
  const bus = (method: string) =>
    call('org.freedesktop.DBus', '/org/freedesktop/DBus', `org.freedesktop.DBus.${method}`, name);
  const pid = () => Number(/uint32 (\d+)/.exec(bus('GetConnectionUnixProcessID'))?.[1]);
  const isThere = () => bus('NameHasOwner').includes('true');
  return {
    lock() {
      secrets('Lock', '[objectpath "/org/freedesktop/secrets/aliases/default"]');
    },
    async unlock() {
      // Started anew: with no display to prompt on, a running daemon opens nothing that was locked through the bus.
      process.kill(pid(), 'SIGTERM');
      await until('the Secret Service is gone', () => !isThere());
      execFileSync('gnome-keyring-daemon', ['--unlock', '--components=secrets'], {
        env,
        input: password,
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      await until('the Secret Service is there', isThere);
    },
    freeze(on) {
      process.kill(pid(), on ? 'SIGSTOP' : 'SIGCONT');
    },
    labels() {
      const paths = secrets('SearchItems', '{"service":"kleis"}').matchAll(/'(\/org[^']*)'/g);
      return [...paths].map(([, path = '']) =>
        call(name, path, 'org.freedesktop.DBus.Properties.Get', 'org.freedesktop.Secret.Item', 'Label'),
      );
    },
  };
}
