import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { needs } from '../../support/needs.ts';
import { startWebWorld, type WebWorld } from './world.ts';

const executablePath = needs('chromium');
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

// A person with a real browser: what they see, and whether everybody can use it.
describe.skipIf(executablePath === undefined)('in Chromium', () => {
  let web: WebWorld;
  let browser: Browser;
  let source: string;
  beforeAll(async () => {
    [web, source] = await Promise.all([startWebWorld(), readFile(axe, 'utf8')]);
    browser = await chromium.launch({
      executablePath: executablePath ?? '',
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'],
    });
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await web?.world.stop();
    await web?.provider.stop();
  });

  async function signIn(login: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    await page.goto(web.url);
    await page.click('main a.button');
    await page.fill('input[name=login]', login);
    await page.fill('input[name=password]', 'any');
    await page.click('button[type=submit]');
    await page.click('button[type=submit]');
    await page.waitForURL(`${web.url}/ui/access`);
    return page;
  }

  /** What keeps people from using the page, by the rules of WCAG 2.2 AA. */
  async function faultsOf(page: Page): Promise<string[]> {
    // As a debugger does it, past the policy of the page.
    await page.evaluate(source);
    const rules = `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })`;
    const { violations } = await page.evaluate<AxeResults>(rules);
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    );
  }

  const widthOf = async (page: Page) => page.evaluate<number>('document.documentElement.scrollWidth');

  it.each([
    [1280, 'light'],
    [390, 'dark'],
  ] as const)('every page can be used by everybody, at %i in %s', async (width, colorScheme) => {
    const page = await signIn('mallory', { viewport: { width, height: 900 }, colorScheme });
    for (const path of ['/ui/access', '/ui/issued', '/ui/nowhere']) {
      await page.goto(`${web.url}${path}`);
      expect(await faultsOf(page), path).toEqual([]);
      expect(await widthOf(page), path).toBeLessThanOrEqual(width);
    }
    await page.context().close();
    const outside = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const landing = await outside.newPage();
    for (const path of ['/', '/ui/signed-out', '/ui/callback']) {
      await landing.goto(`${web.url}${path}`);
      expect(await faultsOf(landing), path).toEqual([]);
    }
    await outside.close();
  });
});
