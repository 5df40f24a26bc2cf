import { request as httpRequest } from 'node:http';
import type { TokenSet } from '../../../cli/provider/tokens.ts';
import type { Settings } from '../../../cli/settings/sign-in.ts';
import type { TestProvider } from '../../support/provider.ts';
import { addressShown, type Connected, connectTo, createTestDeps, settingsFor, type TestDeps } from './world.ts';

export interface UnderWay {
  readonly deps: TestDeps;
  readonly kleis: Connected;
  readonly url: URL;
  readonly callback: URL;
  readonly state: string;
  readonly tokens: Promise<TokenSet>;
}

/** A sign-in that has come to where the person acts in the browser. */
export async function beginAt(
  at: TestProvider,
  changes: Partial<Settings> = {},
  deps: TestDeps = createTestDeps({ terminal: true }),
): Promise<UnderWay> {
  const kleis = await connectTo(settingsFor(at.issuer, changes), deps);
  const tokens = kleis.signIn();
  tokens.catch(() => undefined);
  const url = new URL(await addressShown(deps));
  const callback = new URL(url.searchParams.get('redirect_uri') ?? 'http://none.invalid');
  return { deps, kleis, url, callback, state: url.searchParams.get('state') ?? '', tokens };
}

export interface Sent {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Sends exactly what is said, as fetch would not: another Host, another method, a body of any size. */
export async function send(
  url: URL | string,
  options: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, body } = options;
    const outgoing = httpRequest(url, { method, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
