import { createServer, type Server } from 'node:http';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, posix } from 'node:path';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildSite } from '../../../docs/site/build.ts';
import { slug } from '../../../docs/site/markdown.ts';
import { addressOf, linkFrom, listPages } from '../../../docs/site/pages.ts';
import { launchChromium } from '../../support/chromium.ts';
import { needs } from '../../support/needs.ts';

// The site is built as `npm run site` builds it, and read: by its HTML, and in a browser.

let out: string;
let html: ReadonlyMap<string, string>;
let files: readonly string[];

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'kleis-site-'));
  await buildSite(out);
  files = await readdir(out, { recursive: true });
  const pages = files.filter((file) => file.endsWith('.html'));
  html = new Map(
    await Promise.all(pages.map(async (file) => [file, await readFile(join(out, file), 'utf8')] as const)),
  );
});
afterAll(async () => rm(out, { recursive: true }));

const all = (text: string, pattern: RegExp) => Array.from(text.matchAll(pattern), ([, found = '']) => found);
const hrefs = (text: string) => all(text, /<a [^>]*href="([^"]*)"/g);
const targetOf = (file: string, href: string) => {
  const [path = '', hash = ''] = href.split('#');
  return { path: path === '' ? file : posix.join(posix.dirname(file), path), hash: decodeURIComponent(hash) };
};
const isExternal = (href: string) => /^[a-z]+:/.test(href);

it('every page of docs is a page of the site, and reached from the entrance', () => {
  expect([...html.keys()].toSorted()).toEqual(listPages().map(addressOf).toSorted());
  const reached = new Set(['index.html']);
  for (const file of reached) {
    for (const href of hrefs(html.get(file) ?? '')) {
      const { path } = targetOf(file, href);
      if (!isExternal(href) && html.has(path)) reached.add(path);
    }
  }
  expect([...html.keys()].filter((file) => !reached.has(file))).toEqual([]);
});

