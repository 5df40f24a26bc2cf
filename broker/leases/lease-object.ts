import { isObject } from '../../shared/json.ts';
import { clean, isOneOf } from '../../shared/text.ts';
import { type Bound, lastMinute, lastTurnWith, type Lease, leaseStates, mostPlacements } from './lease.ts';

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
  earlier: 'kleis.dev/earlier',
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
        ...(lease.earlier.length === 0 ? {} : { [annotations.earlier]: JSON.stringify(lease.earlier) }),
        ...(lease.subjectHash === undefined ? {} : { [annotations.subject]: lease.subjectHash }),
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
      ...(lease.turn === 0 ? {} : { leaseTransitions: lease.turn }),
    },
  };
}

/** A day is the longest that a token lives, by the rules of the configuration; seconds. */
const longest = 2 * 24 * 60 * 60;
/** Namespaces that an ephemeral account may have RoleBindings in. */
const mostAccess = 1_000;
const objectName = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * Undefined for what is no lease of ours, or was changed into something that makes no sense: whoever may write there
 * must not decide how much work a sweep is.
 */
export function fromObject({ metadata, spec }: LeaseObject): Lease | undefined {
  const label = metadata.labels ?? {};
  const note = metadata.annotations ?? {};
  const [namespace = '', account = '', ...more] = (note[annotations.account] ?? '').split('/');
  const state = label[labels.state] ?? 'active';
  const bound = note[annotations.bound];
  const access = namesIn(note[annotations.access]);
  const acquiredAt = Date.parse(spec?.acquireTime ?? '');
  const renewedAt = Date.parse(spec?.renewTime ?? '');
  const seconds = spec?.leaseDurationSeconds;
  const until = Number(label[labels.until]);
  const turn = spec?.leaseTransitions ?? 0;
  const earlier = readEarlier(note[annotations.earlier], turn);
  const { uid, resourceVersion, name } = metadata;
  if (
    !objectName.test(namespace) ||
    !objectName.test(account) ||
    more.length > 0 ||
    uid === undefined ||
    resourceVersion === undefined ||
    access === undefined ||
    earlier === undefined ||
    !isOneOf(leaseStates, state) ||
    !isBound(bound) ||
    !isWithin(turn, 0, lastTurnWith(access, ...earlier.map((each) => each.access))) ||
    !isWithin(until, 0, lastMinute) ||
    !isWithin(acquiredAt, 0, lastMinute * 60_000) ||
    !isWithin(renewedAt, 0, lastMinute * 60_000) ||
    !isWithin(seconds, 1, longest)
  ) {
    return undefined;
  }
  return {
    name,
    grant: label[labels.grant] ?? '',
    cluster: label[labels.cluster] ?? '',
    account: { namespace, name: account },
    bound,
    access,
    holder: clean(spec?.holderIdentity ?? '', 120),
    subjectHash: note[annotations.subject],
    idempotencyHash: note[annotations.key],
    acquiredAt,
    renewedAt,
    endsAt: renewedAt + seconds * 1000,
    until,
    turn,
    earlier,
    state,
    why: note[annotations.why] === undefined ? undefined : clean(note[annotations.why], 120),
    nonce: note[annotations.nonce] ?? '',
    uid,
    resourceVersion,
  };
}

function readEarlier(text: string | undefined, turn: number): Lease['earlier'] | undefined {
  if (text === undefined) return [];
  const found = parseList(text) ?? [];
  const read = found.slice(0, mostPlacements).flatMap((each) => {
    const { cluster, bound, namespace, access, lastTurn: last } = isObject(each) ? each : {};
    const names = Array.isArray(access) ? namesIn(access.join(',')) : undefined;
    const makesSense =
      typeof cluster === 'string' &&
      typeof namespace === 'string' &&
      objectName.test(namespace) &&
      isBound(bound) &&
      names !== undefined &&
      isWithin(last, 0, turn - 1);
    return makesSense ? [{ cluster, bound, namespace, access: names, lastTurn: last }] : [];
  });
  return read.length > 0 && read.length === found.length && read.length < mostPlacements ? read : undefined;
}

function parseList(text: string): unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function namesIn(text = ''): readonly string[] | undefined {
  const names = text.split(',').filter((each) => each !== '');
  return names.length <= mostAccess && names.every((each) => objectName.test(each)) ? names : undefined;
}

function isBound(value: unknown): value is Bound {
  return typeof value === 'string' && bounds.includes(value);
}

function isWithin(value: unknown, least: number, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}

/** meta/v1 MicroTime, which takes exactly six decimals. */
function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
