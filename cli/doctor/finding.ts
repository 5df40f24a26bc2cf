import type { Finding } from '../../shared/findings.ts';
import { isErrorCode, KleisError } from '../../shared/errors.ts';

export type Severity = 'error' | 'warning' | 'unknown' | 'ok';

export interface DoctorFinding extends Finding<Severity> {
  /** Of an error: what the command ends with, if it is the first. */
  readonly exitCode?: number;
  /** YAML, a few lines: a grant that gives the same with an end. */
  readonly grant?: string;
}

interface More {
  readonly why?: string | undefined;
  readonly next?: string | undefined;
}

const given = ({ why, next }: More) => ({ ...(why !== undefined && { why }), ...(next !== undefined && { next }) });

export function ok(about: string, what: string, more: More = {}): DoctorFinding {
  return { severity: 'ok', code: about, about, what, ...given(more) };
}

export function failed(about: string, { code, message, hint, exitCode }: KleisError, more: More = {}): DoctorFinding {
  return { severity: 'error', code, about, what: message, next: hint, ...given(more), exitCode };
}

/** What works and should not stay so. */
export function warning(about: string, code: string, what: string, more: More = {}): DoctorFinding {
  return { severity: 'warning', code, about, what, ...given(more) };
}

/** What cannot be known, and why. */
export function unknown(about: string, what: string, more: More = {}): DoctorFinding {
  return { severity: 'unknown', code: about, about, what, ...given(more) };
}

/** What the command ends with: 0, or what the first failure stands for. */
export function exitCodeOf(findings: readonly DoctorFinding[]): number {
  return findings.find(({ severity }) => severity === 'error')?.exitCode ?? 0;
}

/** An error that is no reason to stop. */
export function soften(finding: DoctorFinding): DoctorFinding {
  return finding.severity === 'error' ? { ...finding, severity: 'warning' } : finding;
}

/** As what ends a command. */
export function errorOf({ code, what, why, next = '' }: DoctorFinding): KleisError {
  const known = isErrorCode(code) ? code : 'config_invalid';
  return new KleisError(known, why === undefined ? what : `${what} ${why}`, { hint: next });
}
