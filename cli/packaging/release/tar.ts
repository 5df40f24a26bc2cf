import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { epoch } from './epoch.ts';

/**
 * Packs those entries of a folder, gzipped: the same bytes for the same files, whoever packs them, wherever and when.
 * `options`: more of GNU tar's, for names and rights.
 */
export async function packTar(
  file: string,
  folder: string,
  entries: readonly string[],
  options: readonly string[] = [],
): Promise<void> {
  const same = ['--owner=0', '--group=0', '--numeric-owner', '--sort=name', `--mtime=@${epoch()}`, '--format=ustar'];
  const packed = ['--use-compress-program', 'gzip --no-name', '--file', file];
  // That of macOS sorts nothing; this is its name where both are.
  const tar = process.platform === 'darwin' ? 'gtar' : 'tar';
  await promisify(execFile)(tar, ['--create', ...same, ...options, ...packed, '--directory', folder, ...entries]);
}
