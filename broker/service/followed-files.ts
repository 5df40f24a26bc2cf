import { isDeepStrictEqual } from 'node:util';
import { fileMark } from '../../shared/read-file.ts';
import { readCertificates } from '../../shared/net/certificates.ts';
import { clean } from '../../shared/text.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import { readClientSecret, readCookieKeys } from '../config/web-files.ts';

/**
 * Small files that a configuration names and that nothing else keeps: what could be used last stays while a file is gone,
 * empty or half written, and `state` says so. Each reader throws `config_invalid` or `storage_unsafe` while there is
 * nothing to stay with.
 */
export interface FollowedFiles {
  readonly cookieKeys: (file: string) => Promise<readonly Uint8Array[]>;
  readonly clientSecret: (file: string) => Promise<string>;
  readonly authority: (file: string) => Promise<string>;
  /** Looks at all that the configuration names now. Never throws. */
  look(): Promise<void>;
  /** Each file by its place in the configuration, with what is wrong as of the last look, if anything is. */
  state(): readonly { readonly place: string; readonly fault: string | undefined }[];
}

/** Milliseconds from one look at a file that cannot be used to the next, whoever asks. */
const restBetween = 1_000;
/** Milliseconds that a file must stay the same before it is read: a prefix of a secret looks like one. */
const settle = 200;

export function followFiles(configOf: () => BrokerConfig, now: () => number): FollowedFiles {
  const cookieKeys = follow(readCookieKeys, now);
  const clientSecret = follow(readClientSecret, now);
  const authority = follow(async (file) => readCertificates(file), now);

  /** In the order of the document. */
  function named({
    issuers,
    web,
  }: BrokerConfig): [place: string, files: Follower<unknown>, file: string | undefined][] {
    return [
      ...Object.values(issuers).map(({ name, signIn }): [string, Follower<unknown>, string | undefined] => [
        `issuers.${name}.signIn.certificateAuthority`,
        authority,
        signIn?.certificateAuthority,
      ]),
      ['web.clientSecretFile', clientSecret, web?.clientSecretFile],
      ['web.cookieKeyFile', cookieKeys, web?.cookieKeyFile],
    ];
  }

  return {
    cookieKeys: cookieKeys.read,
    clientSecret: clientSecret.read,
    authority: authority.read,
    async look() {
      const all = named(configOf());
      for (const each of [authority, clientSecret, cookieKeys]) {
        each.keepOnly(all.flatMap(([, files, file]) => (files === each && file !== undefined ? [file] : [])));
      }
      await Promise.all(
        all.map(async ([, files, file]) => (file === undefined ? undefined : files.read(file).catch(() => undefined))),
      );
    },
    state: () =>
      named(configOf()).flatMap(([place, files, file]) =>
        file === undefined ? [] : [{ place, fault: files.faultOf(file) }],
      ),
  };
}

interface Follower<T> {
  readonly read: (file: string) => Promise<T>;
  faultOf(file: string): string | undefined;
  keepOnly(files: readonly string[]): void;
}

interface Followed<T> {
  good: { readonly value: T } | undefined;
  fault: Error | undefined;
  mark: string | undefined;
  lookedAt: number;
  looking: Promise<void> | undefined;
}

function follow<T>(use: (file: string) => T | Promise<T>, now: () => number): Follower<T> {
  const known = new Map<string, Followed<T>>();

  async function look(file: string, state: Followed<T>): Promise<void> {
    let mark = await fileMark(file).catch(() => undefined);
    if (mark !== undefined && mark === state.mark) return;
    // Somebody waits where there is nothing to stay with.
    if (state.good !== undefined) {
      await new Promise((resolve) => {
        setTimeout(resolve, settle).unref();
      });
      const again = await fileMark(file).catch(() => undefined);
      if (again !== mark) return;
      mark = again;
    }
    try {
      const value = await use(file);
      // The same stays the same object: others are made of it.
      if (!isDeepStrictEqual(value, state.good?.value)) state.good = { value };
      state.fault = undefined;
      state.mark = mark;
    } catch (error) {
      state.fault = error as Error;
      state.mark = undefined;
    }
  }

  function stateOf(file: string): Followed<T> {
    const found = known.get(file);
    if (found !== undefined) return found;
    const state = { good: undefined, fault: undefined, mark: undefined, lookedAt: 0, looking: undefined };
    known.set(file, state);
    return state;
  }

  return {
    async read(file) {
      const state = stateOf(file);
      const rests = state.fault !== undefined && Math.abs(now() - state.lookedAt) < restBetween;
      if (!rests) {
        state.lookedAt = now();
        state.looking ??= look(file, state).finally(() => {
          state.looking = undefined;
        });
        // A key that was taken away opens nothing from then on.
        await state.looking;
      }
      if (state.good !== undefined) return state.good.value;
      throw state.fault ?? new Error(`${clean(file, 400)} was not read yet.`);
    },
    faultOf(file) {
      const state = known.get(file);
      if (state?.fault === undefined) return undefined;
      const what = clean(state.fault.message, 600);
      return state.good === undefined ? what : `${what} The last good one stays in use.`;
    },
    keepOnly(files) {
      for (const file of known.keys()) if (!files.includes(file)) known.delete(file);
    },
  };
}
