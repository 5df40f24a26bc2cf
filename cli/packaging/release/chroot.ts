import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** A folder to change root into that holds these programs (path in it: path here), the libraries that they load, and nothing else. */
export function makeChroot(root: string, programs: Readonly<Record<string, string>>): void {
  for (const [inside, outside] of Object.entries(programs)) {
    put(root, inside, outside);
    for (const library of librariesOf(outside)) put(root, library, library);
  }
  // Node wants one for what it seeds itself with; and a temporary folder is what programs expect.
  mkdirSync(join(root, 'dev'), { recursive: true });
  mkdirSync(join(root, 'tmp'), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
}

/** Its standard output; throws what it said if it fails. */
export function runInChroot(root: string, command: readonly string[]): string {
  const env = { HOME: '/root', PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };
  return execFileSync('chroot', [root, ...command], { env, encoding: 'utf8', stdio: 'pipe' });
}

function librariesOf(program: string): string[] {
  const text = execFileSync('ldd', [program], { encoding: 'utf8' });
  return Array.from(text.matchAll(/(\/\S+) \(0x/g), ([, path = '']) => path);
}

function put(root: string, inside: string, outside: string): void {
  const path = join(root, inside);
  mkdirSync(dirname(path), { recursive: true });
  copyFileSync(realpathSync(outside), path);
  chmodSync(path, 0o755);
}
