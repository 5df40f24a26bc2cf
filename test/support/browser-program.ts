// A person and their browser as a program of its own, for `browserCommand`: `browser.mjs CONFIGURATION URL`.
import { appendFileSync, readFileSync } from 'node:fs';
import { makeUpForBareSystem } from './bare-system.ts';
import { createScriptedBrowser } from './scripted-browser.ts';

/** Read anew at every start, so that the person can change their mind. */
export interface BrowserProgramOptions {
  /** Each start adds a line with the URL. */
  readonly log: string;
  /** PEM; what vouches for the provider. */
  readonly ca: string | undefined;
  readonly login: string;
  /** `ignore`: the window opens, and the person does nothing. */
  readonly behaviour: 'agree' | 'refuse' | 'ignore';
}

makeUpForBareSystem();
const [, , configuration = '', url = ''] = process.argv;
const { log, ca, login, behaviour } = JSON.parse(readFileSync(configuration, 'utf8')) as BrowserProgramOptions;
appendFileSync(log, `${url}\n`);
if (behaviour !== 'ignore') {
  await createScriptedBrowser(new URL(url).origin, ca, { login, refuse: behaviour === 'refuse' }).open(url);
}
