import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCsv } from '../../shared/csv.ts';

/** As RFC 4180 reads it. */
function read(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const [, quoted, plain = '', end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    row.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end !== ',') {
      rows.push(row);
      row = [];
    }
  }
  return rows;
}

const cells = fc.oneof(
  fc.string(),
  fc.string({ unit: fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', '"', ',', ';', ' ', 'a', '\uff1d') }),
);

describe('CSV', () => {
  it('is read back as it was, but for the apostrophe before a formula', () => {
    fc.assert(
      fc.property(fc.array(fc.array(cells, { minLength: 1, maxLength: 4 }), { maxLength: 4 }), (rows) => {
        const back = read(formatCsv(rows));
        const bare = (cell: string) =>
          cell
            .replace(/^'(?=\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20])/u, '')
            .replace(/;'(?=[\s"]*[=+\-@\uff1d\uff0b\uff0d\uff20])/gu, ';');
        expect(back.map((row) => row.map(bare))).toEqual(rows.map((row) => row.map(bare)));
      }),
    );
  });

  it('has no cell that a spreadsheet would take for a formula', () => {
    fc.assert(
      fc.property(fc.array(cells, { minLength: 1 }), (row) => {
        for (const cell of read(formatCsv([row]))[0]!)
          expect(cell).not.toMatch(/^\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/u);
      }),
    );
  });

  it('has none either where a spreadsheet divides cells at semicolons', () => {
    fc.assert(
      fc.property(fc.array(cells, { minLength: 1 }), (row) => {
        for (const cell of formatCsv([row]).split(';').slice(1)) expect(cell).not.toMatch(/^[\s"]*[=+\-@\uff1d]/u);
      }),
    );
    const branch = "repo:a/b:ref:refs/heads/;=cmd|'/C'calc'!A0;";
    expect(formatCsv([[branch]])).toBe(`${branch.replace(';=', ";'=")}\r\n`);
  });

  it('leaves numbers numbers', () => {
    expect(formatCsv([['a', 1, 0]])).toBe('a,1,0\r\n');
  });
});
