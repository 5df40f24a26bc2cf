import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { isObject } from '../../shared/json.ts';
import { nearest } from '../../shared/nearest.ts';
import { systemCode } from '../../shared/read-file.ts';
import { storageError } from '../files/storage-error.ts';
import { clean } from '../../shared/text.ts';
import type { Deps } from '../surroundings/deps.ts';
import { thisProcess } from '../surroundings/process.ts';
import { configFile } from './paths.ts';
import type { PersonChoices } from './gather.ts';
import { type ConfigName, configNames, isName, settingOf } from './table.ts';
import { Fault } from './values.ts';

const maxBytes = 64 * 1024;

/** How a person wants to be signed in: what they say in their configuration file. */
export interface PersonConfig {
  /** Where the file is or would be; undefined where there is no home. */
  readonly path: string | undefined;
  /** Only what the file says, checked. */
  readonly choices: PersonChoices;
  /** FILE:LINE of each of them. */
  readonly origins: Readonly<Partial<Record<ConfigName, string>>>;
}

export interface ConfigRow {
  readonly key: string;
  /** For people. */
  readonly text: string;
  /** As it could stand in the file; null where only the surroundings know. */
  readonly value: unknown;
  /** `default`, or FILE:LINE. */
  readonly source: string;
}

/**
 * Reads the person's configuration; nothing if there is none.
 *
 * @throws KleisError `config_invalid` with all faults at once, each with file, line and column; `storage_unsafe` if
 *   somebody else could write it: it names a command to run
 */
export async function loadConfig(deps: Pick<Deps, 'env' | 'platform'>): Promise<PersonConfig> {
  const path = configFile(deps.env, deps.platform);
  const text = path === undefined ? undefined : readConfig(path, deps.platform);
  if (path === undefined || text === undefined) return { path, choices: {}, origins: {} };
  return { path, ...(await parseConfig(text, path)) };
}

/** The settings, and where each comes from, in a fixed order. */
export function configRows({ choices, origins }: PersonConfig): ConfigRow[] {
  return configNames.map((key) => {
    const { otherwise, unless, plain = (value: unknown) => value } = settingOf(key).config ?? {};
    const chosen: unknown = choices[key];
    const value = chosen === undefined ? otherwise : plain(chosen as never);
    const text = isEmpty(value) ? (unless ?? '') : key === 'browserCommand' ? commandLine(value) : listed(value);
    return { key, text: clean(text, 500), value, source: origins[key] ?? 'default' };
  });
}

function commandLine(value: unknown): string {
  const words = Array.isArray(value) ? value.map(String) : [];
  return words.map((item) => (/^[\w./:{}=-]+$/.test(item) ? item : JSON.stringify(item))).join(' ');
}

function isEmpty(value: unknown): boolean {
  return value === null || (Array.isArray(value) && value.length === 0);
}

function listed(value: unknown): string {
  if (isObject(value))
    return Object.entries(value)
      .map(([name, content]) => `${name}: ${String(content)}`)
      .join(', ');
  return Array.isArray(value) ? value.join(', ') : String(value);
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
  const origins: Partial<Record<ConfigName, string>> = {};
  if (faults.length === 0 && isMap(root)) {
    for (const { key, value } of root.items) {
      const name = isScalar(key) ? String(key.value) : '';
      const offset = (node: unknown) => (isNode(node) ? (node.range?.[0] ?? 0) : 0);
      if (!isConfigName(name)) {
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
      const checked = settingOf(name).parse(content);
      if (checked instanceof Fault) {
        faults.push({ offset: offset(value), what: `${name} ${checked.why}` });
      } else {
        chosen[name] = checked;
        origins[name] = `${path}:${lines.linePos(offset(key)).line}`;
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
  if (isName(camel) && !isConfigName(camel)) {
    return `${clean(name, 60)} says what to get, not how: it belongs to the kubeconfig (\`kleis kubeconfig add\`)`;
  }
  const near = nearest(name, configNames);
  const unknown = `there is no setting "${clean(name, 60)}"`;
  return near === undefined
    ? `${unknown}; there are ${configNames.join(', ')}`
    : `${unknown}; it may be meant for ${near}`;
}

function isConfigName(name: string): name is ConfigName {
  return (configNames as readonly string[]).includes(name);
}

function readConfig(path: string, platform: NodeJS.Platform): string | undefined {
  let file: number | undefined;
  try {
    // Links are followed: people keep such files in a repository. A pipe in its place must not hang us.
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const found = fstatSync(file);
    if (!found.isFile()) throw new KleisError('config_invalid', `${clean(path, 400)} is not a regular file.`);
    if (found.size > maxBytes) throw new KleisError('config_invalid', `${clean(path, 400)} is larger than 64 KiB.`);
    if (platform !== 'win32') {
      checkWriters(path, found);
      // Who may write in the folder of the file, or of the link to it, may put another in its place.
      const folders = new Set([dirname(path), dirname(realpathSync(path))]);
      for (const folder of folders) checkWriters(folder, statSync(folder));
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    if (error instanceof KleisError) throw error;
    if (error instanceof TypeError) throw new KleisError('config_invalid', `${clean(path, 400)} is not text in UTF-8.`);
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    const { message, cause } = storageError(error, 'read', path);
    throw new KleisError('storage_unavailable', message, { hint: 'Make it readable, or remove it.', cause });
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

function checkWriters(path: string, found: Stats): void {
  const name = clean(path, 400);
  const me = thisProcess.uid;
  // Root can do everything already.
  if (found.uid !== me && found.uid !== 0) {
    throw new KleisError(
      'storage_unsafe',
      `${name} belongs to another user (id ${found.uid}), who could make Kleis run a command.`,
      {
        // With `sudo -E` it is the person's, and is to stay theirs.
        hint:
          me === 0
            ? 'Run Kleis as the user whose file it is, or give root a home of its own (`sudo -H`).'
            : `Let it belong to you: chown ${me} ${name}`,
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
