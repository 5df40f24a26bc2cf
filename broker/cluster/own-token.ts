import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { KleisError } from '../../shared/errors.ts';
import { decodeUnverified } from '../../shared/jwt.ts';
import { systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import type { Cluster } from './clusters.ts';
import { mint } from './mint.ts';

/** What is asked for, in seconds: it may be renewed half a day late. An API server may give less. */
export const ownTokenTtl = 86_400;

/**
 * Replaces the token with which the broker signs in to a cluster from outside, once half of its time is over, by a token
 * that it makes for its own account. The file is replaced as a whole. Gives when the new one ends (ms); undefined if
 * nothing was to be done. Throws `ClusterFault`, and `config_invalid` for a token of somebody else and a file that cannot be
 * written.
 */
export async function renewOwnToken(cluster: Cluster, now: number): Promise<number | undefined> {
  const { credentials, systemNamespace: namespace, serviceAccount: name } = cluster.config;
  if (!('tokenFile' in credentials) || credentials.renew !== true) return undefined;
  const token = await cluster.kube.token();
  if (token === undefined) return undefined;
  const { sub, iat, exp } = decodeUnverified(token).claims;
  if (sub !== `system:serviceaccount:${namespace}:${name}` || typeof iat !== 'number' || typeof exp !== 'number') {
    throw new KleisError(
      'config_invalid',
      `The token in ${clean(credentials.tokenFile, 400)} is none of ${namespace}/${name}, and so is not renewed.`,
    );
  }
  if (now < ((iat + exp) / 2) * 1000) return undefined;
  const minted = await mint(cluster, { account: { namespace, name }, ttl: ownTokenTtl });
  await replaceFile(credentials.tokenFile, minted.token.reveal());
  return minted.expiresAt;
}

async function replaceFile(path: string, text: string): Promise<void> {
  // In the same folder, so that the rename replaces it as a whole.
  const next = `${path}.${randomBytes(6).toString('hex')}.new`;
  try {
    const file = await open(next, 'w', 0o600);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, path);
  } catch (cause) {
    await rm(next, { force: true }).catch(() => undefined);
    const message = `${clean(path, 400)} cannot be replaced: ${systemReason(cause)}.`;
    throw new KleisError('config_invalid', message, {
      hint: 'Put the token where the broker may write, or do not let it renew its token.',
      cause,
    });
  }
}
