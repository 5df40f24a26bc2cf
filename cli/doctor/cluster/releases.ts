import { installPage } from '../../../shared/install-page.ts';
import type { ServerVersion } from '../../cluster/questions.ts';
import { type DoctorFinding, ok, unknown, warning } from '../finding.ts';

/** When upstream's support of a minor version ends, from the pages https://kubernetes.io/releases/1.NN/. */
const ends: Readonly<Record<number, string>> = {
  30: '2025-07-15',
  33: '2026-06-28',
  34: '2026-10-27',
  35: '2027-02-28',
  36: '2027-06-28',
  37: '2027-10-28',
};
/** When those pages were read. */
const asOf = '2026-09-15';

const minors = Object.keys(ends).map(Number);
const newest = Math.max(...minors);

/** Whether upstream still mends the version of the server. */
export function checkSupport(version: ServerVersion | undefined, now: number): DoctorFinding {
  if (version === undefined) return unknown('version', 'The API server does not say its version.');
  const { minor, text } = version;
  const known = `as known on ${asOf}`;
  if (minor > newest) {
    return unknown('version', `Kubernetes ${text} is newer than this Kleis, which knows releases to 1.${newest}.`, {
      why: `The dates of upstream's support are ${known}.`,
      next: `Upgrade Kleis: ${installPage}`,
    });
  }
  const end = ends[minor];
  // Of a version between those of the table: it ended before the next one did.
  const next = minors.filter((each) => each >= minor).toSorted((a, b) => a - b)[0] ?? newest;
  const latest = ends[next] ?? '';
  if (end === undefined || Date.parse(`${end}T00:00:00Z`) <= now) {
    const when = end === undefined ? `before ${latest}` : `on ${end}`;
    return warning(
      'version',
      'version_unsupported',
      `Upstream ended its support of Kubernetes ${text} ${when}, ${known}.`,
      {
        why: `What is found in it since then is mended nowhere${/[-+]/.test(text) ? ', unless its vendor does so' : ''}.`,
        next: `Upgrade to 1.${newest}, one minor version after the other.`,
      },
    );
  }
  return ok('version', `Upstream supports Kubernetes ${text} until ${end}, ${known}.`);
}
