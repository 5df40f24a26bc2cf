import { mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A folder as a kubelet mounts a Secret into: each name is a link through `..data`, which is switched as a whole. */
export class Mounted {
  readonly folder: string;
  #count = 0;

  constructor(folder: string) {
    this.folder = folder;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Another version of all files; what is not named is gone. */
  async put(files: Readonly<Record<string, string>>): Promise<void> {
    this.#count += 1;
    const version = `..2026_11_27_00_00_00.${String(this.#count).padStart(9, '0')}`;
    await mkdir(join(this.folder, version), { recursive: true });
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.folder, version, name), text);
    const old = await readlink(this.path('..data')).catch(() => undefined);
    await symlink(version, this.path('..data_tmp'));
    await rename(this.path('..data_tmp'), this.path('..data'));
    for (const name of Object.keys(files)) {
      await symlink(join('..data', name), this.path(name)).catch(() => undefined);
    }
    for (const name of await readdir(this.folder)) {
      if (!name.startsWith('..') && !Object.hasOwn(files, name)) await rm(this.path(name));
    }
    if (old !== undefined) await rm(join(this.folder, old), { recursive: true });
  }
}
