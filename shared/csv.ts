/**
 * RFC 4180, with its line ends; what a spreadsheet would take for a formula stands behind an apostrophe. Where the comma
 * divides decimals, spreadsheets divide cells at semicolons, quotes or not: a formula may begin behind one too.
 */
export function formatCsv(rows: readonly (readonly (string | number)[])[]): string {
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

// OWASP, CSV Injection; blanks before it do not keep a spreadsheet from it, nor does its full width.
const formula = /(?:^(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r])|(?<=;)(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20]))/gu;

function cell(value: string | number): string {
  if (typeof value === 'number') return String(value);
  const safe = value.replace(formula, "'");
  return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
