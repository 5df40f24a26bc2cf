import { type Browser, chromium } from 'playwright-core';

/** @param executablePath of what `needs('chromium')` found */
export async function launchChromium(executablePath = ''): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'];
  return chromium.launch({ executablePath, args });
}
