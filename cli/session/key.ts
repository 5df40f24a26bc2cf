import { createHash } from 'node:crypto';
import type { Settings } from '../settings/sign-in.ts';

/** What makes a session another session; shown by `kleis status`. */
export type SessionSettings = Pick<
  Settings,
  'issuerUrl' | 'clientId' | 'scopes' | 'audience' | 'resource' | 'authParams' | 'account' | 'identity' | 'dpop'
>;

/** Files that it takes to talk to the provider again, for a logout that is not told them. */
export type ClientFiles = Pick<Settings, 'certificateAuthority' | 'clientSecretFile' | 'clientKeyFile'>;

/**
 * The name of the session that these settings lead to: 64 hexadecimal digits, since file systems may not tell capitals
 * from small letters. Settings that may get other tokens, or the same from someone else, never share a session;
 * the order in which flags are given does not matter.
 *
 * Not in the key, because the tokens are the same either way: how a person signs in (`login`, `listenAddress`,
 * `redirectUri`, `proxy`, `loginTimeout`), which of the session's tokens kubectl gets (`token`), how the client proves
 * itself (`clientSecretFile`, `clientKeyFile`: a secret that is rotated or moved must sign nobody out), where the session
 * is kept (`cache`: whoever changes it keeps the session), and `minValidity`, `force`, `confirmNewClusters`.
 *
 * @param certificateAuthorityPem text of the file that `certificateAuthority` names: another authority may vouch for
 *   another server under the same issuer URL, and the tokens of one must not be sent to the other
 */
export function sessionKey(settings: SessionSettings, certificateAuthorityPem: string | undefined): string {
  // JSON tells every list of values from every other one, which joined text does not: ["a b"] from ["a", "b"].
  const canonical = JSON.stringify([
    'kleis session 1',
    settings.issuerUrl,
    certificateAuthorityPem === undefined ? null : hashAuthority(certificateAuthorityPem),
    settings.clientId,
    [...new Set(settings.scopes)].toSorted(),
    settings.audience ?? null,
    settings.resource ?? null,
    Object.entries(settings.authParams).toSorted(([a], [b]) => (a < b ? -1 : 1)),
    settings.account ?? null,
    settings.identity,
    settings.dpop,
  ]);
  return createHash('sha256').update(canonical).digest('hex');
}

const certificates = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----([^-]*)-----END \1-----/g;

/** By what the certificates say: comments, line ends, line lengths and the order in a bundle do not matter. */
export function hashAuthority(pem: string): string {
  const blocks = [...pem.matchAll(certificates)].map(([, , body = '']) =>
    Buffer.from(body, 'base64').toString('base64'),
  );
  const content = blocks.length === 0 ? [pem.trim()] : [...new Set(blocks)].toSorted();
  return createHash('sha256').update(JSON.stringify(content)).digest('hex');
}
