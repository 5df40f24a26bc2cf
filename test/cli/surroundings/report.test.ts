import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { createReport } from '../../../cli/surroundings/report.ts';
import { readAll } from '../../support/read-all.ts';
import { KleisError } from '../../../shared/errors.ts';

function reporting(isTTY: boolean, columns?: number) {
  const stderr = Object.assign(new PassThrough(), { isTTY, columns });
  const report = createReport(stderr as never, { NO_COLOR: '1' });
  return { report, text: () => readAll(stderr) };
}

test('an error on a terminal breaks at words, and what is to be copied is one line', () => {
  const { report, text } = reporting(true, 40);
  const command = 'kleis explain --broker https://kleis.example.com --grant deploy';
  report.error(
    new KleisError('grant_denied', 'There is no grant of that name for this token.', {
      hint: `Find out why: ${command}`,
    }),
  );
  expect(text()).toBe(
    `error: There is no grant of that name\n       for this token.\nnext:  Find out why:\n       ${command}\n`,
  );
});

test('who is waited for is told on a terminal alone, and once', () => {
  const there = reporting(true, 80);
  for (const host of ['a.example.com', 'b.example.com', 'a.example.com']) there.report.waiting(host);
  expect(there.text()).toBe('Waiting for a.example.com …\nWaiting for b.example.com …\n');
  const piped = reporting(false);
  piped.report.waiting('a.example.com');
  expect(piped.text()).toBe('');
});
