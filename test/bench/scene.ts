import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBrowser } from '../support/build-browser.ts';
import { createAuthority } from '../support/certificates.ts';
import { createPerson, type Person } from '../support/kleis.ts';
import { startProvider, type TestProvider } from '../support/provider.ts';
import { findTool } from '../support/tools.ts';

/** A plugin as kubectl runs it: what it is given, and what it keeps. */
export interface Plugin {
  readonly command: readonly [program: string, ...args: string[]];
  /** Puts back what it kept at that moment: a token that has ended, one that is valid, a session and nothing printed yet. */
  restore(state: State): void;
}

export type State = 'expired' | 'cached' | 'session';

/** One person, one provider, and plugins that have signed the person in there. */
export interface Scene {
  readonly env: Readonly<Record<string, string>>;
  readonly person: Person;
  readonly kleis: Plugin;
  /** The same, as it is with eleven clusters whose entries have one length: the launcher then opens more files. */
  readonly kleisWithTwins: Plugin;
  /** int128's plugin, where this machine has it. */
  readonly kubelogin: Plugin | undefined;
  /** A token of the person's, in a file as an ExecCredential, and a script that prints it. */
  readonly script: string;
  readonly token: string;
  /** Refresh tokens that were presented to the provider so far. */
  refreshes(): number;
  /** Shell code that makes a repeated run look like one of another kubectl: the same one asking again means a 401. */
  readonly asAnotherKubectl: string;
  end(): Promise<void>;
}

const scopes = ['email', 'groups', 'offline_access'];
const others = 10;

export async function createScene(server: string): Promise<Scene> {
  const authority = await createAuthority();
  const tls = await authority.issueServer(['localhost']);
  // Without rotation one kept session can be refreshed any number of times; for the client it is the same work.
  const provider = await startProvider({ tls: { ...tls, ca: authority.cert }, rotate: false });
  const undo: (() => Promise<unknown>)[] = [() => provider.stop()];
  const end = async () => {
    for (const step of undo.toReversed()) await step();
  };
  try {
    const person = await createPerson({
      dist: resolve('dist'),
      browser: resolve('dist', 'browser.mjs'),
      providerCa: authority.cert,
      config: { redirectUri: 'http://127.0.0.1:0/callback', login: 'browser', cache: 'file' },
    });
    undo.push(() => person.remove());
    return { ...(await stage(person, provider, server)), end };
  } catch (error) {
    await end();
    throw error;
  }
}
