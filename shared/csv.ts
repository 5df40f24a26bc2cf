/** RFC 4180, with its line ends; cells that a spreadsheet would take for a formula stand behind an apostrophe. */
export function formatCsv(rows: readonly (readonly (string | number)[])[]): string {
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

// OWASP, CSV Injection; blanks before it do not keep a spreadsheet from it, nor does its full width.
const formula = /^\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/u;

function cell(value: string | number): string {
  if (typeof value === 'number') return String(value);
  const safe = formula.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
