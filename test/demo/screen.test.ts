import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createRecorder, linesOf } from './picture.ts';
import { createScreen, type Screen } from './screen.ts';

const words = 'Somebody would like to read what is written here & there, <without> it being cut. '.repeat(4);
const longest = 'x'.repeat(200);

function showEverything(screen: Screen): void {
  screen.title('Kleis');
  screen.act('Act 1: somebody');
  screen.fact('home', '/tmp');
  screen.step('1/2', 'First', true);
  screen.command(['kleis', 'kubeconfig', 'add', ...Array.from({ length: 9 }, (_, index) => `--flag-${index}`), "it's"]);
  screen.output(`${words}\n${longest}\nhalf a`);
  screen.output(' line\n');
  screen.aside(words);
  screen.meaning(words);
  screen.passing('waiting …');
  screen.step('2/2', 'Second', false);
  screen.bars([{ label: 'cat', value: 2 }]);
  screen.closing('All of it worked.');
}

function shownWith(env: Readonly<Record<string, string>>, isTTY: boolean): string {
  let text = '';
  showEverything(createScreen({ isTTY, columns: 80, write: (piece) => (text += piece) }, env));
  return text;
}

describe('the screen of the demo', () => {
  it.each([{}, { NO_COLOR: '1' }])('has no line that a terminal of 80 columns would break (%o)', (env) => {
    const lines = shownWith(env, true)
      .split('\n')
      .map((line) => stripVTControlCharacters(line.slice(line.lastIndexOf('\r') + 1)));
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.join('').replaceAll(/[\s│]/g, '')).toContain(longest);
  });

  it('has no colour with NO_COLOR, and nothing but text where there is no terminal', () => {
    // oxlint-disable-next-line no-control-regex -- what is not to be there
    expect(shownWith({ NO_COLOR: '1' }, true)).not.toMatch(/\u001b\[[\d;]*m/);
    // oxlint-disable-next-line no-control-regex -- the same
    expect(shownWith({}, false)).not.toMatch(/[\u001b\r]/);
  });

  it('shows no token', () => {
    const header = 'eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0';
    let text = '';
    const screen = createScreen({ isTTY: false, columns: 80, write: (piece) => (text += piece) }, {});
    screen.output(`{"token":"${header}.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"}\n`);
    expect(text).toBe('   │ {"token":"eyJhbGciOiJS…"}\n');
  });

  it('is drawn with the steps that are pictured, as text that any viewer reads', () => {
    const recorder = createRecorder();
    showEverything(recorder.screen);
    const svg = recorder.draw();
    const lines = linesOf(svg);
    expect(lines[0]).toBe('Kleis');
    expect(lines.at(-1)).toBe('All of it worked.');
    expect(lines.join('\n')).toContain('1/2  First');
    expect(lines.join('\n')).not.toMatch(/Second|home|waiting/);
    expect(lines.join(' ')).toMatch(/here & there, +<without>/);
    expect(svg).not.toMatch(/<(?:without|script|image|a)\b|&(?!amp;|lt;|gt;)/);
    expect(svg).not.toContain('\u001b');
    expect(svg.length).toBeLessThan(60_000);
  });
});
