import { existsSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Person } from '../support/kleis.ts';
import { launchChromium } from '../support/chromium.ts';
import { needs } from '../support/needs.ts';
import type { Running } from '../support/run.ts';
import { createWorld, type World } from './world.ts';

const executablePath = needs('chromium');

// A person with a real browser: what they see in it, and what stays behind in it.
describe.skipIf(executablePath === undefined)('in Chromium', () => {
  let world: World;
  let browser: Browser;
  beforeAll(async () => {
    world = await createWorld();
    browser = await launchChromium(executablePath);
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await world?.end();
  });

  /** Starts `kleis login`; the address that it would open is given to the real browser instead. */
  async function begin(more: readonly string[] = []): Promise<{ person: Person; running: Running; page: Page }> {
    const person = await world.person();
    const handOver = join(person.bin, 'hand-over');
    const file = join(person.home, 'address');
    await writeFile(handOver, `#!/bin/sh\nprintf %s "$1" >'${file}.new' && mv '${file}.new' '${file}'\n`);
    await chmod(handOver, 0o755);
    await person.writeConfig({
      browserCommand: [handOver],
      login: 'browser',
      cache: 'file',
      redirectUri: 'http://127.0.0.1:0/callback',
    });
    const flags = [...world.flags, '--certificate-authority', person.providerCaFile, ...more];
    const running = person.start('kleis', ['login', ...flags], { timeout: 60_000 });
    await expect.poll(() => existsSync(file), { timeout: 15_000 }).toBe(true);
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(await readFile(file, 'utf8'));
    return { person, running, page };
  }

  async function agree(page: Page): Promise<void> {
    await page.fill('input[name=login]', 'alice');
    await page.fill('input[name=password]', 'any');
    await page.click('button[type=submit]');
    await page.click('button[type=submit]');
  }

  it.each(['query', 'form_post'])(
    'the page says that it worked, and neither it nor its address holds the code (%s)',
    async (mode) => {
      const { running, page } = await begin(['--auth-param', `response_mode=${mode}`]);
      await agree(page);
      await page.waitForURL(/kleis/);
      expect(await page.innerText('body')).toMatch(/signed in/i);
      expect(page.url()).not.toMatch(/code|state/);
      expect(await page.content()).not.toMatch(/eyJ|<script/);
      expect(await running.done).toMatchObject({ code: 0, stdout: '' });
      await page.context().close();
    },
    90_000,
  );

  it('the page says that it was refused, and so does the terminal', async () => {
    const { running, page } = await begin();
    await page.click('text=Cancel');
    await page.waitForURL(/kleis/);
    expect(await page.innerText('body')).toMatch(/not signed in/i);
    expect(await running.done).toMatchObject({ code: 3, stdout: '' });
    await page.context().close();
  }, 90_000);
});
