import open from 'open';
import type { TestProvider } from '../support/provider.ts';
import type { House } from './house.ts';

export interface Browsing {
  readonly house: House;
  readonly provider: TestProvider;
  /** Who the script is. */
  readonly login: string;
}

/** The reader's own. Where there is none, nothing happens. */
export async function openBrowser(url: string): Promise<void> {
  const child = await open(url);
  child.once('error', () => undefined);
}

/** What happens when Kleis opens a browser: the reader's own opens, or a script signs in. */
export function createBrowser({ house, provider, login }: Browsing): (url: string) => void {
  const { screen } = house;
  const name = login.charAt(0).toUpperCase() + login.slice(1);

  async function browse(url: string): Promise<void> {
    if (house.realBrowser) {
      screen.aside('your browser opens; if it does not, open this address:');
      screen.address(url);
      await openBrowser(url);
      return;
    }
    screen.aside(`a browser opens ${new URL(url).origin}: ${name} types her name and agrees`);
    const { status } = await provider.browser({ login }).open(url);
    if (status !== 200) throw new Error(`the last page has the status ${status}`);
  }

  return (url) => {
    browse(url).catch((error: unknown) => {
      if (!house.interrupted.aborted) screen.aside(`the browser failed: ${String(error)}`);
    });
  };
}
