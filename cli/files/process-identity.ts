import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { thisProcess } from '../surroundings/process.ts';
import { systemCode } from '../../shared/read-file.ts';

let knownPlace: string | undefined;
/** Where a pid means something: boot and pid namespace, or the host where that is all that is known. */
export function thisPlace(): string {
  return (knownPlace ??= findPlace());
}

function findPlace(): string {
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

/** When a process started, in the kernel's ticks. Undefined if there is no such process (or only what its parent has not yet taken note of); '' if all we know is that there is. */
export function processStart(pid: number): string | undefined {
  if (existsSync('/proc/self/stat')) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // After the name, which may hold anything: state (field 3) to start time (field 22); proc(5).
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : (fields[19] ?? '');
    } catch (error) {
      if (['ENOENT', 'ESRCH'].includes(systemCode(error) ?? '')) return undefined;
    }
  }
  return thisProcess.isAlive(pid) ? '' : undefined;
}
