import { isAbsolute, resolve } from 'node:path';
import { formatDuration, parseDuration } from '../../shared/duration.ts';
import { type ErrorCode, KleisError } from '../../shared/errors.ts';
import { parseProxy } from '../../shared/net/proxy.ts';
import { pemDataUrl, serverUrlFaults, urlFaults, withoutLastSlash } from '../../shared/net/url.ts';
import { isObject } from '../../shared/json.ts';
import { clean } from '../../shared/text.ts';
import { isListenAddress, isRedirectUri } from './listen-address.ts';

// How what was typed, or stands in a file, becomes the value of a setting. Every parser gives the value or a `Fault`.

export const maxText = 2048;
export const maxItems = 64;

/** What is wrong with a value, as the end of a sentence that begins with "it" or with the name of the setting. */
export class Fault {
  readonly why: string;
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(why: string, { code = 'usage', hint }: { readonly code?: ErrorCode; readonly hint?: string } = {}) {
    this.why = why;
    this.code = code;
    this.hint = hint;
  }
}

export function usage(message: string, hint?: string): KleisError {
  return new KleisError('usage', message, hint === undefined ? {} : { hint });
}

const notText = new Fault(`must be text of at most ${maxText} characters, without any that cannot be seen`);

/** A line: neither empty nor long, without what could rewrite a terminal. */
export function text(value: unknown): string | Fault {
  return isText(value) ? value : notText;
}

/** One or several lines. */
export function texts(value: unknown): readonly string[] | Fault {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.length > 0 && list.length <= maxItems && list.every(isText) ? list : notText;
}

/** Absolute, since a session outlives the folder that a command was typed in. */
export function file(value: unknown): string | Fault {
  return isText(value) ? resolve(value) : notText;
}

/** Characters of base64: the command line of a plugin holds it, and each look at the cache reads that. */
export const maxCertificateData = 32_768;

/** PEM in base64; becomes what `readAuthority` takes in place of a path. It is what judges the certificates. */
export function certificateData(value: unknown): string | Fault {
  const isBase64 = typeof value === 'string' && /^[A-Za-z0-9+/]+={0,2}$/.test(value);
  if (!isBase64 || value.length > maxCertificateData) {
    return new Fault(`must be PEM in base64, at most ${maxCertificateData / 1024} KiB`);
  }
  return `${pemDataUrl}${value}`;
}

/** Absolute ones; a folder ends in a slash. */
export function absolutePaths(value: unknown): readonly string[] | Fault {
  const list = texts(value);
  if (!(list instanceof Fault) && list.every((path) => isAbsolute(path))) return list;
  return new Fault('must be the whole path of a file, of a folder (with / at its end), or a list of them');
}

export function flag(value: unknown): boolean | Fault {
  return typeof value === 'boolean' ? value : new Fault('must be true or false');
}

export function oneOf<T extends string>(allowed: readonly T[]): (value: unknown) => T | Fault {
  return (value) => allowed.find((choice) => choice === value) ?? new Fault(`must be one of ${allowed.join(', ')}`);
}

/** Milliseconds. */
export function duration(least: number, most: number): (value: unknown) => number | Fault {
  return (value) => {
    const milliseconds = typeof value === 'string' ? parseDuration(value) : undefined;
    if (milliseconds !== undefined && milliseconds >= least && milliseconds <= most) return milliseconds;
    return new Fault(`must be a duration such as 90s or 15m, from ${formatDuration(least)} to ${formatDuration(most)}`);
  };
}

/** https, or http on loopback; as `URL` spells it, without a slash at its end. */
export function serverUrl(value: unknown): string | Fault {
  const [fault] = isText(value) ? serverUrlFaults(value) : ['syntax' as const];
  return fault === undefined ? withoutLastSlash(new URL(String(value)).href) : new Fault(urlFaults[fault]);
}

/** Exactly as written: RFC 8414 compares issuers as strings. */
export function issuer(value: unknown): string | Fault {
  const refuse = (why: string, hint?: string) =>
    new Fault(why, { code: 'issuer_invalid', ...(hint !== undefined && { hint }) });
  const [, base] = /^(.*?)\/?\.well-known\//.exec(String(value)) ?? [];
  if (base !== undefined) {
    return refuse('is the address of a description, which Kleis finds by itself', `Give --issuer-url ${clean(base)}`);
  }
  const [placeholder] = /\{.*?\}|%7b.*?%7d|<.*?>/i.exec(String(value)) ?? [];
  if (placeholder !== undefined) {
    const hint = 'Put what it stands for in its place, such as the id of your tenant.';
    return refuse(`holds ${clean(placeholder, 60)}, which stands for something else`, hint);
  }
  const [fault] = isText(value) ? serverUrlFaults(value) : ['syntax' as const];
  if (fault === undefined) return String(value);
  const ofIssuers = fault === 'query' ? ', which no issuer has (OpenID Connect Discovery)' : '';
  return refuse(`${urlFaults[fault]}${ofIssuers}`);
}

