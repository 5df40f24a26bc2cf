import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that is gone when `use` has ended. */
export function inTemporary(name: string, use: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), `kleis-${name}-`));
  try {
    use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As a promise, which rejects with what it throws. */
export async function done(check: () => void): Promise<void> {
  check();
}
