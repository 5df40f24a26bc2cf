import { styleText } from 'node:util';
import { useColour } from '../../shared/colour.ts';

export interface Bar {
  readonly label: string;
  /** Milliseconds. */
  readonly value: number;
}

/** What the reader sees. Works on a terminal and in a file or a log alike. */
export interface Screen {
  /** One that can be redrawn and coloured, with somebody in front of it. */
  readonly isTerminal: boolean;
  readonly title: (text: string) => void;
  readonly fact: (name: string, value: string) => void;
  readonly act: (title: string) => void;
  /** What follows, up to the next step or act, is in the picture only if it is `pictured`. */
  readonly step: (number: string, title: string, pictured: boolean) => void;
  /** What a person would type: words, quoted here as a shell needs it and broken before flags, or a line as it is. */
  readonly command: (command: readonly string[] | string) => void;
  /** A piece of what a program prints. Of a token only the beginning is shown. */
  readonly output: (text: string) => void;
  /** What happens beside the program: in the browser, at the provider. */
  readonly aside: (text: string) => void;
  /** On lines of its own and whole, so that it can be copied. */
  readonly address: (url: string) => void;
  /** What it means. */
  readonly meaning: (text: string) => void;
  readonly bars: (bars: readonly Bar[]) => void;
  /** One line that the next thing replaces; nothing where lines cannot be replaced. */
  readonly passing: (text: string) => void;
  /** Somebody has pressed Enter after it. */
  readonly entered: () => void;
  readonly failure: (text: string) => void;
  readonly closing: (text: string) => void;
}

const gutter = '   │ ';

/** What a screen needs of a terminal, or of what stands in for one. */
export interface Paper {
  readonly isTTY: boolean;
  readonly columns: number;
  write(text: string): unknown;
}

export function createScreen(out: Paper, env: Readonly<Record<string, string | undefined>>): Screen {
  const isTerminal = out.isTTY && env['TERM'] !== 'dumb';
  const colour = useColour(out, env);
  const paint = (format: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(format, text, { validateStream: false }) : text;
  const width = () => Math.min((isTerminal && out.columns) || 80, 110);
  let passing = false;
  let midLine = false;

  function write(text: string): void {
    if (passing) out.write('\r\u001b[K');
    passing = false;
    if (midLine) out.write('\n');
    midLine = false;
    out.write(text);
  }
  const paragraph = (text: string, indent: string, first = indent) =>
    wrap(text, width() - indent.length).map((line, index) => `${index === 0 ? first : indent}${line}\n`);

  return {
    isTerminal,
    title: (text) => write(`\n${paint('bold', text)}\n`),
    fact: (name, value) => write(`   ${paint('dim', name.padEnd(12))}${value}\n`),
    act(title) {
      const line = '─'.repeat(Math.max(0, width() - title.length - 4));
      write(`\n${paint('dim', '──')} ${paint('bold', title)} ${paint('dim', line)}\n\n`);
    },
    step: (number, title) => write(`\n${paint(['bold', 'cyan'], `${number}  ${title}`)}\n\n`),
    command(command) {
      const words = typeof command === 'string' ? command.split(' ') : command.map(quote);
      const [first = '', ...lines] = breakCommand(words, width() - 10);
      const rest = lines.map((line) => ` \\\n       ${paint('bold', line)}`).join('');
      write(`   ${paint('green', '$')} ${paint('bold', first)}${rest}\n`);
    },
    output(text) {
      if (text === '') return;
      if (passing) write('');
      const lines = text.replaceAll(/\b(eyJ[\w-]{9})[\w-]+\.[\w.-]+/g, '$1…').split('\n');
      lines.forEach((line, index) => {
        const last = index === lines.length - 1;
        if (last && line === '') return;
        const pieces = midLine || !isTerminal ? [line] : chop(line, (out.columns || 80) - gutter.length);
        out.write(pieces.map((piece) => (midLine ? '' : paint('dim', gutter)) + piece).join('\n'));
        if (!last) out.write('\n');
        midLine = last;
      });
    },
    aside: (text) =>
      write(
        paragraph(text, '     ', '   » ')
          .map((line) => paint('yellow', line))
          .join(''),
      ),
    address: (url) => write(`\n${url}\n\n`),
    meaning: (text) => write(`\n${paragraph(text, '   ').join('')}`),
    bars(bars) {
      const most = Math.max(...bars.map(({ value }) => value));
      const labels = Math.max(...bars.map(({ label }) => label.length));
      const room = Math.max(10, width() - labels - 20);
      for (const { label, value } of bars) {
        const bar = paint('cyan', '█'.repeat(Math.max(1, Math.round((value / most) * room))));
        write(`${paint('dim', gutter)}${label.padEnd(labels)}  ${value.toFixed(1).padStart(6)} ms  ${bar}\n`);
      }
    },
    passing(text) {
      if (!isTerminal) return;
      write(paint('dim', `   ${text}`));
      passing = true;
    },
    entered() {
      // The terminal has gone to the next line.
      if (passing) out.write('\u001b[A');
    },
    failure: (text) => write(`\n${paint(['bold', 'red'], 'The demo failed:')} ${text}\n`),
    closing: (text) => write(`\n${paint('bold', text)}\n`),
  };
}

/** The same on two screens; what is asked of a screen, the first one answers. */
export function onBoth(first: Screen, second: Screen): Screen {
  const both =
    <Values extends unknown[]>(show: (screen: Screen) => (...values: Values) => void) =>
    (...values: Values): void => {
      for (const screen of [first, second]) show(screen)(...values);
    };
  return {
    isTerminal: first.isTerminal,
    title: both((screen) => screen.title),
    act: both((screen) => screen.act),
    fact: both((screen) => screen.fact),
    step: both((screen) => screen.step),
    command: both((screen) => screen.command),
    output: both((screen) => screen.output),
    aside: both((screen) => screen.aside),
    address: both((screen) => screen.address),
    meaning: both((screen) => screen.meaning),
    bars: both((screen) => screen.bars),
    passing: both((screen) => screen.passing),
    entered: both((screen) => screen.entered),
    failure: both((screen) => screen.failure),
    closing: both((screen) => screen.closing),
  };
}

/** Lines of whole words. */
function wrap(text: string, width: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

/** Pieces that fit, broken at spaces where there are any; everything stays as it is printed. */
function chop(text: string, width: number): string[] {
  if (text.includes('\u001b')) return [text];
  const pieces: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    const end = space > width / 2 ? space + 1 : width;
    pieces.push(rest.slice(0, end));
    rest = rest.slice(end);
  }
  return [...pieces, rest];
}

/** The first line, and those after it; a flag stays with its value. */
function breakCommand(words: readonly string[], width: number): string[] {
  const parts: string[] = [];
  for (const [index, word] of words.entries()) {
    const isValue = !word.startsWith('-') && /^--[^=]+$/.test(words[index - 1] ?? '');
    if (isValue) parts.push(`${parts.pop()} ${word}`);
    else parts.push(word);
  }
  const lines = [''];
  for (const part of parts) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + part.length > width) lines.push(part);
    else lines[lines.length - 1] = line === '' ? part : `${line} ${part}`;
  }
  return lines;
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
