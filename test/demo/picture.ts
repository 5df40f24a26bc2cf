import { stripVTControlCharacters } from 'node:util';
import { createScreen, type Screen } from './screen.ts';

/** A screen that remembers what it shows, and draws it. */
export interface Recorder {
  readonly screen: Screen;
  /** An SVG of the title, the acts and the steps that are pictured. */
  draw(): string;
}

const columns = 100;

export function createRecorder(): Recorder {
  let shown = false;
  let text = '';
  const write = (piece: string): void => {
    if (shown) text += piece;
  };
  const screen = createScreen({ isTTY: true, columns, write }, { FORCE_COLOR: '1' });
  const nothing = (): void => undefined;
  const alone = (show: () => void): void => {
    shown = true;
    show();
    shown = false;
  };
  return {
    screen: {
      ...screen,
      title: (words) => alone(() => screen.title(words)),
      act: (title) => alone(() => screen.act(title)),
      step: (number, title, pictured) => {
        shown = pictured;
        screen.step(number, title, pictured);
      },
      closing: (words) => alone(() => screen.closing(words)),
      passing: nothing,
      entered: nothing,
    },
    draw: () =>
      toSvg(
        text
          .replace(/\n{3,}/g, '\n\n')
          .trim()
          .split('\n'),
      ),
  };
}

/** The lines of a picture, as text. */
export function linesOf(svg: string): string[] {
  return Array.from(svg.matchAll(/<text xml[^>]*>(.*?)<\/text>/g), ([, line = '']) =>
    line
      .replaceAll(/<[^>]+>/g, '')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&'),
  );
}

const fontSize = 14;
const lineHeight = 19;
const margin = 20;
const bar = 36;
/** Of the widest of the fonts, so that no line is cut. */
const advance = 0.62;
const width = Math.ceil(columns * fontSize * advance) + 2 * margin;

const style = `
text { font: ${fontSize}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  fill: #1f2328; white-space: pre }
.window { fill: #fff; stroke: #d1d9e0 } .bar { fill: #f6f8fa } .name, .dim { fill: #59636e }
.bold { font-weight: 600 } .red { fill: #c1121f } .green { fill: #116329 } .yellow { fill: #7d4e00 } .cyan { fill: #0b6a80 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .window { fill: #0d1117; stroke: #3d444d } .bar { fill: #161b22 } .name, .dim { fill: #9198a1 }
  .red { fill: #ff7b72 } .green { fill: #56d364 } .yellow { fill: #e3b341 } .cyan { fill: #56d4dd }
}`;

function toSvg(lines: readonly string[]): string {
  const height = bar + margin + lines.length * lineHeight + margin / 2;
  const baseline = bar + margin + fontSize - 4;
  const texts = lines.flatMap((line, index) =>
    stripVTControlCharacters(line).trim() === ''
      ? []
      : [`<text xml:space="preserve" x="${margin}" y="${baseline + index * lineHeight}">${toSpans(line)}</text>`],
  );
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, index) => `<circle cx="${margin + 2 + index * 20}" cy="${bar / 2}" r="6" fill="${fill}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="npm run demo">
<style>${style}
</style>
<rect class="window" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="10"/>
<path class="bar" d="M1 ${bar}V10.5a9.5 9.5 0 0 1 9.5-9.5H${width - 10.5}a9.5 9.5 0 0 1 9.5 9.5V${bar}Z"/>
${dots.join('')}
<text class="name" x="${width / 2}" y="${bar / 2 + 5}" text-anchor="middle">npm run demo</text>
${texts.join('\n')}
</svg>
`;
}

const styles: Readonly<Record<string, string>> = {
  1: 'bold',
  2: 'dim',
  31: 'red',
  32: 'green',
  33: 'yellow',
  36: 'cyan',
};

/** What is coloured for a terminal, as spans. */
function toSpans(line: string): string {
  const active = new Set<string>();
  const spans: string[] = [];
  // oxlint-disable-next-line no-control-regex -- that is how a terminal is told of colours
  for (const part of line.split(/(\u001b\[[\d;]*m)/)) {
    // oxlint-disable-next-line no-control-regex -- the same
    const code = /^\u001b\[([\d;]*)m$/.exec(part)?.[1];
    if (code === undefined) {
      const escaped = part.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
      if (part === '') continue;
      spans.push(active.size === 0 ? escaped : `<tspan class="${[...active].join(' ')}">${escaped}</tspan>`);
    } else if (styles[code] !== undefined) active.add(styles[code]);
    else for (const name of endedBy(code)) active.delete(name);
  }
  return spans.join('');
}

function endedBy(code: string): readonly string[] {
  if (code === '22') return ['bold', 'dim'];
  if (code === '39') return ['red', 'green', 'yellow', 'cyan'];
  return Object.values(styles);
}
