import { X509Certificate } from 'node:crypto';
import { readUnverified } from '../../../shared/jwt.ts';
import { formatTime } from '../../../shared/duration.ts';
import { KleisError } from '../../../shared/errors.ts';
import { shellWord } from '../../../shared/shell.ts';
import { clean } from '../../../shared/text.ts';
import { readBeside, readPem } from '../../kubeconfig/credential.ts';
import { textOf } from '../../kubeconfig/document.ts';
import type { Kubeconfig, KubeconfigEntry } from '../../kubeconfig/load.ts';
import { type DoctorFinding, ok, unknown, warning } from '../finding.ts';

interface Place {
  readonly now: number;
  readonly platform: NodeJS.Platform;
}

const about = 'kubeconfig';
/** Milliseconds: what `kleis kubeconfig service-account` makes lives no longer. */
const short = 86_400_000;

/** What of the users of a kubeconfig opens a cluster by itself, and until when. Nothing secret is quoted. */
export async function checkUsers({ entries }: Kubeconfig, place: Place): Promise<DoctorFinding[]> {
  const contexts = new Map<string, string>();
  for (const { name, body } of entries.contexts.values()) {
    const user = textOf(body['user']);
    if (!contexts.has(user)) contexts.set(user, name);
  }
  const findings: DoctorFinding[] = [];
  for (const user of entries.users.values()) {
    findings.push(...(await checkUser(user, contexts.get(user.name), place)));
  }
  if (findings.length > 0) return findings;
  return [ok(about, 'No user of the kubeconfig has a token, a certificate or a password of its own.')];
}

async function checkUser(user: KubeconfigEntry, context: string | undefined, place: Place): Promise<DoctorFinding[]> {
  const findings: DoctorFinding[] = [];
  const { body } = user;
  const look = async (what: string, check: () => Promise<DoctorFinding | undefined>) => {
    try {
      const found = await check();
      if (found !== undefined) findings.push(found);
    } catch (error) {
      if (!(error instanceof KleisError)) throw error;
      findings.push(unknown(about, `The ${what} of ${nameOf(user)} cannot be looked at.`, { why: error.message }));
    }
  };
  const next = nextOf(user.name, context, place.platform);
  await look('token', async () => {
    const file = textOf(body['tokenFile']);
    const token = (file === '' ? textOf(body['token']) : await readBeside(user, file)).trim();
    return token === '' ? undefined : tokenFinding(user, token, next, place);
  });
  await look('client certificate', async () => {
    const pem = await readPem(user, 'client-certificate');
    return pem === undefined ? undefined : certificateFinding(user, pem, next, place.now);
  });
  if (textOf(body['username']) !== '' || textOf(body['password']) !== '') {
    findings.push(
      warning(about, 'kubeconfig_password', `${nameOf(user)} has a user name and password.`, {
        why: 'No API server takes them since Kubernetes 1.19; a copy of them may open something else.',
        next,
      }),
    );
  }
  return findings;
}

function tokenFinding(user: KubeconfigEntry, token: string, next: string, { now, platform }: Place): DoctorFinding {
  const claims = readUnverified(token)?.claims;
  const { exp, sub } = claims ?? {};
  const whose = typeof sub === 'string' ? ` of ${clean(sub)}` : '';
  if (typeof exp === 'number' && exp * 1000 <= now) {
    const what = `${nameOf(user)} has a token${whose} that has ended (${timeOf(exp * 1000)}).`;
    return warning(about, 'kubeconfig_token_ended', what, { next });
  }
  if (typeof exp === 'number') {
    const what = `${nameOf(user)} has a token${whose} that ends ${timeOf(exp * 1000)}.`;
    if (exp * 1000 - now <= short) return ok(about, what);
    return warning(about, 'kubeconfig_token', what, { why: 'Until then whoever has a copy of it is that user.', next });
  }
  const secret = removalOfSecret(claims, platform);
  const what = `${nameOf(user)} has a token${whose} ${claims === undefined ? 'that does not say when it ends' : 'without an end'}.`;
  return warning(about, 'kubeconfig_token', what, {
    why: 'Whoever has a copy of it is that user until somebody takes it back.',
    next: secret === undefined ? next : `${next}. Then: ${secret}`,
  });
}

/** A token of a Secret names it. */
function removalOfSecret(
  claims: Readonly<Record<string, unknown>> | undefined,
  platform: NodeJS.Platform,
): string | undefined {
  const name = claims?.['kubernetes.io/serviceaccount/secret.name'];
  const namespace = claims?.['kubernetes.io/serviceaccount/namespace'];
  if (typeof name !== 'string' || typeof namespace !== 'string') return undefined;
  return `kubectl -n ${shellWord(namespace, platform)} delete secret ${shellWord(name, platform)}`;
}

function certificateFinding(user: KubeconfigEntry, pem: string, next: string, now: number): DoctorFinding {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    return unknown(about, `The client certificate of ${nameOf(user)} is damaged.`);
  }
  const end = Date.parse(certificate.validTo);
  const subject = certificate.subject.split('\n');
  const [name = '', ...groups] = [
    ...subject.filter((part) => part.startsWith('CN=')).map((part) => part.slice(3)),
    ...subject.filter((part) => part.startsWith('O=')).map((part) => part.slice(2)),
  ].map((part) => clean(part));
  const who = `${name}${groups.length === 0 ? '' : ` in ${groups.slice(0, 5).join(', ')}`}`;
  if (end <= now) {
    const what = `${nameOf(user)} has a client certificate of ${who} that has ended (${timeOf(end)}).`;
    return warning(about, 'kubeconfig_certificate_ended', what, { next });
  }
  const isMaster = groups.includes('system:masters');
  return warning(
    about,
    'kubeconfig_certificate',
    `${nameOf(user)} has a client certificate of ${who} that ends ${timeOf(end)}.`,
    {
      why: `Until then nobody can take it back: Kubernetes knows no revocation of certificates.${isMaster ? ' Of system:masters RBAC takes nothing away either.' : ''}`,
      next,
    },
  );
}

function nextOf(user: string, context: string | undefined, platform: NodeJS.Platform): string {
  if (context === undefined) return `No context uses it: kubectl config delete-user ${shellWord(user, platform)}`;
  const name = shellWord(context, platform);
  return `A person: kleis kubeconfig migrate ${name} --issuer-url URL (or --from URL of a broker). A tool: kleis kubeconfig service-account ${name} --broker URL --grant NAME --cluster NAME`;
}

function nameOf({ name }: KubeconfigEntry): string {
  return `The user "${clean(name, 100)}"`;
}

/** A date may be beyond what Date can say. */
function timeOf(milliseconds: number): string {
  return Math.abs(milliseconds) < 8.64e15 ? formatTime(milliseconds) : 'in no foreseeable time';
}
