import { createHash } from 'node:crypto';
import type { Deps } from '../surroundings/deps.ts';
import { openFolder } from './folder.ts';

/** Something that is not secret and can be lost, for the next process. */
export interface Note {
  read(): string | undefined;
  /** @param until milliseconds since the epoch */
  write(text: string, until: number): void;
  remove(): void;
}

/** Notes beside the credentials; where nothing can be kept they are empty. */
export function openNotes(
  candidates: readonly string[],
  deps: Deps,
): { note(kind: string, about: readonly string[]): Note } {
  const folder = openFolder({ candidates, openToOthers: 'empty' }, deps);
  return {
    note(kind, about) {
      const name = `${kind}-${createHash('sha256').update(JSON.stringify(about)).digest('hex').slice(0, 32)}`;
      return {
        read() {
          const stored = folder.read(name);
          return stored === undefined || stored.mtime <= deps.clock.now() ? undefined : stored.text;
        },
        write: (text, until) => void folder.write(name, text, until),
        remove: () => folder.remove(name),
      };
    },
  };
}
