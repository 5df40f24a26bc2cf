import { randomBytes } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { clientSecret, startProvider, type ProviderOptions, type TestProvider } from '../../support/provider.ts';
import { type Answer, type AppWorld, formType, request, type RunningBroker, startAppWorld } from '../routes/world.ts';

/** A broker with a page, the provider at which people sign in to it, and who they are. */
export interface WebWorld {
  readonly world: AppWorld;
  readonly provider: TestProvider;
  readonly broker: RunningBroker;
  readonly url: string;
  readonly keyFile: string;
  /** What the configuration says of the page. */
  readonly web: Readonly<Record<string, unknown>>;
  /** Writes such keys, and gives them. */
  readonly writeKeys: (...keys: readonly string[]) => Promise<void>;
  readonly visitor: () => Visitor;
  /** Somebody who has signed in. */
  readonly person: (login?: string) => Promise<Visitor>;
}

/** A browser as far as HTTP goes: it keeps the cookies of the broker, and follows nothing. */
export interface Visitor {
  readonly cookies: Map<string, string>;
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  /** A form of a page: with its token, from the same origin, unless something else is given. */
  post(path: string, fields?: Record<string, string>, headers?: Record<string, string>): Promise<Answer>;
  /** The token that forms of this session have. */
  csrf(): Promise<string>;
  /** As far as the provider's answer, which is not delivered. */
  begin(login?: string, back?: string): Promise<URL>;
  signIn(login?: string, back?: string): Promise<Answer>;
}

export const newKey = (): string => randomBytes(32).toString('base64');

/** Names that a page must not believe. */
export const hostile = '<script>alert(1)</script>"\'><img src=x onerror=alert(2)>\u202e\u0007&amp;';

export const accounts: NonNullable<ProviderOptions['accounts']> = {
  alice: { name: 'Alice Adams', groups: ['developers'] },
  boss: { name: 'Bo Boss', groups: ['developers', 'platform'] },
  stranger: { name: 'Sam Stranger', groups: [] },
  mallory: { name: hostile, groups: [hostile, 'developers'], email: hostile },
  // A list whose parts say nothing of one another, as the ids of Entra ID.
  crowd: { groups: Array.from({ length: 200 }, () => randomBytes(16).toString('hex')) },
  throng: { groups: Array.from({ length: 255 }, () => randomBytes(32).toString('base64url')) },
  mob: { groups: Array.from({ length: 600 }, () => randomBytes(16).toString('hex')) },
};

export const webGrants: Record<string, Record<string, unknown>> = {
  'deploy-web': {
    issuer: 'sso',
    where: { groups: { contains: 'developers' } },
    cluster: 'prod',
    serviceAccount: 'deploy-web',
    access: [{ namespace: 'web', role: 'deployer' }],
  },
  look: {
    issuer: 'sso',
    where: { groups: { contains: 'developers' } },
    cluster: 'prod',
    serviceAccount: 'look',
    access: [{ scope: 'cluster', clusterRole: 'view' }],
    revocable: false,
  },
};

export async function startWebWorld(
  parts: Record<string, unknown> = {},
  { web: settings = {}, ...options }: ProviderOptions & { readonly web?: Record<string, unknown> } = {},
): Promise<WebWorld> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const client = {
    application_type: 'web',
    client_secret: clientSecret,
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: [`${url}/ui/callback`],
    post_logout_redirect_uris: [`${url}/ui/signed-out`],
  };
  const provider = await startProvider({
    accounts,
    ...options,
    clients: [
      { ...client, client_id: 'page', token_endpoint_auth_method: 'client_secret_basic' },
      { ...client, client_id: 'page-post', token_endpoint_auth_method: 'client_secret_post' },
      { ...client, client_id: 'page-public', client_secret: undefined, token_endpoint_auth_method: 'none' },
    ],
  });
  const world = await startAppWorld();
  const keyFile = join(world.folder, 'cookie-keys');
  const secretFile = join(world.folder, 'client-secret');
  const writeKeys = async (...keys: readonly string[]): Promise<void> => {
    await writeFile(keyFile, `# keys\n${keys.join('\n')}\n`);
    await chmod(keyFile, 0o600);
  };
  await writeKeys(newKey());
  await writeFile(secretFile, `${clientSecret}\n`, { mode: 0o600 });
  const web = { issuer: 'sso', clientId: 'page', clientSecretFile: secretFile, cookieKeyFile: keyFile, ...settings };
  const { issuers } = world.document() as { issuers: object };
  const sso = {
    url: provider.issuer,
    allowLoopbackHttp: true,
    audience: 'kleis',
    signIn: { scopes: ['groups', 'profile', 'email'] },
  };
  const broker = await world.start({
    publicUrl: url,
    listen: { address: `127.0.0.1:${port}` },
    issuers: { ...issuers, sso },
    admins: [{ issuer: 'sso', claim: 'groups', value: 'platform' }],
    grants: webGrants,
    web,
    ...parts,
  });
  const visitor = () => createVisitor(url, provider);
  return {
    world,
    provider,
    broker,
    url,
    keyFile,
    web,
    writeKeys,
    visitor,
    async person(login) {
      const visiting = visitor();
      await visiting.signIn(login);
      return visiting;
    },
  };
}

/** One for all tests of a suite; it stops after the last one. */
export async function startWebSuite(...parts: Parameters<typeof startWebWorld>): Promise<WebWorld> {
  const world = await startWebWorld(...parts);
  afterAll(async () => {
    await world.world.stop();
    await world.provider.stop();
  });
  return world;
}

function createVisitor(url: string, provider: TestProvider): Visitor {
  const cookies = new Map<string, string>();
  const send = async (path: string, call: Parameters<typeof request>[1] = {}): Promise<Answer> => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const headers = { ...(cookie !== '' && { cookie }), ...call.headers };
    const answer = await request(`${url}${path}`, { ...call, headers });
    for (const text of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = '', age = ''] = /^([^=]+)=([^;]*); Max-Age=(\d+)/.exec(text) ?? [];
      if (age === '0') cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
  const visitor: Visitor = {
    cookies,
    get: async (path, headers = {}) => send(path, { headers }),
    async post(path, fields = {}, headers = {}) {
      const body = new URLSearchParams({ csrf: await visitor.csrf(), ...fields }).toString();
      const usual = { ...formType, origin: url, 'sec-fetch-site': 'same-origin' };
      return send(path, { method: 'POST', headers: { ...usual, ...headers }, body });
    },
    async csrf() {
      const { text } = await visitor.get('/ui/access');
      return /name="csrf" value="([^"]+)"/.exec(text)?.[1] ?? '';
    },
    async begin(login = 'alice', back) {
      const query = back === undefined ? '' : `?${new URLSearchParams({ back }).toString()}`;
      const { headers, text, status } = await visitor.get(`/ui/sign-in${query}`);
      if (headers.location === undefined) throw new Error(`no sign-in: ${status} ${text}`);
      const { location } = await provider.browser({ login }).visit(headers.location);
      if (location === undefined) throw new Error('the provider did not send us back');
      return location;
    },
    async signIn(login, back) {
      const location = await visitor.begin(login, back);
      return visitor.get(`${location.pathname}${location.search}`);
    },
  };
  return visitor;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}
