import { clean } from '../../shared/text.ts';
import { type Bound, isLeaseState, type Lease } from './lease.ts';

/** coordination.k8s.io/v1 Lease, as much of it as a lease uses. */
export interface LeaseObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** The admission policy lets the broker write no other labels and annotations. */
export const labels = {
  until: 'kleis.dev/until',
  grant: 'kleis.dev/grant',
  cluster: 'kleis.dev/cluster',
  /** Absent while active. */
  state: 'kleis.dev/state',
} as const;

const annotations = {
  account: 'kleis.dev/account',
  bound: 'kleis.dev/bound',
  access: 'kleis.dev/access',
  subject: 'kleis.dev/subject',
  key: 'kleis.dev/key',
  nonce: 'kleis.dev/nonce',
  why: 'kleis.dev/why',
} as const;

const bounds: readonly string[] = ['secret', 'account', 'none'] satisfies readonly Bound[];

type Unstored = Omit<Lease, 'uid' | 'resourceVersion'> & Partial<Pick<Lease, 'uid' | 'resourceVersion'>>;

/** With uid and resourceVersion when the lease has them: a PUT without the uid would make a deleted lease anew. */
export function toObject(lease: Unstored, namespace: string): LeaseObject {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {
      name: lease.name,
      namespace,
      ...(lease.uid === undefined ? {} : { uid: lease.uid }),
      ...(lease.resourceVersion === undefined ? {} : { resourceVersion: lease.resourceVersion }),
      labels: {
        [labels.until]: String(lease.until),
        [labels.grant]: lease.grant,
        [labels.cluster]: lease.cluster,
        ...(lease.state === 'active' ? {} : { [labels.state]: lease.state }),
      },
      annotations: {
        [annotations.account]: `${lease.account.namespace}/${lease.account.name}`,
        [annotations.bound]: lease.bound,
        ...(lease.access.length === 0 ? {} : { [annotations.access]: lease.access.join(',') }),
        [annotations.subject]: lease.subjectHash,
        ...(lease.idempotencyHash === undefined ? {} : { [annotations.key]: lease.idempotencyHash }),
        [annotations.nonce]: lease.nonce,
        ...(lease.why === undefined ? {} : { [annotations.why]: clean(lease.why, 120) }),
      },
    },
    spec: {
      holderIdentity: lease.holder,
      leaseDurationSeconds: Math.max(1, Math.round((lease.endsAt - lease.renewedAt) / 1000)),
      acquireTime: microTime(lease.acquiredAt),
      renewTime: microTime(lease.renewedAt),
      leaseTransitions: lease.turn,
    },
  };
}

/** Undefined for what is no lease of ours, or was changed into something that makes no sense. */
export function fromObject({ metadata, spec }: LeaseObject): Lease | undefined {
  const label = metadata.labels ?? {};
  const note = metadata.annotations ?? {};
  const [namespace, account, ...more] = (note[annotations.account] ?? '').split('/');
  const state = label[labels.state] ?? 'active';
  const bound = note[annotations.bound] ?? '';
  const acquiredAt = Date.parse(spec?.acquireTime ?? '');
  const renewedAt = Date.parse(spec?.renewTime ?? '');
  const until = Number(label[labels.until]);
  const turn = spec?.leaseTransitions ?? 0;
  const { uid, resourceVersion, name } = metadata;
  if (
    !namespace ||
    !account ||
    more.length > 0 ||
    uid === undefined ||
    resourceVersion === undefined ||
    !isLeaseState(state) ||
    !isBound(bound) ||
    ![acquiredAt, renewedAt, until, turn].every(Number.isSafeInteger)
  ) {
    return undefined;
  }
  return {
    name,
    grant: label[labels.grant] ?? '',
    cluster: label[labels.cluster] ?? '',
    account: { namespace, name: account },
    bound,
    access: (note[annotations.access] ?? '').split(',').filter((each) => each !== ''),
    holder: spec?.holderIdentity ?? '',
    subjectHash: note[annotations.subject] ?? '',
    idempotencyHash: note[annotations.key],
    acquiredAt,
    renewedAt,
    endsAt: renewedAt + (spec?.leaseDurationSeconds ?? 0) * 1000,
    until,
    turn,
    state,
    why: note[annotations.why],
    nonce: note[annotations.nonce] ?? '',
    uid,
    resourceVersion,
  };
}

function isBound(text: string): text is Bound {
  return bounds.includes(text);
}

/** meta/v1 MicroTime, which takes exactly six decimals. */
function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
