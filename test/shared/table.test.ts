import { expect, test } from 'vitest';
import { fitTable, formatTable } from '../../shared/table.ts';

test('a table has as many rows as there are, however many', () => {
  const rows = Array.from({ length: 200_000 }, (_, index) => [String(index), 'x']);
  expect(formatTable(['NUMBER', 'X'], rows).split('\n')).toHaveLength(200_002);
  expect(fitTable(['NUMBER', 'X'], rows, 40).split('\n')).toHaveLength(200_002);
});

test.each([20, 30, 40, 80])('at %i columns nothing is wider, and no cell is a sliver', (width) => {
  const head = ['NAME', 'CLUSTER', 'LIVES', 'REVOCABLE', 'ACCESS'];
  const row = ['deploy-web', 'production', '15m, up to 1h', 'yes', 'deployer in web and api'];
  const text = fitTable(head, [row, row], width);
  expect(text.split('\n').every((line) => line.length <= width)).toBe(true);
  for (const cell of text.split(/ {3,}|\n/)) if (cell.endsWith('…')) expect(cell.length).toBeGreaterThanOrEqual(8);
});

test('a row that has no room is told line by line, whole', () => {
  const head = ['NAME', 'CLUSTER', 'ACCESS'];
  const bold = (text: string) => `<${text}>`;
  expect(
    fitTable(
      head,
      [
        ['a-long-name', 'production', 'deployer in web'],
        ['b', '', 'x'],
      ],
      22,
      bold,
    ),
  ).toBe(
    '<NAME>      a-long-name\n<CLUSTER>   production\n<ACCESS>    deployer in\n          web\n\n<NAME>      b\n<ACCESS>    x\n',
  );
});
