import { isObject } from '../../../shared/json.ts';
import { asText } from '../../../shared/text.ts';
import type { ClusterClient } from '../../cluster/client.ts';
import { type DoctorFinding, ok, unknown } from '../finding.ts';
import { danger } from './danger.ts';
import type { ServerFlags } from './server-flags.ts';

const api = '/apis/authorization.k8s.io/v1';
/** Whom no cluster knows, so that what they may is what everybody may. */
const stranger = 'kleis-doctor:nobody';
/** What RBAC gives everybody who is signed in (system:basic-user). */
const basic = { verb: 'create', group: 'authorization.k8s.io', resource: 'selfsubjectaccessreviews' };
const secrets = { verb: 'list', group: '', resource: 'secrets' };

/** Whether RBAC decides who may do what. Throws as `ClusterClient.ask`. */
export async function checkAuthorization(cluster: ClusterClient, flags: ServerFlags): Promise<DoctorFinding> {
  const modes = flags.kind === 'known' ? flags.get('authorization-mode').split(',').filter(Boolean) : [];
  const byFile = flags.kind === 'known' && flags.get('authorization-config') !== '';
  const everybody = await askAbout(cluster, { user: stranger, resourceAttributes: secrets });
  if (everybody?.allowed === true || modes.includes('AlwaysAllow')) {
    return danger('rbac', 'rbac_off', 'Everybody may do everything: a user whom nobody knows may read all Secrets.', {
      why:
        everybody?.allowed === true
          ? 'The API server says so (SubjectAccessReview).'
          : 'authorization-mode has AlwaysAllow.',
      next: 'Start the API server with --authorization-mode=Node,RBAC, then bind grants: kleis-broker rbac.',
    });
  }
  if (modes.includes('RBAC')) return ok('rbac', `RBAC is on (authorization-mode: ${modes.join(', ')}).`);
  // RBAC says by which binding it allows; what else allows says something else, or nothing.
  const member = { user: stranger, groups: ['system:authenticated'], resourceAttributes: basic };
  const answers = [
    everybody === undefined ? undefined : await askAbout(cluster, member),
    await askAbout(cluster, { resourceAttributes: basic }),
  ];
  if (answers.some((answer) => answer?.reason.startsWith('RBAC: allowed by '))) {
    return ok('rbac', 'RBAC is on: the API server names the binding by which it allows.');
  }
  if (modes.length > 0) {
    return unknown('rbac', `RBAC is off: others decide (authorization-mode: ${modes.join(', ')}).`, {
      why: 'What they allow, the accounts and bindings below do not say.',
      next: 'Add RBAC to --authorization-mode, so that grants of Kleis have something to bind.',
    });
  }
  return unknown('rbac', `Whether RBAC is on is not known.`, {
    why: byFile
      ? 'The API server has it from a file (authorization-config).'
      : 'The API server does not say by what it allows.',
    next: 'Who may create subjectaccessreviews can ask: kubectl auth can-i create subjectaccessreviews',
  });
}

interface Review {
  readonly allowed: boolean;
  readonly reason: string;
}

/** Of a user, else of who asks; undefined where that may not be asked. */
async function askAbout(cluster: ClusterClient, spec: Readonly<Record<string, unknown>>): Promise<Review | undefined> {
  const kind = 'user' in spec ? 'SubjectAccessReview' : 'SelfSubjectAccessReview';
  const { body } = await cluster.ask({
    method: 'POST',
    path: `${api}/${kind.toLowerCase()}s`,
    body: { apiVersion: 'authorization.k8s.io/v1', kind, spec },
  });
  const status = body?.['status'];
  if (!isObject(status) || typeof status['allowed'] !== 'boolean') return undefined;
  return { allowed: status['allowed'], reason: asText(status['reason'] ?? '') };
}
