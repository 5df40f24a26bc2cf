import { exitCodes } from '../../../shared/errors.ts';
import { type DoctorFinding, warning } from '../finding.ts';

/** What lets in whoever comes: the command ends with the code for a wrong configuration. */
export function danger(about: string, code: string, what: string, more: Parameters<typeof warning>[3]): DoctorFinding {
  return { ...warning(about, code, what, more), severity: 'error', exitCode: exitCodes.configuration };
}
