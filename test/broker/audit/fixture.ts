import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { Anchor } from '../../../broker/audit/anchors.ts';
import type { AuditEvent } from '../../../broker/audit/event.ts';
import { type AuditLog, openAuditLog } from '../../../broker/audit/log.ts';
import { type AuditReport, verifyAudit } from '../../../broker/audit/verify.ts';

export const options = {
  stdout: process.stdout,
  now: Date.now,
  host: 'Replica_1',
  version: '0.0.0',
  policy: 'a'.repeat(64),
};

export const event = (grant: string): AuditEvent => ({ event: 'exchange', outcome: 'allowed', grant });
export const kinds = ({ faults }: AuditReport) => faults.map(({ kind }) => kind);

/** An audit of each test's own. */
export interface TestAudit {
  readonly folder: string;
  readonly file: string;
  open(path?: string): Promise<AuditLog>;
  lines(path?: string): Promise<string[]>;
  write(all: readonly string[]): Promise<void>;
  /** Long after the tests wrote, unless they say when. */
  verify(anchors?: readonly Anchor[], more?: Partial<Verification>): Promise<AuditReport>;
  /** A whole audit with `count` exchanges, closed. */
  written(count: number): Promise<Anchor>;
}

interface Verification {
  readonly partial: boolean;
  readonly files: readonly string[];
  readonly now: number;
}

export function useAudit(): TestAudit {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kleis-audit-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
  const audit: TestAudit = {
    get folder() {
      return folder;
    },
    get file() {
      return join(folder, 'audit.jsonl');
    },
    open: async (path = audit.file) => openAuditLog({ ...options, file: path }),
    lines: async (path = audit.file) => (await readFile(path, 'utf8')).trim().split('\n'),
    write: async (all) => writeFile(audit.file, `${all.join('\n')}\n`),
    verify: async (anchors, { partial = false, files = [audit.file], now = Date.now() + 3_600_000 } = {}) =>
      verifyAudit(files, { anchors, partial, now }),
    async written(count) {
      const log = await audit.open();
      for (let index = 0; index < count; index += 1) await log.record(event(`g${index}`));
      await log.close();
      return { ...log.head, time: new Date().toISOString() };
    },
  };
  return audit;
}