it('every link within leads to a file that is there, and every anchor to a place in it', () => {
  const ids = new Map([...html].map(([file, text]) => [file, new Set(all(text, / id="([^"]*)"/g))]));
  const broken = [...html].flatMap(([file, text]) =>
    [...hrefs(text), ...all(text, / src="([^"]*)"/g)]
      .filter((href) => !isExternal(href))
      .filter((href) => {
        const { path, hash } = targetOf(file, href);
        return !files.includes(path) || (hash !== '' && ids.get(path)?.has(hash) !== true);
      })
      .map((href) => `${file}: ${href}`),
  );
  expect(broken).toEqual([]);
});

it('nothing in it asks another server: no page, style, script or picture', async () => {
  for (const [file, text] of html) {
    const loaded = all(
      text,
      /<(?:script|img|link|iframe|source|object|embed)\b[^>]*? (?:src|srcset|href|data)="([^"]*)"/g,
    );
    expect(
      loaded.filter((address) => /^(?:[a-z]+:|\/)/.test(address)),
      file,
    ).toEqual([]);
    expect(text, file).toContain(`content="default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'`);
    expect(text, file).not.toMatch(/<style|style="|<script(?![^>]* src=)| on[a-z]+="/);
  }
  for (const file of files.filter((each) => /\.(?:css|svg)$/.test(each))) {
    expect(await readFile(join(out, file), 'utf8'), file).not.toMatch(/@import|url\(\s*['"]?(?!#|data:)|href="(?!#)/);
  }
});

it('examples are examples, however the page marks them, and braces of templates stay', () => {
  expect(html.get('about.html')).toMatch(/<pre [^>]*><code>npm ci &amp;&amp; npm run demo/);
  expect(html.get('hardening.html')).toContain('{{ with secret');
  expect(html.get('start/admin.html')).toMatch(/<pre class="seen"/);
});

it('a link to nothing ends the build; anchors are those of GitHub', () => {
  const pages = new Set(listPages());
  expect(() => linkFrom('docs/cli.md', 'nowhere.md', pages)).toThrow(/docs\/cli\.md links to nowhere\.md/);
  expect(linkFrom('docs/cli.md', 'decisions/', pages)).toBe('decisions/index.html');
  expect(linkFrom('docs/start/admin.md', '../../cli/main.ts', pages)).toMatch(/^https:.*\/blob\/main\/cli\/main\.ts$/);
  const seen = new Map<string, number>();
  expect(
    ['`POST /token`: RFC 8693', 'What’s up?', 'a b', 'A b'].map((text) => slug(text.replaceAll('`', ''), seen)),
  ).toEqual(['post-token-rfc-8693', 'whats-up', 'a-b', 'a-b-1']);
});

const executablePath = needs('chromium');

describe.skipIf(executablePath === undefined)('in a browser', () => {
  let server: Server;
  let base: string;
  let browser: Browser;
  const types: Readonly<Record<string, string>> = {
    '.html': 'text/html; charset=utf-8',
    '.css': 'text/css',
    '.js': 'text/javascript',
    '.svg': 'image/svg+xml',
  };
  beforeAll(async () => {
    server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? '', 'http://site');
      readFile(join(out, decodeURIComponent(pathname).replace(/^\/docs\//, ''))).then(
        (content) => response.setHeader('content-type', types[extname(pathname)] ?? 'text/plain').end(content),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    // Not at the root of the server: the site works below any path.
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/docs/`;
    browser = await launchChromium(executablePath);
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  const see = async (path: string, how: Parameters<Browser['newPage']>[0], look: (page: Page) => Promise<void>) => {
    const page = await browser.newPage(how);
    const faults: string[] = [];
    page.on('request', (request) => {
      if (!request.url().startsWith(base) && !request.url().startsWith('data:')) faults.push(request.url());
    });
    page.on('console', (message) => {
      if (message.type() === 'error') faults.push(message.text());
    });
    page.on('response', (response) => {
      if (!response.ok()) faults.push(`${response.status()} ${response.url()}`);
    });
    await page.goto(base + path);
    await look(page);
    expect(faults).toEqual([]);
    await page.close();
  };

  it.each([
    ['index.html', 'dark', 390],
    ['hardening.html', 'light', 1280],
  ] as const)('%s, %s, %i wide, has no fault that axe knows', async (path, scheme, width) => {
    const how = { colorScheme: scheme, viewport: { width, height: 900 } };
    await see(path, how, async (page) => {
      await page.evaluate(axe.source);
      const found = await page.evaluate(async () => {
        const { axe: inPage } = globalThis as unknown as {
          axe: { run(options: object): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
        const { violations } = await inPage.run({ runOnly: tags });
        return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
      });
      expect(found).toEqual([]);
    });
  });

  it('no page is wider than a small screen, but for what scrolls by itself', async () => {
    const page = await browser.newPage({ viewport: { width: 390, height: 900 } });
    const wide: string[] = [];
    for (const path of ['cli', 'comparison', 'architecture', 'performance', 'commands', 'start/developer']) {
      // oxlint-disable no-await-in-loop -- one page at a time
      await page.goto(`${base}${path}.html`);
      const beside = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
      // oxlint-enable no-await-in-loop
      if (Number(beside) > 0) wide.push(path);
    }
    expect(wide).toEqual([]);
    await page.close();
  });

  it('finds by the keyboard alone what somebody looks for', async () => {
    await see('start/developer.html', {}, async (page) => {
      await page.keyboard.press('/');
      await page.keyboard.type('exit code');
      await page.getByRole('option').first().waitFor();
      await page.keyboard.press('Enter');
      await page.waitForURL(/cli\.html#exit-codes$/);
      await page.keyboard.press('/');
      await page.keyboard.type('zzzzqqqq');
      await page.getByText('Nothing was found.').waitFor();
    });
  });

  it('is read without scripts, the menu of a small screen too', async () => {
    await see('cli.html', { javaScriptEnabled: false, viewport: { width: 390, height: 800 } }, async (page) => {
      await page.getByRole('link', { name: 'Pages', exact: true }).click();
      await page
        .getByRole('navigation', { name: 'Pages', exact: true })
        .getByRole('link', { name: 'Grants', exact: true })
        .click();
      await page.waitForURL(/grants\.html$/);
      expect(await page.getByRole('searchbox').count()).toBe(0);
    });
  });

  it('shows a diagram that is drawn from the page, and its source as text', async () => {
    await see('architecture.html', {}, async (page) => {
      const pictures = page.locator('figure img');
      expect(await pictures.count()).toBeGreaterThanOrEqual(2);
      const sizes = await pictures.evaluateAll((found) =>
        found.map((each) => (each as unknown as { naturalWidth: number }).naturalWidth),
      );
      for (const width of sizes) expect(width).toBeGreaterThan(300);
      await page.getByText('The diagram as text').first().click();
      await page.getByText('sequenceDiagram').first().waitFor();
    });
  });
});
