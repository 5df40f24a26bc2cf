import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { browserCommands } from '../../../cli/sign-in/browser-command.ts';

const said = (BROWSER: string, platform: NodeJS.Platform = 'linux') =>
  browserCommands(undefined, { env: { BROWSER }, platform });

test.each<[string, string[][]]>([
  ['firefox', [['firefox']]],
  ['/usr/bin/firefox --new-window', [['/usr/bin/firefox', '--new-window']]],
  ['open -u %s -x', [['open', '-u', '{url}', '-x']]],
  ['w3m:firefox:lynx %s:chromium', [['firefox'], ['chromium']]],
  ['/usr/bin/www-browser', []],
  [' : ', []],
  ['', []],
])('$BROWSER %j is %j', (text, commands) => {
  expect(said(text)).toEqual(commands);
});

test('what the person has configured goes before $BROWSER', () => {
  expect(browserCommands(['mine'], { env: { BROWSER: 'firefox' }, platform: 'linux' })).toEqual([['mine']]);
});

test('a path with blanks is one word where it is there, and on Windows a colon divides nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kleis browser '));
  try {
    const program = join(folder, 'a browser');
    await writeFile(program, '');
    expect(said(program)).toEqual([[program]]);
    expect(said('C:\\browser.exe;firefox', 'win32')).toEqual([['C:\\browser.exe'], ['firefox']]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
