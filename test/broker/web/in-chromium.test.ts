import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium } from '../../support/chromium.ts';
import { needs } from '../../support/needs.ts';
import { leaseRequest } from '../leases/world.ts';
import { hostile, startWebWorld, type WebWorld } from './world.ts';

const executablePath = needs('chromium');
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

// A person with a real browser: what they see, and whether everybody can use it.
describe.skipIf(executablePath === undefined)('in Chromium', () => {
  let web: WebWorld;
  let browser: Browser;
  let source: string;
  beforeAll(async () => {
    [web, source] = await Promise.all([startWebWorld(), readFile(axe, 'utf8')]);
    browser = await launchChromium(executablePath);
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

  /** A token for the grant, as kubectl would have got it. */
  async function issue(login: string): Promise<void> {
    const { provider, broker } = web;
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: provider.issuer, aud: 'kleis', sub: login, groups: ['developers'], iat: now, exp: now + 600 };
    expect((await broker.exchange(provider.signed(claims), { scope: 'deploy-web' })).status).toBe(200);
  }

  it.each([
    [1280, 'light'],
    [390, 'dark'],
  ] as const)('every page can be used by everybody, at %i in %s', async (width, colorScheme) => {
    await issue('mallory');
    const page = await signIn('mallory', { viewport: { width, height: 900 }, colorScheme });
    const titles = { '/ui/access': 'My access', '/ui/issued': 'Issued to me', '/ui/nowhere': 'There is no such page' };
    for (const [path, title] of Object.entries(titles)) {
      await page.goto(`${web.url}${path}`);
      expect(await page.textContent('h1')).toBe(title);
      expect(await faultsOf(page), path).toEqual([]);
      expect(await widthOf(page), path).toBeLessThanOrEqual(width);
    }
    // 400 % of 1280 (WCAG 1.4.10).
    await page.setViewportSize({ width: 320, height: 640 });
    for (const path of ['/ui/access', '/ui/issued']) {
      await page.goto(`${web.url}${path}`);
      expect(await widthOf(page), path).toBeLessThanOrEqual(320);
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

  it('a token is revoked with the mouse, and without any script', async () => {
    await issue('alice');
    const page = await signIn('alice', { javaScriptEnabled: false });
    await page.click('text=Windows');
    expect(await page.isVisible('#add-windows')).toBe(true);
    expect(await page.isVisible('#add-linux')).toBe(false);
    await page.click('nav >> text=Issued to me');
    await page.click('summary >> nth=0');
    await page.click('text=Yes, revoke it');
    expect(await page.textContent('[role=status]')).toContain('The token is revoked');
    expect(await page.locator('table .badge').allTextContents()).toEqual(['revoked']);
    expect((await web.broker.audit()).at(-1)).toMatchObject({ event: 'revoke', outcome: 'done', subject: 'alice' });
    await page.click('text=Sign out');
    // The provider asks whether its own session is to end, too.
    await page.click('button[value=yes]');
    await page.waitForURL(`${web.url}/ui/signed-out`);
    await page.goto(`${web.url}/ui/access`);
    expect(new URL(page.url()).origin).toBe(web.provider.url.origin);
    await page.context().close();
  });

  it('and with the keyboard alone', async () => {
    await issue('boss');
    const page = await signIn('boss');
    const focused = async () => page.evaluate<string>('document.activeElement.textContent.trim()');
    const press = async (until: string): Promise<void> => {
      for (let count = 0; count < 40 && (await focused()) !== until; count += 1) await page.keyboard.press('Tab');
      expect(await focused()).toBe(until);
    };
    await press('Skip to the content');
    await press('Issued to me');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${web.url}/ui/issued`);
    await press('Revoke deploy-web, prod');
    await page.keyboard.press('Space');
    await press('Yes, revoke it deploy-web, prod');
    await page.keyboard.press('Enter');
    await page.waitForURL(/done=revoked/);
    expect(await page.textContent('[role=status]')).toContain('The token is revoked');
    await page.context().close();
  });

  it.each([
    [1280, 'dark'],
    [320, 'light'],
  ] as const)('every page for admins can be used by everybody, at %i in %s', async (width, colorScheme) => {
    await seed();
    const page = await signIn('boss', { viewport: { width, height: 900 }, colorScheme });
    for (const [path, act] of adminPages) {
      await page.goto(`${web.url}/ui/admin/${path}`);
      if (act !== undefined) await page.click(act);
      expect(await faultsOf(page), path).toEqual([]);
      expect(await widthOf(page), path).toBeLessThanOrEqual(width);
    }
    await page.context().close();
  });

  it('an admin revokes a lease by keyboard alone, without scripts', async () => {
    await seed();
    const page = await signIn('boss', { javaScriptEnabled: false });
    const tabTo = async (name: RegExp): Promise<void> => {
      const seen: string[] = [];
      for (let count = 0; count < 120; count += 1) {
        await page.keyboard.press('Tab');
        const text = await page.evaluate<string>('document.activeElement.textContent');
        seen.push(text.trim().slice(0, 40));
        if (name.test(text.trim())) return;
      }
      throw new Error(`there is no way by keyboard to ${name}, but to ${seen.join(', ')}`);
    };
    await tabTo(/^Leases$/);
    await page.keyboard.press('Enter');
    await page.waitForURL(/leases/);
    await tabTo(/^Revoke….*the lease of zebra/);
    await page.keyboard.press('Enter');
    await page.waitForURL(/leases\/revoke\?/);
    await tabTo(/^Revoke$/);
    await page.keyboard.press('Enter');
    await page.waitForSelector('text=Its token is dead within');
    await page.context().close();
  });

  /** Leases of all kinds of holders. */
  async function seed(): Promise<void> {
    const { lease } = await web.world.state.store().acquire(leaseRequest(Date.now(), { holder: `sso ${hostile}` }));
    await web.world.state.store().mark(lease!, 'revoked', hostile);
    for (const holder of ['sso zebra', `sso ${'W'.repeat(200)}`, `ci ${'repo:acme/a-long-name'.repeat(5)}`]) {
      await web.world.state.store().acquire(leaseRequest(Date.now(), { holder, grant: 'x'.repeat(63) }));
    }
    await web.broker.exchange(await web.world.issue({ sub: 'W'.repeat(300) }), { scope: 'W'.repeat(80) });
  }

  const adminPages: readonly (readonly [path: string, click?: string])[] = [
    ['leases?state=any&grant=', 'details > summary'],
    ['leases?text=nothing-like-it'],
    [`leases/revoke-all?grant=${'x'.repeat(63)}`],
    ['leases', 'td.alone a'],
    ['decisions', 'td details > summary'],
    ['explain?grant=look'],
    ['grants?sort=warnings'],
    ['health'],
    ['audit'],
  ];
});
