import type { Lease } from '../../../broker/leases/lease.ts';
import { newLease } from '../../../broker/leases/lease.ts';
import { leaseRequest } from './world.ts';

/** As a store gives it. */
export function storedLease(now: number, more: Partial<Lease> = {}): Lease {
  return { ...newLease(leaseRequest(now)), uid: 'u', resourceVersion: '1', ...more };
}
