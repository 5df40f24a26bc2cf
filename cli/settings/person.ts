import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { formatDuration, parseDuration } from '../../shared/duration.ts';
import { KleisError } from '../../shared/errors.ts';
import { storageError, systemCode } from '../files/storage-error.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { choices } from './flags.ts';
import { configFile } from './paths.ts';
import { defaultListenAddresses, isListenAddress, isRedirectUri } from './listen-address.ts';
import type { PersonChoices } from './sign-in.ts';

const maxBytes = 64 * 1024;
const maxText = 2048;
const maxItems = 64;

type Key = keyof PersonChoices;

/** How a person wants to be signed in: what they say in their configuration file. */
export interface PersonConfig {
  /** Where the file is or would be; undefined where there is no home. */
  readonly path: string | undefined;
  /** Only what the file says, checked. */
  readonly choices: PersonChoices;
  /** How each of them reads, and its FILE:LINE. */
  readonly origins: Readonly<Partial<Record<Key, { readonly text: string; readonly source: string }>>>;
}

export interface ConfigRow {
  readonly key: string;
  readonly value: string;
  /** `default`, or FILE:LINE. */
  readonly source: string;
}

/** A value and how it reads, or what is wrong with it, as the end of a sentence that begins with the key. */
type Checked<T> = { readonly value: T; readonly text: string } | { readonly fault: string };

interface Rule<T> {
  readonly check: (value: unknown) => Checked<T>;
  /** What holds where the file says nothing. */
  readonly otherwise: string;
}

const rules: { readonly [K in Key]-?: Rule<NonNullable<PersonChoices[K]>> } = {
  login: { check: oneOf(choices.login), otherwise: 'auto' },
  browserCommand: {
    check: (value) => {
      // One text is a program and nothing else: dividing it at spaces would be a guess.
      const command = texts(value);
      if (command === undefined) return { fault: 'must be a program, or a list of a program and its arguments' };
      return {
        value: command,
        text: command.map((item) => (/^[\w./:{}=-]+$/.test(item) ? item : JSON.stringify(item))).join(' '),
      };
    },
    otherwise: 'what the system opens addresses with',
  },
  cache: { check: oneOf(choices.cache), otherwise: 'auto' },
  listenAddress: {
    check: (value) => {
      const addresses = texts(value);
      if (addresses?.every(isListenAddress) === true) return { value: addresses, text: addresses.join(', ') };
      return { fault: 'must be HOST:PORT with a loopback host (localhost, 127.0.0.1 or [::1]), or a list of them' };
    },
    otherwise: defaultListenAddresses.join(', '),
  },
  redirectUri: {
    check: (value) => {
      if (isText(value) && isRedirectUri(value)) return { value, text: value };
      return { fault: 'must be an http URI on loopback without a query, such as http://localhost:8000/callback' };
    },
    otherwise: 'that of the listen address',
  },
  proxy: {
    check: (value) => {
      const url = isText(value) ? URL.parse(value) : null;
      if (
        isText(value) &&
        url !== null &&
        /^https?:$/.test(url.protocol) &&
        url.pathname === '/' &&
        url.search + url.hash === ''
      ) {
        return { value, text: withoutPassword(value) };
      }
      return { fault: 'must be the URL of a proxy, such as http://proxy.example.com:3128' };
    },
    otherwise: 'HTTPS_PROXY and its like',
  },
  loginTimeout: { check: duration(1000, 3_600_000), otherwise: '5m' },
  minValidity: { check: duration(0, 24 * 3_600_000), otherwise: '1m' },
  confirmNewClusters: {
    check: (value) =>
      typeof value === 'boolean' ? { value, text: String(value) } : { fault: 'must be true or false' },
    otherwise: 'false',
  },
};

// What to get is the kubeconfig's to say: whoever looks for it here should learn where it goes.
const kubeconfigKeys = new Set(
  (
    'issuerUrl clientId clientSecretFile clientKeyFile certificateAuthority scope audience resource authParam token ' +
    'account identity dpop broker grant ttl'
  ).split(' '),
);

