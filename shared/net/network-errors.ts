import { KleisError } from '../errors.ts';
import { clean } from '../text.ts';

const clockHint = 'Check the clock of this machine, then the certificate of the server.';
const trustHint = 'Give the certificate of that authority with --certificate-authority.';

interface Reason {
  readonly text: string;
  readonly hint?: string;
}

const reasons: Readonly<Record<string, Reason>> = {
  ENOTFOUND: { text: 'its name is not known (DNS)' },
  EAI_AGAIN: { text: 'its name cannot be looked up now (DNS does not answer)' },
  ECONNREFUSED: { text: 'the connection was refused' },
  ECONNRESET: { text: 'the connection was cut' },
  EPIPE: { text: 'the connection was cut' },
  ETIMEDOUT: { text: 'it did not answer in time' },
  EHOSTUNREACH: { text: 'there is no route to it' },
  ENETUNREACH: { text: 'there is no route to it' },
  CERT_HAS_EXPIRED: { text: 'its certificate has expired', hint: clockHint },
  CERT_NOT_YET_VALID: { text: 'its certificate is not valid yet', hint: clockHint },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: {
    text: 'its certificate is signed by an authority that is not trusted here',
    hint: trustHint,
  },
  UNABLE_TO_GET_ISSUER_CERT: {
    text: 'its certificate is signed by an authority that is not trusted here',
    hint: trustHint,
  },
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: {
    text: 'its certificate is signed by an authority that is not trusted here',
    hint: trustHint,
  },
  SELF_SIGNED_CERT_IN_CHAIN: {
    text: 'its certificate is signed by an authority that is not trusted here',
    hint: trustHint,
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: { text: 'its certificate is signed by nobody but itself', hint: trustHint },
  CERT_SIGNATURE_FAILURE: { text: 'the signature of its certificate is wrong' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    text: 'its certificate is for another host',
    hint: 'Check the URL; something between may have answered in its place.',
  },
  EPROTO: { text: 'it does not speak TLS there' },
};

/** Codes of a request that cannot have reached the server: to send it once more repeats nothing. */
const before = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH']);

export function neverSent(error: unknown): boolean {
  return before.has(codeOf(error));
}

/** The code of an error at listening: this machine has no such address, as one without IPv6 (or IPv4). */
export function isAbsentAddress(code: string | undefined): boolean {
  return code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT';
}

/** A certificate is no better in half a second, nor is a server that does not speak TLS. */
export function isTrustFailure(error: unknown): boolean {
  return someCode(error, (code) => trustCodes.test(code));
}

/** Nobody who is trusted here vouches for the certificate: the one fault that naming an authority mends. */
export function isUnknownAuthority(error: unknown): boolean {
  return someCode(error, (code) => reasons[code]?.hint === trustHint);
}

// The names that OpenSSL's verification errors have in Node, and what Node itself says of a handshake.
const trustCodes =
  /^(CERT_|CRL_|ERROR_IN_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|ERR_TLS|ERR_SSL|EPROTO)/;

function someCode(error: unknown, test: (code: string) => boolean): boolean {
  if (error instanceof AggregateError && error.errors.some((each) => someCode(each, test))) return true;
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  return (typeof code === 'string' && test(code)) || someCode(error.cause, test);
}

/** What a person needs to know of a network error. `detail` is the reason alone. */
export function explainNetworkError(
  error: unknown,
  url: URL,
  { extraAuthorities }: { readonly extraAuthorities?: string | undefined } = {},
): KleisError {
  if (error instanceof KleisError) return error;
  const code = codeOf(error);
  const reason = reasons[code] ?? unnamed(code);
  let { hint } = reason;
  if (hint === trustHint && extraAuthorities !== undefined) {
    hint = `The file of additional authorities, ${clean(extraAuthorities)}, cannot be read.`;
  }
  return new KleisError('provider_unavailable', `Cannot reach ${clean(url.host)}: ${reason.text}.`, {
    detail: reason.text,
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

function unnamed(code: string): Reason {
  if (code.startsWith('ERR_SSL')) return { text: 'it does not speak TLS there' };
  if (code.startsWith('HPE_')) return { text: 'it does not speak HTTP there' };
  if (code.startsWith('CERT_') || code.startsWith('ERR_TLS'))
    return { text: `its certificate cannot be used (${code})` };
  return { text: code === '' ? 'the request failed' : `the request failed (${clean(code, 60)})` };
}

/** The code that says most: a host with several addresses fails with an `AggregateError` of one error each. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError) {
    const codes = error.errors.map(codeOf);
    return codes.find((code) => code !== 'ENETUNREACH' && code !== 'EHOSTUNREACH') ?? codes[0] ?? '';
  }
  if (!(error instanceof Error)) return '';
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'ETIMEDOUT';
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && code !== '') return code;
  return error.cause === undefined ? '' : codeOf(error.cause);
}
