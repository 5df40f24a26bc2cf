import { KleisError } from '../../shared/errors.ts';
import { formatDuration } from '../../shared/duration.ts';
import { type DoctorFinding, failed, ok, unknown, warning } from './finding.ts';

/** API servers give the end of a token no leeway, its beginning five minutes (go-oidc, oidc/verify.go). */
const wrong = 60_000;
const noticeable = 5_000;

/** @param ahead milliseconds that the clock of the other side is ahead of ours */
export function describeClock(about: string, whose: string, ahead: number | undefined): DoctorFinding {
  if (ahead === undefined) return unknown(about, `The clock of ${whose} cannot be seen: it sends no Date.`);
  const by = formatDuration(Math.abs(ahead));
  const what = `The clock of ${whose} is ${by} ${ahead > 0 ? 'ahead of' : 'behind'} that of this machine.`;
  if (Math.abs(ahead) < noticeable) return ok(about, `The clock of ${whose} agrees with that of this machine.`);
  const next = 'Set the clock that is wrong (chrony, systemd-timesyncd); compare with time.gov or another machine.';
  if (Math.abs(ahead) < wrong) return warning(about, 'clock_skewed', what, { next });
  return failed(about, new KleisError('clock_skewed', what, { hint: next }), {
    why: 'Tokens count as ended, or as not begun, by whichever clock is off.',
  });
}
