/** `ratio` and `count` have no unit to write. */
export type Unit = 'ms' | 'µs' | 'MiB' | '/s' | 'ratio' | 'count';

/** With as many digits as say something. `null`, and what JSON makes of NaN: not measured. */
export function format(value: number | null, unit: Unit): string {
  if (value === null || Number.isNaN(value)) return '';
  switch (unit) {
    case 'ms':
    case 'µs':
      return `${value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)} ${unit}`;
    case 'MiB':
      return `${value.toFixed(0)} MiB`;
    case 'ratio':
      return value.toFixed(2);
    case '/s':
    case 'count':
      return value.toFixed(0);
  }
}
