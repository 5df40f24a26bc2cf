import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** A file, folder or link of an image, of root unless `owner` (uid and gid) says otherwise. */
export type Entry = {
  /** From the root, without a slash before it. */
  readonly path: string;
  readonly mode: number;
  readonly owner?: number;
} & (
  | { readonly kind: 'file'; readonly content: Buffer }
  | { readonly kind: 'link'; readonly target: string }
  | { readonly kind: 'folder' }
);

export const file = (path: string, content: Buffer | string, mode = 0o644): Entry => ({
  path,
  mode,
  kind: 'file',
  content: Buffer.from(content),
});
export const link = (path: string, target: string): Entry => ({ path, mode: 0o777, kind: 'link', target });
export const folder = (path: string, mode = 0o755, owner = 0): Entry => ({ path, mode, kind: 'folder', owner });

/** Paths of everything below a folder, sorted; no link is followed. */
export function pathsBelow(root: string, within = ''): string[] {
  return readdirSync(join(root, within), { withFileTypes: true })
    .map((each) => ({ path: within === '' ? each.name : `${within}/${each.name}`, isFolder: each.isDirectory() }))
    .flatMap(({ path, isFolder }) => (isFolder ? [path, ...pathsBelow(root, path)] : [path]))
    .toSorted();
}

/** All files and links below a folder, with their modes but nobody's right to write but the owner's. */
export function filesBelow(root: string): Entry[] {
  return pathsBelow(root).flatMap((path): Entry[] => {
    const at = join(root, path);
    const stats = lstatSync(at);
    if (stats.isSymbolicLink()) return [link(path, readlinkSync(at))];
    return stats.isFile() ? [file(path, readFileSync(at), (stats.mode & 0o111) === 0 ? 0o644 : 0o755)] : [];
  });
}

/** With the folders that they lie in, sorted, so that equal entries make equal bytes. Throws for a path that is there twice. */
export function complete(entries: readonly Entry[]): Entry[] {
  const all = new Map<string, Entry>();
  for (const entry of entries) {
    if (all.has(entry.path)) throw new Error(`${entry.path} is there twice`);
    all.set(entry.path, entry);
  }
  for (const { path } of entries) {
    const parts = path.split('/');
    for (let length = 1; length < parts.length; length += 1) {
      const parent = parts.slice(0, length).join('/');
      if (!all.has(parent)) all.set(parent, folder(parent));
    }
  }
  return [...all.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
