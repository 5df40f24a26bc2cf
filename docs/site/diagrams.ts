import { createHash } from 'node:crypto';
import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { chromium, type Page } from 'playwright-core';

/** The file of a drawing in `diagrams/`, without its ending, by the source that a page has of it. */
export type Drawings = ReadonlyMap<string, string>;

const schemes = {
  light: {
    theme: 'base',
    darkMode: false,
    paper: '#ffffff',
    ink: '#1b2430',
    line: '#526071',
    box: '#e8effd',
    edge: '#1d4fbf',
    note: '#f5f7fa',
  },
  dark: {
    theme: 'base',
    darkMode: true,
    paper: '#11161d',
    ink: '#e3e9f0',
    line: '#a3b0bf',
    box: '#1d2c4a',
    edge: '#8fb4ff',
    note: '#1a212b',
  },
} as const;

/**
 * Draws every source in these pages, for light and for dark. What the files are called is known at once, and they are there
 * when `done` resolves. Without a Chromium none is drawn: pages then show the sources.
 */
export function drawAll(pages: Iterable<string>, folder: string): { names: Drawings; done: Promise<void> } {
  const sources = new Set([...pages].flatMap((file) => sourcesIn(readFileSync(file, 'utf8'))));
  const executablePath = findChromium();
  if (sources.size === 0 || executablePath === undefined) return { names: new Map(), done: Promise.resolve() };
  const names = new Map([...sources].map((source) => [source, nameOf(source)]));
  return { names, done: drawIn(executablePath, names, folder) };
}

async function drawIn(executablePath: string, names: Drawings, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage();
    const require = createRequire(import.meta.url);
    await page.addScriptTag({ path: require.resolve('@mermaid-js/tiny') });
    for (const [source, name] of names) {
      // oxlint-disable no-await-in-loop -- one page draws one at a time
      for (const scheme of ['light', 'dark'] as const) {
        const svg = await draw(page, source, scheme).catch((error: unknown) => {
          throw new Error(`mermaid cannot draw this: ${String(error)}\n${source}`);
        });
        writeFileSync(join(folder, `${name}-${scheme}.svg`), svg);
      }
      // oxlint-enable no-await-in-loop
    }
  } finally {
    await browser.close();
  }
}

function nameOf(source: string): string {
  return createHash('sha256').update(source).digest('hex').slice(0, 16);
}

function sourcesIn(markdown: string): string[] {
  return Array.from(markdown.matchAll(/^```mermaid\n([^]*?)^```$/gm), ([, source = '']) => source);
}

async function draw(page: Page, source: string, scheme: keyof typeof schemes): Promise<string> {
  const { theme, darkMode, paper, ink, line, box, edge, note } = schemes[scheme];
  const themeVariables = {
    darkMode,
    background: paper,
    primaryColor: box,
    primaryTextColor: ink,
    primaryBorderColor: edge,
    lineColor: line,
    textColor: ink,
    actorBkg: box,
    actorBorder: edge,
    actorTextColor: ink,
    actorLineColor: line,
    signalColor: line,
    signalTextColor: ink,
    labelBoxBkgColor: box,
    labelBoxBorderColor: edge,
    labelTextColor: ink,
    loopTextColor: ink,
    noteBkgColor: note,
    noteBorderColor: line,
    noteTextColor: ink,
    fontFamily: 'system-ui, "Noto Sans", "DejaVu Sans", sans-serif',
    fontSize: '15px',
  };
  return page.evaluate(
    async ({ text, config }) => {
      const { mermaid } = globalThis as unknown as {
        mermaid: {
          initialize(config: object): void;
          render(id: string, text: string): Promise<{ svg: string }>;
        };
      };
      mermaid.initialize(config);
      const { svg } = await mermaid.render('diagram', text);
      return svg;
    },
    {
      text: source,
      config: {
        startOnLoad: false,
        securityLevel: 'strict',
        theme,
        themeVariables,
        // Text in HTML is not shown where a picture is.
        htmlLabels: false,
        flowchart: { htmlLabels: false },
        sequence: { mirrorActors: false, useMaxWidth: false, wrap: true, actorMargin: 25, width: 170, wrapPadding: 4 },
      },
    },
  );
}

function findChromium(): string | undefined {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const paths = (process.env['PATH'] ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name)));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
