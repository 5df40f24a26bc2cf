import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { Report } from '../../cli/surroundings/report.ts';
import type { Settings } from '../../cli/settings/sign-in.ts';
import type { TokenSet } from '../../cli/provider/tokens.ts';
import { type Session, startSession } from '../../cli/session/file-format.ts';
import type { SessionStore } from '../../cli/session/contract.ts';
import { openSessions, type SessionsOptions } from '../../cli/session/store.ts';
import { Secret } from '../../shared/secret.ts';

export const key = 'a'.repeat(64);
export const metadata = { issuer: 'https://login.example.com', token_endpoint: 'https://login.example.com/token' };
export const settings: Settings = {
  issuerUrl: 'https://login.example.com',
  clientId: 'kleis',
  broker: undefined,
  clientSecretFile: undefined,
  clientFiles: [],
  clientKeyFile: undefined,
  scopes: ['openid'],
  audience: undefined,
  resource: 'https://resource.example.com',
  authParams: { acr_values: 'mfa', __proto__x: 'y' },
  login: 'auto',
  identity: 'sso',
  token: 'id',
  account: 'ann',
  cache: 'auto',
  listenAddress: [],
  redirectUri: undefined,
  dpop: true,
  certificateAuthority: undefined,
  minValidity: 60_000,
  loginTimeout: 300_000,
  force: false,
  browserCommand: undefined,
  proxy: undefined,
  confirmNewClusters: false,
};

const start = 1_700_000_000_000;

export function tokens(name: string, size = 0): TokenSet {
  return {
    refreshToken: new Secret(`refresh-${name}`),
    idToken: new Secret(`id-${name}${'x'.repeat(size)}`),
    accessToken: undefined,
    idTokenExpiresAt: start + 3_600_000,
    accessTokenExpiresAt: undefined,
    issuedAt: start,
    dpopKey: { kty: 'EC', crv: 'P-256', x: 'x', y: 'y', d: 'private' },
    subject: { sub: 'ann-ø', name: 'Ann "A"' },
  };
}

/** With the secrets in the open, so that two can be compared. */
export function reveal(set: TokenSet | undefined): unknown {
  if (set === undefined) return undefined;
  const { refreshToken, idToken, accessToken, ...rest } = set;
  return {
    ...rest,
    refreshToken: refreshToken?.reveal(),
    idToken: idToken?.reveal(),
    accessToken: accessToken?.reveal(),
  };
}

export function reportTo(said: string[]): Report {
  return {
    level: 'info',
    setLevel: () => undefined,
    info: (text) => void said.push(text),
    waiting: () => undefined,
    warn: (text) => void said.push(text),
    debug: () => undefined,
    error: () => undefined,
  };
}

/** A state folder for each test, and stores that keep sessions there. */
export interface Bed {
  /** What is now, in milliseconds; a test may move it. */
  now: number;
  readonly said: string[];
  readonly base: string;
  readonly folder: string;
  open(options?: Partial<SessionsOptions>): SessionStore;
  /** Signs in. */
  begin(store: SessionStore, name?: string): Promise<Session>;
  /** What must be there. */
  load(store: SessionStore): Promise<Session>;
  /** What stands in the folder of the sessions. */
  names(): Promise<string[]>;
}

export function sessionBed(): Bed {
  const stores: SessionStore[] = [];
  const said: string[] = [];
  let base = '';
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'kleis-test-'));
    bed.now = start;
    said.length = 0;
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await rm(base, { recursive: true });
  });
  const bed: Bed = {
    now: start,
    said,
    get base() {
      return base;
    },
    get folder() {
      return join(base, 'state', 'sessions');
    },
    open(options = {}) {
      const store = openSessions({
        cache: 'file',
        dir: join(base, 'state'),
        runtimeDir: join(base, 'run'),
        env: {},
        report: reportTo(said),
        clock: { now: () => bed.now, sleep: async () => undefined },
        background: false,
        ...options,
      });
      stores.push(store);
      return store;
    },
    begin: async (store, name = 'one') => store.save(startSession(bed.now, key, settings, tokens(name), metadata)),
    async load(store) {
      const session = await store.load(key);
      if (session === undefined) throw new Error('there is no session');
      return session;
    },
    names: async () => (await readdir(bed.folder)).toSorted(),
  };
  return bed;
}