/**
 * Reads the person's configuration; nothing if there is none.
 *
 * @throws KleisError `config_invalid` with all faults at once, each with file, line and column; `storage_unsafe` if
 *   somebody else could write it: it names a command to run
 */
export async function loadConfig(deps: Pick<Deps, 'env' | 'platform'>): Promise<PersonConfig> {
  const path = configFile(deps.env, deps.platform);
  const text = path === undefined ? undefined : await readConfig(path, deps.platform);
  if (path === undefined || text === undefined) return { path, choices: {}, origins: {} };
  return { path, ...(await parseConfig(text, path)) };
}

/** The settings, and where each comes from, in a fixed order. */
export function configRows({ origins }: PersonConfig): ConfigRow[] {
  return keys().map((key) => {
    const { text = rules[key].otherwise, source = 'default' } = origins[key] ?? {};
    return { key, value: clean(text, 500), source };
  });
}

function keys(): Key[] {
  return Object.keys(rules).filter(isKey);
}

function isKey(name: string): name is Key {
  return Object.hasOwn(rules, name);
}

async function parseConfig(text: string, path: string): Promise<Pick<PersonConfig, 'choices' | 'origins'>> {
  // Only now: a program that gets a token should load nothing for a file that is not there.
  const { isMap, isScalar, LineCounter, parseDocument } = await import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  const faults: { readonly offset: number; readonly what: string }[] = document.errors.map((error) => ({
    offset: error.pos[0],
    what: `this is not valid YAML: ${clean(error.message.replace(/\.$/, ''))}`,
  }));
  const root = document.contents;
  const chosen: Record<string, unknown> = {};
  const origins: Partial<Record<Key, { text: string; source: string }>> = {};
  if (faults.length === 0 && isMap(root)) {
    for (const { key, value } of root.items) {
      const name = isScalar(key) ? String(key.value) : '';
      const offset = (node: unknown) => (isNode(node) ? (node.range?.[0] ?? 0) : 0);
      if (!isKey(name)) {
        faults.push({ offset: offset(key), what: unknownKey(name) });
        continue;
      }
      let content: unknown;
      try {
        content = isNode(value) ? value.toJS(document) : undefined;
      } catch {
        content = {};
      }
      if (content === undefined || content === null) continue;
      const checked = rules[name].check(content);
      if ('fault' in checked) {
        faults.push({ offset: offset(value), what: `${name} ${checked.fault}` });
      } else {
        chosen[name] = checked.value;
        origins[name] = { text: checked.text, source: `${path}:${lines.linePos(offset(key)).line}` };
      }
    }
  } else if (faults.length === 0 && root !== null && !(isScalar(root) && root.value === null)) {
    faults.push({ offset: root.range?.[0] ?? 0, what: 'this must be a mapping, such as `login: device`' });
  }
  if (faults.length > 0)
    throw invalid(
      path,
      faults.map(({ offset, what }) => ({ ...lines.linePos(offset), what })),
    );
  return { choices: chosen, origins };
}

function isNode(
  value: unknown,
): value is { range?: [number, number, number] | null; toJS(document: unknown): unknown } {
  return typeof value === 'object' && value !== null && 'range' in value;
}

function invalid(path: string, faults: readonly { line: number; col: number; what: string }[]): KleisError {
  const list = faults.slice(0, 20).map(({ line, col, what }) => `${clean(path, 400)}:${line}:${col}: ${what}.`);
  const more = faults.length > list.length ? [`… and ${faults.length - list.length} more.`] : [];
  const head = faults.length === 1 ? [] : [`There are ${faults.length} faults in the configuration:`];
  return new KleisError('config_invalid', [...head, ...list, ...more].join('\n  '), {
    hint: 'Correct the file; `kleis config --help` says what may stand in it.',
  });
}

