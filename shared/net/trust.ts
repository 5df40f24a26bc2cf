import { constants } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { lazy } from './lazy.ts';

const [readdir, readFile, readlink] = [promisify(fs.readdir), promisify(fs.readFile), promisify(fs.readlink)];

type Env = Readonly<Record<string, string | undefined>>;

/** Said at every connection, so that neither NODE_TLS_REJECT_UNAUTHORIZED nor a flag in NODE_OPTIONS weakens it. */
export const strictTls = {
  rejectUnauthorized: true,
  minVersion: 'TLSv1.2',
  ciphers: constants.defaultCoreCipherList,
} as const;

/** Who may vouch for a server. */
export interface Trust {
  /** Undefined where Node's own list is asked first. */
  readonly context: tls.SecureContext | undefined;
  /** Whether anybody else is asked about a server that nobody of the first vouches for. */
  readonly hasOthers: boolean;
  /** Runs `attempt`, and once more with the others where the first does not vouch for `server`. */
  connect<T>(server: string, attempt: (context: tls.SecureContext | undefined) => Promise<T>): Promise<T>;
}

/** PEM; `ca` alone is trusted where it is given, else Node's own list and then what the machine trusts. */
export interface TlsMaterial {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/**
 * Building a context of the machine's authorities takes as long as half a refresh, and hardly anybody needs it: only a
 * server that Node's own list does not vouch for makes us read what variables name, and then what the system has. Each
 * time its handshake is made anew.
 */
export function createTrust({ ca, cert, key }: TlsMaterial, env: Env): Trust {
  const own = { ...strictTls, ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) };
  // The launcher's flag for Node 20 puts OpenSSL's list in the place of Node's own.
  const named = ca ?? (env['KLEIS_NODE_AUTHORITIES'] === undefined ? undefined : [...tls.rootCertificates]);
  const first =
    (named ?? cert ?? key) === undefined
      ? undefined
      : tls.createSecureContext({ ...own, ...(named !== undefined && { ca: named }) });
  const more = [readNamed, readSystem].map((find) =>
    lazy(async () => {
      const list = certificatesOf(await find(env));
      return list.length === 0 ? undefined : tls.createSecureContext({ ...own, ca: list });
    }),
  );
  const contexts = [async () => first, ...(ca === undefined ? more : [])];
  /** Which of them vouched for a server. */
  const known = new Map<string, number>();
  return {
    context: first,
    hasOthers: ca === undefined,
    async connect(server, attempt) {
      let refusal: unknown;
      for (let index = known.get(server) ?? 0; index < contexts.length; index += 1) {
        const context = await contexts[index]?.();
        if (index > 0 && context === undefined) continue;
        try {
          const result = await attempt(context);
          known.set(server, index);
          return result;
        } catch (error) {
          if (!isUnknownAuthority(error)) throw error;
          refusal = error;
        }
      }
      known.delete(server);
      throw refusal;
    },
  };
}

const unknownAuthority = new Set([
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]);

function isUnknownAuthority(error: unknown): boolean {
  return error instanceof Error && 'code' in error && unknownAuthority.has(String(error.code));
}

// Go's lists (crypto/x509, root_linux.go and root_bsd.go): the first file that can be read, and all of the folders.
const files = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
  '/usr/local/etc/ssl/cert.pem',
  '/usr/local/share/certs/ca-root-nss.crt',
  '/etc/openssl/certs/ca-certificates.crt',
];
const folders = ['/etc/ssl/certs', '/etc/pki/tls/certs', '/usr/local/share/certs', '/etc/openssl/certs'];
const maxFiles = 2000;
const maxText = 16 * 1024 * 1024;

/** Variables that name a file of additional authorities; the launcher gives on NODE_EXTRA_CA_CERTS as the first. */
const fileVariables = ['KLEIS_EXTRA_CA_CERTS', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'];

function namedFolders(env: Env): readonly string[] {
  return env['SSL_CERT_DIR']?.split(':').filter((folder) => folder !== '') ?? [];
}

/** What variables name. */
async function readNamed(env: Env): Promise<readonly string[]> {
  const texts = await Promise.all(fileVariables.map((name) => read(env[name] ?? '')));
  return [...texts, ...(await readFolders(namedFolders(env)))];
}

/** What the system has, but for what a variable names in its place. */
async function readSystem(env: Env): Promise<readonly string[]> {
  const bundle = env['SSL_CERT_FILE'] ? '' : await readFirst(files);
  return [bundle, ...(await readFolders(namedFolders(env).length > 0 ? [] : folders)), ...systemStore()];
}

function certificatesOf(texts: readonly string[]): string[] {
  const blocks = new Set<string>();
  for (const text of texts) {
    for (const [block] of text.matchAll(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)) {
      blocks.add(block.replaceAll('\r', ''));
    }
  }
  return [...blocks];
}

async function readFolders(paths: readonly string[]): Promise<readonly string[]> {
  return (await Promise.all(paths.map(readFolder))).flat();
}

/** The keychain of macOS and the store of Windows; Node knows them from 22.15 on. */
function systemStore(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'system') => readonly string[] };
  return getCACertificates?.('system') ?? [];
}

async function readFirst(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    const text = await read(path);
    if (text !== '') return text;
  }
  return '';
}

/** As Go: without links to a neighbour, which OpenSSL's folders have for each certificate. */
async function readFolder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return Promise.all(
    entries.slice(0, maxFiles).map(async (entry) => {
      const path = join(folder, entry.name);
      const target = entry.isSymbolicLink() ? await readlink(path).catch(() => '') : '/';
      return target.includes('/') ? read(path) : '';
    }),
  );
}

/** Empty if it cannot be read: a missing file is no error, but an untrusted certificate may be because of it. */
async function read(path: string): Promise<string> {
  if (path === '') return '';
  const text = await readFile(path, 'latin1').catch(() => '');
  return text.length > maxText ? '' : text;
}

/** The file of additional authorities that a variable names and that gives none. */
export async function unusableAuthorities(env: Env): Promise<string | undefined> {
  for (const name of ['KLEIS_EXTRA_CA_CERTS', 'SSL_CERT_FILE']) {
    const path = env[name] ?? '';
    if (path !== '' && !(await read(path)).includes('-----BEGIN CERTIFICATE-----')) return path;
  }
  return undefined;
}
