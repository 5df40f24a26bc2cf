import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KleisError } from '../../shared/errors.ts';
import { readConnection } from '../../shared/kube/connection.ts';
import { checkCertificates } from '../../shared/net/certificates.ts';
import { readTextFile, systemCode, systemReason } from '../../shared/read-file.ts';
import { clean } from '../../shared/text.ts';
import type { LoadedConfig } from '../config/load.ts';
import { readClientSecret, readCookieKeys } from '../config/web-files.ts';
import { parseKeySet } from '../issuers/keys.ts';
import type { ClusterConfig } from '../config/broker-config.ts';
import { type PlacedFinding, placeOf } from './findings.ts';
import { isHere } from './own-access.ts';

type Named = LoadedConfig['named'][number];
type Env = Readonly<Record<string, string | undefined>>;

/** The files that a configuration names, as `serve` would find them here: are they there, and what they should be. */
export async function checkFiles({ named, config }: LoadedConfig, env: Env): Promise<PlacedFinding[]> {
  const certificate = named.find(({ kind }) => kind === 'certificate');
  const found = [
    ...(await Promise.all(named.map((each) => checkFile(each, certificate, env)))).flat(),
    ...(await Promise.all(Object.values(config.clusters).map((each) => checkPod(each, env)))).flat(),
  ];
  if (named.length === 0 || found.length > 0) return found;
  const what = `The ${named.length === 1 ? 'file' : `${named.length} files`} that it names can be used here.`;
  return [{ severity: 'ok', code: 'files', about: 'configuration', what }];
}

const firstToken =
  'Apply what `kleis-broker rbac` prints, then `kubectl create token kleis-broker --namespace kleis-system --duration 24h` prints one. ';

async function checkFile(named: Named, certificate: Named | undefined, env: Env): Promise<PlacedFinding[]> {
  const { file, place } = named;
  const report = (code: string, why: string): PlacedFinding[] => [
    {
      severity: 'error',
      code,
      about: placeOf(place),
      place,
      what: `${place.path} names ${clean(file, 400)}: ${why}.`,
      why: 'The broker reads it when it runs, and could not do what the configuration says.',
      next: `${place.path.endsWith('.tokenFile') ? firstToken : ''}Put it there, or correct the path: it is relative to the file that names it. If the broker runs elsewhere, add --no-files.`,
    },
  ];
  try {
    const wrong = await judge(named, certificate, env);
    return wrong === undefined ? [] : report('file-unusable', wrong);
  } catch (error) {
    if (!(error instanceof KleisError)) throw error;
    const { cause } = error;
    if (systemCode(cause) === undefined) return report('file-unusable', clean(error.message, 600).replace(/\.$/, ''));
    return report(systemCode(cause) === 'ENOENT' ? 'file-missing' : 'file-unusable', systemReason(cause));
  }
}

/** What a pod finds of its own, where this is one. */
async function checkPod(cluster: ClusterConfig, env: Env): Promise<PlacedFinding[]> {
  const { name, credentials, certificateAuthority } = cluster;
  if (!('inCluster' in credentials) || !isHere(cluster, true, env)) return [];
  try {
    await readConnection({ credentials, certificateAuthority, env });
    return [];
  } catch (error) {
    if (!(error instanceof KleisError)) throw error;
    return [
      {
        severity: 'error',
        code: systemCode(error.cause) === 'ENOENT' ? 'file-missing' : 'file-unusable',
        about: `clusters.${name}`,
        what: clean(error.message, 600),
        why: 'Without it the broker cannot sign in to the API server.',
        ...(error.hint !== undefined && { next: error.hint }),
      },
    ];
  }
}

/** What is wrong with it, if anything is. Throws `config_invalid`. */
async function judge({ file, kind }: Named, certificate: Named | undefined, env: Env): Promise<string | undefined> {
  switch (kind) {
    case 'audit':
      return judgeAudit(file);
    case 'kubeconfig':
      await readConnection({ credentials: { kubeconfig: file }, env });
      return undefined;
    case 'certificates':
      checkCertificates(await readTextFile(file));
      return undefined;
    case 'certificate':
      return leafOf(await readTextFile(file)) === undefined ? 'it holds no PEM certificate' : undefined;
    case 'private key':
      return judgeKey(await readTextFile(file), certificate);
    case 'keys':
      return judgeKeys(await readTextFile(file));
    case 'client secret':
      readClientSecret(file);
      return undefined;
    case 'cookie keys':
      readCookieKeys(file);
      return undefined;
    case 'token':
      return (await readTextFile(file)).trim() === '' ? 'it is empty' : undefined;
  }
}

/** A line can be added: to the file or pipe that is there, or to one that can be made. */
async function judgeAudit(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isDirectory() === true) return 'it is a folder';
  const place = found === undefined ? dirname(file) : file;
  return access(place, constants.W_OK).then(
    () => undefined,
    (error: unknown) =>
      `${found === undefined ? `its folder ${clean(place, 400)}` : 'it'} cannot be written: ${systemReason(error)}`,
  );
}

async function judgeKey(pem: string, certificate: Named | undefined): Promise<string | undefined> {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // Without the cause, which may quote the key.
    return 'it holds no private key that can be read';
  }
  // What is wrong with the certificate is told at its own place.
  const text = certificate === undefined ? '' : await readTextFile(certificate.file).catch(() => '');
  const leaf = leafOf(text);
  return leaf === undefined || leaf.checkPrivateKey(key) ? undefined : 'it is not the key of the certificate beside it';
}

function leafOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

async function judgeKeys(text: string): Promise<string | undefined> {
  try {
    return (await parseKeySet(text)).length > 0 ? undefined : 'it holds no public key that can be used';
  } catch (error) {
    return clean((error as Error).message);
  }
}
