import { join } from 'node:path';

/*
 * What stands in the folder of the sessions:
 *
 * KEY.GENERATION.json           a session. The newest generation counts. Its name is made by a hard link, so that of many
 *                               who hold the same generation exactly one makes the next, and a process that is killed
 *                               leaves the old one or the new one.
 * KEY.GENERATION.ID.CHUNKS.set  an empty file that says: the keyring may hold items of this set. It is there from before
 *                               the first item is written until the last one is removed, so that no crash leaves a
 *                               token in the keyring that nothing knows of.
 * KEY.claim                     see claim.ts
 */

export interface SessionFile {
  readonly key: string;
  readonly generation: number;
  readonly path: string;
}

export interface SetMark extends SessionFile {
  readonly id: string;
  readonly chunks: number;
}

export interface SessionFiles {
  /** The newest of each key last. */
  readonly files: readonly SessionFile[];
  readonly marks: readonly SetMark[];
}

const filePattern = /^([0-9a-z-]{1,80})\.([0-9]{1,15})\.json$/;
const markPattern = /^([0-9a-z-]{1,80})\.(([0-9]{1,15})\.[0-9a-f]{12})\.([0-9]{1,4})\.set$/;

export function markOf(folder: string, key: string, generation: number, set: Pick<SetMark, 'id' | 'chunks'>): SetMark {
  const { id, chunks } = set;
  return { key, generation, path: join(folder, `${key}.${id}.${chunks}.set`), id, chunks };
}

/** Sorts out the names in the folder; all of them, or those of one session. */
export function scan(names: readonly string[], folder: string, key?: string): SessionFiles {
  const files: SessionFile[] = [];
  const marks: SetMark[] = [];
  for (const name of names) {
    const [, fileKey, fileGeneration] = filePattern.exec(name) ?? [];
    if (fileKey !== undefined && (key ?? fileKey) === fileKey) {
      files.push({ key: fileKey, generation: Number(fileGeneration), path: join(folder, name) });
    }
    const [, markKey, id, markGeneration, chunks] = markPattern.exec(name) ?? [];
    if (markKey !== undefined && id !== undefined && (key ?? markKey) === markKey) {
      const path = join(folder, name);
      marks.push({ key: markKey, generation: Number(markGeneration), path, id, chunks: Number(chunks) });
    }
  }
  return { files: files.toSorted((a, b) => a.generation - b.generation), marks };
}
