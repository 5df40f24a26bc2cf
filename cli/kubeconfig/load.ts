import { isObject } from '../../shared/json.ts';
import { existsSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { posix, win32 } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { KleisError } from '../../shared/errors.ts';
import { systemCode } from '../../shared/read-file.ts';
import { storageError } from '../files/storage-error.ts';
import { clean, shown } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import {
  bodyKey,
  type KubeconfigDocument,
  type Mapping,
  parseKubeconfig,
  type Section,
  sections,
  textOf,
} from './document.ts';

/** A thousand clusters with their certificates are 2 MB. */
const maxBytes = 16 * 1024 * 1024;

export interface KubeconfigFile extends KubeconfigDocument {
  /** As the person named it. */
  readonly path: string;
  readonly exists: boolean;
}

export interface KubeconfigEntry {
  readonly name: string;
  /** What is below `cluster`, `user` or `context`. */
  readonly body: Mapping;
  readonly file: KubeconfigFile;
  readonly index: number;
}

/** Which files kubectl reads, in its order. */
export interface KubeconfigSources {
  readonly paths: readonly string[];
  /** Named by `--kubeconfig`: it must exist to be read. */
  readonly explicit: boolean;
}

/** The files as kubectl sees them together: of entries of one name, and of current contexts, the first counts. */
export interface Kubeconfig {
  readonly files: readonly KubeconfigFile[];
  readonly entries: Readonly<Record<Section, ReadonlyMap<string, KubeconfigEntry>>>;
  /** Empty if there is none. */
  readonly currentContext: string;
  /** Where what is new goes, and the current context: the first file that exists, else the last (client-go, `GetDefaultFilename`). */
  readonly defaultFile: KubeconfigFile;
}

/**
 * `--kubeconfig`, else the files of KUBECONFIG, else `~/.kube/config`, as client-go finds them (tools/clientcmd).
 *
 * @throws KleisError `usage` if none of them says
 */
export function kubeconfigSources(
  explicit: string | undefined,
  deps: Pick<Deps, 'env' | 'platform'>,
): KubeconfigSources {
  if (explicit !== undefined) {
    if (explicit === '') throw noKubeconfig('--kubeconfig is empty.');
    return { paths: [explicit], explicit: true };
  }
  const variable = deps.env['KUBECONFIG'] ?? '';
  if (variable !== '') {
    const paths = [...new Set(variable.split(pathOf(deps).delimiter))].filter((path) => path !== '');
    if (paths.length === 0) throw noKubeconfig('KUBECONFIG is set and names no file.');
    return { paths, explicit: false };
  }
  return { paths: [pathOf(deps).join(kubectlHome(deps), '.kube', 'config')], explicit: false };
}

function pathOf({ platform }: Pick<Deps, 'platform'>): typeof posix {
  return platform === 'win32' ? win32 : posix;
}

/** kubectl takes a blank for a part of a name: `KUBECONFIG="a: b"`. Empty if no name has one, or if the file is there. */
export function blankHint({ paths }: KubeconfigSources): string {
  const odd = paths.find((path) => path.trim() !== path && !existsSync(path));
  return odd === undefined ? '' : `The name ${shown(odd, 400)} begins or ends with a blank: take it away. `;
}

function noKubeconfig(message: string): KleisError {
  return new KleisError('usage', message, { hint: 'Name a kubeconfig with --kubeconfig FILE.' });
}

/** client-go, util/homedir: on Windows the first of three that has a kubeconfig, else the first that is set. */
function kubectlHome(deps: Pick<Deps, 'env' | 'platform'>): string {
  const { env, platform } = deps;
  const path = pathOf(deps);
  const drive = env['HOMEDRIVE'] ?? '';
  const candidates: (string | undefined)[] =
    platform === 'win32' ? [env['HOME'], env['USERPROFILE'], drive + (env['HOMEPATH'] ?? '')] : [env['HOME']];
  const homes = candidates.filter((home): home is string => home !== undefined && home !== '');
  const home = homes.find((each) => existsSync(path.join(each, '.kube', 'config'))) ?? homes[0];
  if (home === undefined)
    throw noKubeconfig('Neither KUBECONFIG nor HOME is set, so there is no place for a kubeconfig.');
  return home;
}

/**
 * Reads and merges them; those that do not exist count as empty.
 *
 * @param patience how many milliseconds a file is waited for that somebody is writing: kubectl does not write it as a
 *   whole but empties it first. 0 for whoever holds the lock
 *
 * @throws KleisError `kubeconfig_invalid` with file, line and column; `storage_unavailable` if one cannot be read
 */
export async function loadKubeconfig(sources: KubeconfigSources, patience = 500): Promise<Kubeconfig> {
  const files = await Promise.all(sources.paths.map((path) => readKubeconfig(path, patience)));
  const defaultFile = files.find((file) => file.exists) ?? files.at(-1);
  if (defaultFile === undefined) throw noKubeconfig('There is no kubeconfig.');
  const entries = { clusters: new Map(), users: new Map(), contexts: new Map() } as Record<
    Section,
    Map<string, KubeconfigEntry>
  >;
  for (const section of sections) {
    for (const entry of files.flatMap((file) => entriesOf(file, section))) {
      if (!entries[section].has(entry.name)) entries[section].set(entry.name, entry);
    }
  }
  const contexts = files.map((file) => textOf(file.value['current-context']));
  return { files, entries, currentContext: contexts.find((name) => name !== '') ?? '', defaultFile };
}

/** All of them, also those that an earlier file hides. */
export function entriesOf(file: KubeconfigFile, section: Section): KubeconfigEntry[] {
  const list: unknown = file.value[section];
  if (!Array.isArray(list)) return [];
  return list.map((item: unknown, index) => {
    const entry = isObject(item) ? item : {};
    const body = entry[bodyKey(section)];
    return { name: textOf(entry['name']), body: isObject(body) ? body : {}, file, index };
  });
}

async function readKubeconfig(path: string, patience: number): Promise<KubeconfigFile> {
  const bytes = await readSettled(path, patience);
  let text;
  try {
    // The byte order mark stays in the text: it is to stay in the file.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new KleisError('kubeconfig_invalid', `${clean(path, 400)} is not text in UTF-8.`, { cause: error });
  }
  return { ...parseKubeconfig(text, path), path, exists: bytes !== undefined };
}

const pause = 20;

/** What was read while nobody wrote: without a lock before and after it, and the file was still the same. */
async function readSettled(path: string, patience: number): Promise<Uint8Array | undefined> {
  for (let left = patience; ; left -= pause) {
    const before = await traces(path);
    // A pipe (`--kubeconfig <(…)`) can be read once, and changes by it.
    if (before.pipe) return readBounded(path);
    const bytes = await readBounded(path);
    if (left <= 0) return bytes;
    const after = await traces(path);
    if (!before.locked && isDeepStrictEqual(before, after)) return bytes;
    await sleep(pause);
  }
}

async function traces(
  path: string,
): Promise<{ readonly locked: boolean; readonly pipe: boolean; readonly file: unknown }> {
  const file = await stat(path, { bigint: true }).catch(() => undefined);
  return {
    locked: existsSync(`${path}.lock`),
    pipe: file !== undefined && !file.isFile(),
    file: file && [file.dev, file.ino, file.size, file.mtimeNs],
  };
}

async function readBounded(path: string): Promise<Uint8Array | undefined> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, 'r');
    const parts: Buffer[] = [];
    let total = 0;
    for (;;) {
      // Not by its size, since a pipe has none.
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(256 * 1024), 0, 256 * 1024, null);
      if (bytesRead === 0) return Buffer.concat(parts);
      parts.push(buffer.subarray(0, bytesRead));
      total += bytesRead;
      if (total > maxBytes)
        throw new KleisError('kubeconfig_invalid', `${clean(path, 400)} is too large to be a kubeconfig.`);
    }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    const { message, cause } = storageError(error, 'read', path);
    if (error instanceof KleisError) throw error;
    throw new KleisError('storage_unavailable', message, {
      cause,
      hint: 'Name a file that you can read, with --kubeconfig or KUBECONFIG.',
    });
  } finally {
    await handle?.close();
  }
}

/** For shell completion: the names of all contexts; none rather than an error. */
export async function contextNames(deps: Pick<Deps, 'env' | 'platform'>, explicit?: string): Promise<string[]> {
  try {
    const kubeconfig = await loadKubeconfig(kubeconfigSources(explicit, deps), 0);
    // A name that a terminal would not show as it is cannot be typed either.
    return [...kubeconfig.entries.contexts.keys()]
      .filter((name) => name !== '' && clean(name, 500) === name)
      .toSorted();
  } catch {
    return [];
  }
}
