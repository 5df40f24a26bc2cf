import type { User } from './access.ts';
import { fullName, type Resource } from './resources.ts';
import { ApiError, badRequest, invalid } from './status.ts';
import type { KubeObject, Store } from './store.ts';

const label = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const microTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/;
/** Of these the name may be nearly anything. */
const looseNames = new Set(['roles', 'rolebindings', 'clusterroles', 'clusterrolebindings']);

/** 422 and 400 for what kube-apiserver refuses too; the parts of it that the broker can get wrong. */
export function validate(resource: Resource, object: KubeObject): void {
  const { name, labels = {}, generateName } = object.metadata as { generateName?: string } & KubeObject['metadata'];
  const fail = (why: string): never => {
    throw invalid(fullName(resource), name, why);
  };
  if (resource.review) return;
  if (!name && !generateName) fail('metadata.name: Required value: name or generateName is required');
  if (name && !looseNames.has(resource.plural) && !subdomain.test(name)) {
    fail(
      `metadata.name: Invalid value: "${name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters`,
    );
  }
  for (const value of Object.values(labels)) {
    if (!label.test(value))
      fail(
        `metadata.labels: Invalid value: "${value}": a valid label must be an empty string or consist of alphanumeric characters`,
      );
  }
  if (resource.plural === 'leases') validateLease(object, fail);
}

function validateLease({ spec }: KubeObject, fail: (why: string) => never): void {
  const { leaseDurationSeconds, leaseTransitions, acquireTime, renewTime, holderIdentity } = (spec ?? {}) as {
    readonly [field: string]: string | number | null | undefined;
  };
  for (const time of [acquireTime, renewTime]) {
    if (time !== undefined && time !== null && !microTime.test(String(time))) {
      throw badRequest(
        `Lease in version "v1" cannot be handled as a Lease: parsing time "${String(time)}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse`,
      );
    }
  }
  if (leaseDurationSeconds !== undefined && !(Number(leaseDurationSeconds) > 0)) {
    fail(`spec.leaseDurationSeconds: Invalid value: ${String(leaseDurationSeconds)}: must be greater than 0`);
  }
  if (leaseTransitions !== undefined && Number(leaseTransitions) < 0) {
    fail(`spec.leaseTransitions: Invalid value: ${String(leaseTransitions)}: must be greater than or equal to 0`);
  }
  if (holderIdentity === '') fail('spec.holderIdentity: Invalid value: "": must not be empty');
}

const broker = 'system:serviceaccount:kleis-system:kleis-broker';

/**
 * The stand-in evaluates no policies. When the broker's is there it does what that is probed by, and no more: the
 * broker makes no Secrets but its own.
 */
export function admit(
  store: Store,
  user: User | undefined,
  resource: Resource,
  verb: string,
  object: KubeObject,
): void {
  if (user?.username !== broker || resource.plural !== 'secrets' || verb !== 'create') return;
  const isThere = (plural: string) =>
    store
      .list(`${plural}.admissionregistration.k8s.io`, undefined)
      .some(({ metadata }) => metadata.name === 'kleis-broker');
  if (!isThere('validatingadmissionpolicies') || !isThere('validatingadmissionpolicybindings')) return;
  if (object['type'] === 'kleis.dev/lease' && object['data'] === undefined && object['stringData'] === undefined)
    return;
  const why =
    "ValidatingAdmissionPolicy 'kleis-broker' with binding 'kleis-broker' denied request: only empty Secrets of type kleis.dev/lease";
  throw new ApiError(422, 'Invalid', `secrets "${object.metadata.name}" is forbidden: ${why}`, {
    name: object.metadata.name,
    kind: 'secrets',
  });
}
