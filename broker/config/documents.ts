import { createHash } from 'node:crypto';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { systemReason } from '../../shared/read-file.ts';

/** Something wrong, and where; line and column count from 1. */
export interface ConfigFault {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** From the top of the document, like `grants.deploy.where`; empty if it is about the file. */
  readonly path: string;
  readonly message: string;
}

/** All that is wrong with a configuration. `message` has a line for each. */
export class ConfigFaults extends Error {
  override readonly name = 'ConfigFaults';
  readonly faults: readonly ConfigFault[];
  /** There is no configuration, or nothing in it: somebody took it away, so nothing is to be allowed. */
  readonly empty: boolean;

  constructor(faults: readonly ConfigFault[], empty = false) {
    super(faults.map(formatFault).join('\n'));
    this.faults = faults;
    this.empty = empty;
  }
}

/** As compilers print it, so that editors find the place. */
export function formatFault(fault: ConfigFault): string {
  return `${fault.file}:${fault.line}:${fault.column}: ${fault.path === '' ? '' : `${fault.path} `}${fault.message}`;
}

export interface SourceFile {
  readonly file: string;
  readonly text: string;
}

const maxFile = 4 * 1024 * 1024;
export const maxTotal = 16 * 1024 * 1024;
const maxFiles = 1000;

/**
 * The files of a configuration. In a mounted ConfigMap every name is a link through `..data`, which is swapped while we
 * read: it is resolved once, so that all files are of one version.
 */
export async function listFiles(
  location: string,
): Promise<readonly { readonly shown: string; readonly real: string }[]> {
  if (!(await stat(location)).isDirectory()) return [{ shown: location, real: await realpath(location) }];
  const data = await realpath(path.join(location, '..data')).catch(() => undefined);
  const folder = data ?? (await realpath(location));
  const names = (await readdir(folder)).filter((name) => /^[^.].*\.ya?ml$/.test(name)).toSorted();
  return names.map((name) => ({ shown: path.join(location, name), real: path.join(folder, name) }));
}

/** Changes whenever the configuration may have: names, places, sizes and times of its files. Throws if it is gone. */
export async function fingerprint(location: string): Promise<string> {
  const hash = createHash('sha256');
  for (const { shown, real } of await listFiles(location)) {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(real, { bigint: true });
    hash.update(JSON.stringify([shown, real, ...[dev, ino, size, mtimeNs, ctimeNs].map(String)]));
  }
  return hash.digest('hex');
}

export interface Sources {
  readonly files: readonly SourceFile[];
  /** About files that could not be read; the others are to be judged all the same. */
  readonly unread: readonly ConfigFault[];
}

/** Throws ConfigFaults when there is nothing to read. */
export async function readSources(location: string): Promise<Sources> {
  const files = await listFiles(location).catch((error: unknown) => {
    const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new ConfigFaults([fileFault(location, `cannot be read: ${systemReason(error)}`)], gone);
  });
  if (files.length === 0) throw new ConfigFaults([fileFault(location, 'has no *.yaml or *.yml file in it')], true);
  if (files.length > maxFiles) refuse(location, `has more than ${maxFiles} files in it`);
  const sources: SourceFile[] = [];
  const unread: ConfigFault[] = [];
  let total = 0;
  for (const { shown, real } of files) {
    try {
      const text = await readText(real);
      total += text.length;
      sources.push({ file: shown, text });
    } catch (error) {
      unread.push(fileFault(shown, `cannot be read: ${systemReason(error)}`));
    }
    if (total > maxTotal) refuse(location, `is larger than ${maxTotal / 1024 ** 2} MiB altogether`);
  }
  return { files: sources, unread };
}

async function readText(file: string): Promise<string> {
  const tooLarge = () => new Error(`it is larger than ${maxFile / 1024 ** 2} MiB`);
  const { size } = await statFile(file);
  if (size > maxFile) throw tooLarge();
  const bytes = await readFile(file);
  if (bytes.length > maxFile) throw tooLarge();
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Error('it is no UTF-8 text', { cause: error });
  }
}

async function statFile(file: string): Promise<{ size: number }> {
  const found = await stat(file);
  if (!found.isFile()) throw new Error('it is no regular file');
  return found;
}

function refuse(location: string, message: string): never {
  throw new ConfigFaults([fileFault(location, message)]);
}

export function fileFault(file: string, message: string): ConfigFault {
  return { file, line: 1, column: 1, path: '', message };
}
