const units = { h: 3_600_000, m: 60_000, s: 1000 } as const;

// Go's spelling, as Kubernetes users know it, without its fractions and sub-seconds; the largest unit first, each once.
export const durationPattern = /^(?=\d)(\d{1,6}h)?(\d{1,6}m)?(\d{1,6}s)?$/;

/** `15m`, `90s`, `1h30m` → milliseconds; undefined if it is anything else (a number without a unit, too). */
export function parseDuration(text: string): number | undefined {
  const match = durationPattern.exec(text);
  if (match === null) return undefined;
  const [, hours, minutes, seconds] = match;
  return numberOf(hours) * units.h + numberOf(minutes) * units.m + numberOf(seconds) * units.s;
}

/** Milliseconds → `1h30m`, rounded down to seconds; `0s` for less than one. What it prints, `parseDuration` reads. */
export function formatDuration(milliseconds: number): string {
  const total = Math.max(0, Math.floor(milliseconds / 1000));
  const parts = { h: Math.floor(total / 3600), m: Math.floor(total / 60) % 60, s: total % 60 };
  const text = Object.entries(parts)
    .filter(([, amount]) => amount > 0)
    .map(([unit, amount]) => `${amount}${unit}`)
    .join('');
  return text === '' ? '0s' : text;
}

/** How long ago, as kubectl says it: one unit, or two where one says too little (apimachinery `duration.HumanDuration`). */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [minutes, hours, days] = [60, 3600, 86_400].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ];
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return two(`${minutes}m`, seconds % 60, 's');
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return two(`${hours}h`, minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  return days < 8 ? two(`${days}d`, hours % 24, 'h') : `${days}d`;
}

const two = (first: string, rest: number, unit: string) => (rest === 0 ? first : `${first}${rest}${unit}`);

const numberOf = (amount: string | undefined) => Number.parseInt(amount ?? '0', 10);

/** RFC 3339, in whole seconds, downwards: what is printed must not outlive what is kept. */
export function formatTime(milliseconds: number): string {
  return new Date(Math.floor(milliseconds / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}