/** RFC 8707 section 2: an absolute URI without a fragment. */
export function resource(value: unknown): string | Fault {
  const valid = isText(value) && /^[a-z][a-z0-9+.-]*:/i.test(value) && !value.includes('#');
  return valid ? value : new Fault('must be an absolute URI without a fragment (RFC 8707)');
}

/** It becomes an argument of a program of the platform. */
export function audience(value: unknown): string | Fault {
  const found = text(value);
  return typeof found === 'string' && found.startsWith('-') ? new Fault('begins with a dash') : found;
}

/** By the URLs of brokers. */
export function brokerAudiences(value: unknown): Readonly<Record<string, string>> | Fault {
  const fault = new Fault('must name an audience for each URL of a broker, such as "https://kleis.internal": kleis');
  if (!isObject(value) || Object.keys(value).length > maxItems) return fault;
  const found = new Map<string, string>();
  for (const [address, name] of Object.entries(value)) {
    const [url, wanted] = [serverUrl(address), audience(name)];
    if (url instanceof Fault || wanted instanceof Fault) return fault;
    found.set(url, wanted);
  }
  return Object.fromEntries(found);
}

/** It is sent as the scope (RFC 6749 section 3.3), of which there is exactly one. */
export function grant(value: unknown): string | Fault {
  const valid = typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]{1,253}$/.test(value);
  return valid ? value : new Fault('is not the name of a grant');
}

export function account(value: unknown): string | Fault {
  const valid = typeof value === 'string' && /^[\w.@+-]{1,100}$/.test(value);
  return valid ? value : new Fault('must be up to 100 letters, digits and . _ @ + -');
}

/** RFC 6749 section 3.3: scope tokens are printable ASCII without quotes and backslash, divided by spaces. */
export function scopes(value: unknown): readonly string[] | Fault {
  const list = texts(value);
  if (list instanceof Fault) return list;
  const found = list.flatMap((item) => item.split(' ').filter((scope) => scope !== ''));
  const valid =
    found.length > 0 &&
    found.length <= maxItems &&
    found.every((scope) => /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(scope));
  return valid ? found : new Fault('must be scopes (RFC 6749 section 3.3)');
}

export function listenAddresses(value: unknown): readonly string[] | Fault {
  const list = texts(value);
  if (!(list instanceof Fault) && list.every(isListenAddress)) return list;
  return new Fault('must be HOST:PORT with a loopback host (localhost, 127.0.0.1 or [::1]), or a list of them');
}

export function redirectUri(value: unknown): string | Fault {
  if (isText(value) && isRedirectUri(value)) return value;
  return new Fault('must be an http URI on loopback without a query, such as http://localhost:8000/callback');
}

/** One text is a program and nothing else: dividing it at spaces would be a guess. */
export function command(value: unknown): readonly string[] | Fault {
  const list = texts(value);
  return list instanceof Fault ? new Fault('must be a program, or a list of a program and its arguments') : list;
}

export function proxy(value: unknown): string | Fault {
  const url = isText(value) && value.includes('://') ? parseProxy(value) : undefined;
  const bare = url !== undefined && /^\/?$/.test(url.pathname) && url.search + url.hash === '';
  return bare ? String(value) : new Fault('must be the URL of a proxy, such as http://proxy.example.com:3128');
}

// What Kleis itself says in these requests (RFC 6749, 7636, 8628, 9101, 9126, 9449; OpenID Connect Core): a kubeconfig that could set
// one could take the sign-in apart.
const reservedParams = new Set(
  `client_id client_secret client_assertion client_assertion_type redirect_uri response_type scope state nonce iss code
  code_challenge code_challenge_method code_verifier grant_type refresh_token device_code request request_uri dpop_jkt
  audience resource id_token_hint registration`.split(/\s+/),
);

export function authParams(value: unknown): Readonly<Record<string, string>> | Fault {
  const list = Array.isArray(value) ? value : [value];
  if (list.length > maxItems) return new Fault(`is given more than ${maxItems} times`);
  const params = new Map<string, string>();
  for (const item of list) {
    const [, name, content] = /^([\w.-]{1,100})=(.*)$/s.exec(String(item)) ?? [];
    if (name === undefined || !isText(content)) return new Fault('must be name=value');
    if (reservedParams.has(name.toLowerCase())) {
      return new Fault(`says ${name}, which is reserved: Kleis itself says it in the request`);
    }
    if (params.has(name)) return new Fault(`says ${name} twice`);
    // A fragment stays in the browser: the callback would never hear of it.
    if (name === 'response_mode' && content !== 'query' && content !== 'form_post') {
      return new Fault('can say query or form_post for response_mode, and nothing else');
    }
    params.set(name, content);
  }
  return Object.fromEntries(params);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxText && clean(value, maxText) === value;
}

/** Scopes that a person typed with commas between them, unless a scope of the provider has one itself. */
export function betweenBlanks(typed: string, listed: readonly string[] | undefined): string {
  return listed?.some((scope) => scope.includes(',')) === true ? typed : typed.replaceAll(/\s*,\s*/g, ' ');
}
