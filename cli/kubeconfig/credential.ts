import { createPrivateKey, X509Certificate } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import type { ClientCertificate } from '../../shared/net/http.ts';
import { readTextFile } from '../../shared/read-file.ts';
import { Secret } from '../../shared/secret.ts';
import { clean } from '../../shared/text.ts';
import { textOf } from './document.ts';
import type { KubeconfigEntry } from './load.ts';
import { methodOf, pluginName } from './method.ts';

/** What stands in a user entry itself; kubectl sends both where there are both. */
export interface HeldCredential {
  readonly token: Secret | undefined;
  readonly certificate: ClientCertificate | undefined;
}

/**
 * The credential that a user entry holds. No program of others is run for one, and nobody is impersonated.
 *
 * @throws KleisError `kubeconfig_invalid` for an entry that holds none, or one that cannot be used
 */
export async function readHeldCredential(user: KubeconfigEntry): Promise<HeldCredential> {
  const method = methodOf(user.body);
  if (method.kind === 'plugin') {
    throw unusable(user, `runs ${clean(pluginName(method.plugin), 80)}, and Kleis runs no program of others`);
  }
  if (method.kind === 'auth-provider') throw unusable(user, 'uses an auth-provider, which kubectl has removed');
  refuseImpersonation(user);
  const [token, certificate] = [await readToken(user), await readClientCertificate(user)];
  if (token === undefined && certificate === undefined) {
    throw unusable(
      user,
      method.kind === 'password' ? 'has a password, which no API server takes since 1.19' : 'has no credential',
    );
  }
  return { token, certificate };
}

/** To ask as somebody else than kubectl would is to find what is not so. Throws `kubeconfig_invalid`. */
export function refuseImpersonation(user: KubeconfigEntry): void {
  const field = ['as', 'as-uid', 'as-groups', 'as-user-extra'].find((key) => (user.body[key] ?? '') !== '');
  if (field !== undefined) throw unusable(user, `impersonates somebody (${field}), which Kleis does not`);
}

/** Of a file or of the entry itself, as client-go has it: the file counts (rest/config.go). */
async function readToken(user: KubeconfigEntry): Promise<Secret | undefined> {
  const file = textOf(user.body['tokenFile']);
  const text = file === '' ? textOf(user.body['token']) : await readBeside(user, file);
  const token = text.trim();
  if (token === '') return undefined;
  // What a header can carry.
  if (!/^[\x21-\x7e]{1,65536}$/.test(token)) throw unusable(user, 'has a token that no header can carry');
  return new Secret(token);
}

/**
 * The client certificate of a user entry, or undefined.
 *
 * @throws KleisError `kubeconfig_invalid` if it is damaged, or its key is missing or another's
 */
async function readClientCertificate(user: KubeconfigEntry): Promise<ClientCertificate | undefined> {
  const cert = await readPem(user, 'client-certificate');
  if (cert === undefined) return undefined;
  const key = await readPem(user, 'client-key');
  if (key === undefined) throw unusable(user, 'has a client certificate without its key');
  let fits: boolean;
  try {
    fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    // Without the cause, which may quote the text.
    throw unusable(user, 'has a client certificate or a key that is damaged');
  }
  if (!fits) throw unusable(user, 'has a client certificate and a key that do not belong together');
  return { cert, key: new Secret(key) };
}

/** PEM in base64, or in a file; the text itself counts (client-go). Throws `kubeconfig_invalid`. */
export async function readPem(
  user: KubeconfigEntry,
  field: 'client-certificate' | 'client-key',
): Promise<string | undefined> {
  const data = textOf(user.body[`${field}-data`]);
  if (data !== '') return Buffer.from(data, 'base64').toString();
  const file = textOf(user.body[field]);
  return file === '' ? undefined : readBeside(user, file);
}

/** A relative path is relative to the kubeconfig. */
export async function readBeside(user: KubeconfigEntry, file: string): Promise<string> {
  return readTextFile(resolve(dirname(user.file.path), file), { code: 'kubeconfig_invalid' });
}

function unusable({ name, file }: KubeconfigEntry, why: string): KleisError {
  return new KleisError('kubeconfig_invalid', `The user "${clean(name)}" in ${clean(file.path, 400)} ${why}.`, {
    hint: 'Let it sign in with Kleis (`kleis kubeconfig migrate`), or name another context with --context.',
  });
}
