import { expect, test } from 'vitest';
import { fitTable, formatTable } from '../../shared/table.ts';

test('a table has as many rows as there are, however many', () => {
  const rows = Array.from({ length: 200_000 }, (_, index) => [String(index), 'x']);
  expect(formatTable(['NUMBER', 'X'], rows).split('\n')).toHaveLength(200_002);
  expect(fitTable(['NUMBER', 'X'], rows, 40).split('\n')).toHaveLength(200_002);
});