function unknownKey(name: string): string {
  const camel = name.replace(/^-+/, '').replace(/[-_ ]+(\w)/g, (_match, letter: string) => letter.toUpperCase());
  if (kubeconfigKeys.has(camel)) {
    return `${clean(name, 60)} says what to get, not how: it belongs to the kubeconfig (\`kleis kubeconfig add\`)`;
  }
  const near = keys()
    .map((key) => ({ key, distance: editDistance(key.toLowerCase(), camel.toLowerCase().slice(0, 60)) }))
    .toSorted((one, other) => one.distance - other.distance)[0];
  const unknown = `there is no setting "${clean(name, 60)}"`;
  if (near !== undefined && near.distance <= Math.max(2, Math.floor(near.key.length / 4))) {
    return `${unknown}; it may be meant for ${near.key}`;
  }
  return `${unknown}; there are ${keys().join(', ')}`;
}

/** Levenshtein's. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_unused, index) => index);
  for (const [line, char] of one.split('').entries()) {
    const next = [line + 1];
    for (let column = 0; column < other.length; column++) {
      const replaced = (row[column] ?? 0) + (other[column] === char ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

function oneOf<T extends string>(allowed: readonly T[]): (value: unknown) => Checked<T> {
  return (value) => {
    const found = allowed.find((choice) => choice === value);
    return found === undefined ? { fault: `must be one of ${allowed.join(', ')}` } : { value: found, text: found };
  };
}

function duration(least: number, most: number): (value: unknown) => Checked<number> {
  return (value) => {
    const milliseconds = typeof value === 'string' ? parseDuration(value) : undefined;
    if (milliseconds !== undefined && milliseconds >= least && milliseconds <= most) {
      return { value: milliseconds, text: formatDuration(milliseconds) };
    }
    return { fault: `must be a duration such as 90s or 15m, from ${formatDuration(least)} to ${formatDuration(most)}` };
  };
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxText && clean(value, maxText) === value;
}

/** One or several; undefined if it is anything else. */
function texts(value: unknown): string[] | undefined {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.length > 0 && list.length <= maxItems && list.every(isText) ? list : undefined;
}

function withoutPassword(proxy: string): string {
  const url = new URL(proxy);
  if (url.password !== '') url.password = '…';
  return decodeURI(url.href);
}

async function readConfig(path: string, platform: NodeJS.Platform): Promise<string | undefined> {
  let handle: FileHandle | undefined;
  try {
    // Links are followed: people keep such files in a repository. A pipe in its place must not hang us.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const found = await handle.stat();
    if (!found.isFile()) throw new KleisError('config_invalid', `${clean(path, 400)} is not a regular file.`);
    if (found.size > maxBytes) throw new KleisError('config_invalid', `${clean(path, 400)} is larger than 64 KiB.`);
    if (platform !== 'win32') {
      checkWriters(path, found);
      // Who may write in the folder of the file, or of the link to it, may put another in its place.
      const folders = new Set([dirname(path), dirname(await realpath(path))]);
      for (const folder of folders) checkWriters(folder, await stat(folder));
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(await handle.readFile());
  } catch (error) {
    if (error instanceof KleisError) throw error;
    if (error instanceof TypeError) throw new KleisError('config_invalid', `${clean(path, 400)} is not text in UTF-8.`);
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    const { message, cause } = storageError(error, 'read', path);
    throw new KleisError('storage_unavailable', message, { hint: 'Make it readable, or remove it.', cause });
  } finally {
    await handle?.close();
  }
}

function checkWriters(path: string, found: Stats): void {
  const name = clean(path, 400);
  const me = process.geteuid?.();
  // Root can do everything already.
  if (found.uid !== me && found.uid !== 0) {
    throw new KleisError(
      'storage_unsafe',
      `${name} belongs to another user (id ${found.uid}), who could make Kleis run a command.`,
      {
        hint: `Let it belong to you: chown ${me} ${name}`,
      },
    );
  }
  // In a folder with the sticky bit, others can add files and not replace those that are there.
  if ((found.mode & 0o022) !== 0 && !(found.isDirectory() && (found.mode & 0o1000) !== 0)) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
    throw new KleisError(
      'storage_unsafe',
      `Others can write ${name} (its mode is ${mode}), which could make Kleis run a command.`,
      {
        hint: `Take that right away: chmod go-w ${name}`,
      },
    );
  }
}
