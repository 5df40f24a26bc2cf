import { longOf } from '../settings/gather.ts';
import { KleisError } from '../../shared/errors.ts';
import { certificatesIn, readCertificates } from '../../shared/net/certificates.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import type { Mapping } from '../kubeconfig/document.ts';
import type { SignInFlags } from '../settings/flags.ts';
import { isListenAddress, isRedirectUri } from '../settings/listen-address.ts';
import { Fault, authParams } from '../settings/values.ts';
import type { FlagTable, Parsed } from './go-flags.ts';
import { parseGoFlags } from './go-flags.ts';

/** Why an entry cannot become one of Kleis by itself: the end of a sentence that begins with its name. */
export class Untranslatable extends Error {}

/** One thing that the old entry says, and what becomes of it. */
export interface Line {
  /** As it stands there: a flag, a key; never its value. */
  readonly from: string;
  /** The flag of Kleis; undefined: it is left out. */
  readonly to?: string;
  readonly why?: string;
}

/** What an entry of another program says, in words of Kleis. */
export class Translation {
  /** The program, for people. */
  readonly from: string;
  readonly flags: SignInFlags = {};
  readonly lines: Line[] = [];
  /** It is to stand in a file of its own: no command line holds a secret. */
  clientSecret: Secret | undefined;

  constructor(from: string) {
    this.from = from;
  }

  take<K extends keyof SignInFlags>(from: string, name: K, value: NonNullable<SignInFlags[K]>): void {
    this.flags[name] = value;
    const long = longOf(name);
    this.lines.push({ from, to: value === true ? long : `${long}=${shownValue(name, value)}` });
  }

  leave(from: string, why: string): void {
    this.lines.push({ from, why });
  }

  takeSecret(from: string, secret: string): void {
    // A public client, written out.
    if (secret === '') return;
    this.clientSecret = new Secret(secret);
    this.lines.push({ from, to: '--client-secret-file' });
  }

  /** PEM files and base64 of PEM, together: the entry works on another machine too. Throws `config_invalid`. */
  async takeAuthorities(files: readonly string[], data: readonly string[], from: string): Promise<void> {
    if (files.length + data.length === 0) return;
    const texts = [
      ...(await Promise.all(files.map((file) => readCertificates(file, from)))),
      ...data.map((each) => Buffer.from(each, 'base64').toString()),
    ];
    let blocks: string[];
    try {
      blocks = texts.flatMap(certificatesIn);
    } catch (error) {
      throw new KleisError('config_invalid', `${from} cannot be used: ${(error as Error).message}.`, { cause: error });
    }
    this.flags.certificateAuthorityData = Buffer.from(`${blocks.join('\n')}\n`).toString('base64');
    this.lines.push({ from, to: '--certificate-authority-data' });
  }

  takeRedirect(from: string, uri: string): void {
    if (isRedirectUri(uri)) return this.take(from, 'redirectUri', uri);
    this.leave(from, 'Kleis listens with http on loopback alone: register http://localhost:8000');
  }

  /** What listens on all interfaces there listens on loopback here. `host` is what the redirect URI is to say. */
  takeListening(from: string, addresses: readonly string[], host = 'localhost'): void {
    const found = addresses.map((address) => `${host}:${/:(\d+)$/.exec(address)?.[1] ?? address}`);
    if (found.length === 0) return;
    if (found.every(isListenAddress)) return this.take(from, 'listenAddress', [...new Set(found)]);
    this.leave(from, 'Kleis listens on loopback alone');
  }

  /** Parameters of the authorization request. What Kleis says by flags of its own becomes those. */
  takeParams(from: string, pairs: readonly string[]): void {
    const params: string[] = [];
    for (const pair of pairs) {
      const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)];
      if (name === 'audience' || name === 'resource') this.take(`${from} ${name}`, name, value);
      else if (authParams(pair) instanceof Fault)
        this.leave(`${from} ${clean(name, 60)}`, 'Kleis itself says it in the request');
      else params.push(pair);
    }
    if (params.length > 0) this.take(from, 'authParam', params);
  }
}

/** The flags of an old command line, each asked for once: what nobody asked for is left out, and said. */
export class OldFlags {
  readonly #parsed: Parsed;
  readonly #asked = new Set<string>();

  constructor(args: readonly string[], table: FlagTable) {
    this.#parsed = parseGoFlags(args, table);
  }

  text(name: string): string | undefined {
    const value = this.list(name).at(-1);
    return value === '' ? undefined : value;
  }

  list(name: string): readonly string[] {
    this.#asked.add(name);
    return this.#parsed.flags.get(name) ?? [];
  }

  isOn(name: string): boolean {
    return ['true', '1', 't', 'T', 'TRUE', 'True'].includes(this.list(name).at(-1) ?? '');
  }

  /** `reasons` by flag; a flag without one is not known here. Those of logs nobody misses. */
  leaveRest(translation: Translation, reasons: Readonly<Record<string, string>>): void {
    for (const name of this.#parsed.flags.keys()) {
      if (!this.#asked.has(name)) translation.leave(`--${name}`, reasons[name] ?? 'it has no counterpart');
    }
    for (const name of this.#parsed.unknown) translation.leave(clean(name, 60), 'Kleis does not know it');
  }
}

/** Text of a mapping that others wrote. */
export function textIn(mapping: Mapping, key: string): string | undefined {
  const value = mapping[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const plain = new Set(
  'issuerUrl clientId scope audience resource token login identity redirectUri listenAddress cache loginTimeout account'.split(
    ' ',
  ),
);

/** Parameters may be anything, also secret. */
function shownValue(name: string, value: unknown): string {
  if (!plain.has(name)) return '…';
  return clean(Array.isArray(value) ? value.join(' ') : value, 120);
}
