import { createHash, randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { shownHolder } from './holder.ts';

/** What the token of a lease depends on, and dies with. */
export type Bound = 'secret' | 'account' | 'none';

/**
 * `active`: a token was minted or is being minted. `free`: minting failed for certain, so the subject token is unused.
 * `withdrawing`, `withdrawn`: the broker took the token back itself, since its caller was gone; the same request may
 * come again. `revoking`, `revoked`: for good. The `-ing` ones say that something of the token may still be there.
 */
export const leaseStates = ['active', 'free', 'withdrawing', 'withdrawn', 'revoking', 'revoked'] as const;
export type LeaseState = (typeof leaseStates)[number];

/** Names of grants: they become part of a label selector. */
export const grantPattern = /^[a-z0-9][-a-z0-9.]{0,62}$/;

export interface Account {
  readonly namespace: string;
  readonly name: string;
}

/** Where the objects of a turn are that its token is bound to, and of what kind. */
export interface Placement {
  readonly cluster: string;
  readonly bound: Bound;
  readonly namespace: string;
  /** Namespaces with RoleBindings of an ephemeral account: one for each entry, in this order. */
  readonly access: readonly string[];
}

/** The record of one minted token, or of several that came one after the other of the same request. Times in ms. */
export interface Lease {
  /** Of the object, and the handle that people revoke it by. */
  readonly name: string;
  readonly grant: string;
  readonly cluster: string;
  /** Whose token; the account of an ephemeral grant has the name of the lease's latest turn. */
  readonly account: Account;
  readonly bound: Bound;
  /** Namespaces with RoleBindings of an ephemeral account: one for each entry, in this order. */
  readonly access: readonly string[];
  /** Who: one line, for people. */
  readonly holder: string;
  /** SHA-256. Kept beside the hash of the key alone, since only a retry is compared with it. */
  readonly subjectHash: string | undefined;
  readonly idempotencyHash: string | undefined;
  /** When it was first taken. */
  readonly acquiredAt: number;
  /** When its latest turn began. */
  readonly renewedAt: number;
  /** The latest that its token ends. */
  readonly endsAt: number;
  /** The minute (since the epoch) from which on it may be removed. */
  readonly until: number;
  /** How often it was taken again: the objects of each turn have names of their own. */
  readonly turn: number;
  /**
   * Where the objects of earlier turns are, when a free lease was taken for another grant: whatever is made late is
   * found. Each up to and with that turn; the lease itself says where those of the others are.
   */
  readonly earlier: readonly (Placement & { readonly lastTurn: number })[];
  readonly state: LeaseState;
  readonly why: string | undefined;
  /** Of this attempt: tells a create that timed out and was carried out from somebody else's. */
  readonly nonce: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

export interface LeaseRequest {
  /** The replay key of a single-use token, else `randomLeaseName()`; at most 63 of [a-z0-9-]. */
  readonly name: string;
  readonly grant: string;
  readonly cluster: string;
  /** For `bound: 'account'` the namespace counts; the name is made of the lease's. */
  readonly account: Account;
  readonly bound: Bound;
  readonly access?: readonly string[];
  readonly holder: string;
  /** SHA-256 of the subject token, hex or base64url. */
  readonly subjectHash: string;
  readonly idempotencyHash?: string | undefined;
  readonly subjectExpiresAt: number;
  /** The latest that the token to be minted may end, ms. */
  readonly endsAt: number;
  readonly singleUse: boolean;
  readonly now: number;
}

/** How long the same request may be sent again after it came first. */
export const retryWindow = 120_000;
/** No request is under way for longer than this: what was begun before can be cleaned up. */
export const mintWindow = 120_000;
/** In two minutes; each of them costs a Secret until the lease is removed. */
const mostRetries = 20;
/** A job may try again when minting failed for certain, but not for ever: sweeping asks for the objects of each turn. */
export const lastTurn = 40;
/** Accounts and RoleBindings of all turns together: sweeping asks for each of them. */
const mostObjects = 4_100;
/** How often a free lease may be taken for a grant with another account. */
export const mostPlacements = 4;
/** The last minute (since the epoch) that a lease may name, in the year 3871: later ones are no times. */
export const lastMinute = 1_000_000_000;
/** How long a lease stays after everything that it is about has ended: leeways and clocks are within this. */
const keepFor = 600_000;

export function randomLeaseName(): string {
  return `l${randomBytes(16).toString('hex')}`;
}

/**
 * What to call the lease of a request. That of a single-use token is its replay key; that of any other is made of what
 * makes two requests the same one, if the caller said so with an Idempotency-Key, and is new otherwise.
 */
export function leaseNameFor(request: {
  readonly singleUse: boolean;
  readonly replayKey: string;
  readonly grant: string;
  readonly subjectHash: string;
  readonly idempotencyHash: string | undefined;
}): string {
  if (request.singleUse) return request.replayKey;
  if (request.idempotencyHash === undefined) return randomLeaseName();
  const parts = JSON.stringify([request.grant, request.subjectHash, request.idempotencyHash]);
  return `i${createHash('sha256').update(parts).digest('hex').slice(0, 60)}`;
}

/** Of the Secret or the account of one turn: never used twice, since the name of a lease is not. */
export function boundName(lease: Pick<Lease, 'name' | 'turn'>, turn = lease.turn): string {
  return `kleis-${lease.name}-${turn}`;
}

/** The lease that a minted token belongs to, by the name of its Secret or its ephemeral account. */
export function leaseOfBound(name: string): { readonly name: string; readonly turn: number } | undefined {
  const match = /^kleis-(.{1,63})-(\d{1,6})$/.exec(name);
  return match === null ? undefined : { name: match[1]!, turn: Number(match[2]) };
}

/** The lease that the request makes if there is none yet. */
export function newLease(request: LeaseRequest): Omit<Lease, 'uid' | 'resourceVersion'> {
  return {
    ...partsOf(request, 0),
    earlier: [],
    name: checkName(request.name),
    acquiredAt: request.now,
    until: keepUntil(request),
  };
}

/** The lease as the request takes it again: everything of this turn is the request's. */
export function nextTurn(lease: Lease, request: LeaseRequest): Lease {
  return {
    ...lease,
    ...partsOf({ ...request, name: lease.name }, lease.turn + 1),
    earlier: isDeepStrictEqual(placementOf(lease), requestedPlacement(request))
      ? lease.earlier
      : [...lease.earlier, { ...placementOf(lease), lastTurn: lease.turn }],
    until: Math.max(lease.until, keepUntil(request)),
  };
}

/** The last turn of a lease whose turns have as many RoleBindings as that. */
export function lastTurnWith(...access: readonly (readonly string[])[]): number {
  const objects = 1 + Math.max(...access.map(({ length }) => length));
  return Math.min(lastTurn, Math.floor(mostObjects / objects) - 1);
}

/** Where the objects of a turn are; of the latest if none is given. */
export function placementOf(
  lease: Pick<Lease, 'cluster' | 'bound' | 'account' | 'access' | 'earlier' | 'turn'>,
  turn = lease.turn,
): Placement {
  const found = lease.earlier.find((each) => turn <= each.lastTurn) ?? {
    ...lease,
    namespace: lease.account.namespace,
  };
  const { cluster, bound, namespace, access } = found;
  return { cluster, bound, namespace, access };
}

function requestedPlacement({ cluster, bound, account, access = [] }: LeaseRequest): Placement {
  return { cluster, bound, namespace: account.namespace, access };
}

function partsOf(request: LeaseRequest, turn: number) {
  const account =
    request.bound === 'account'
      ? { namespace: request.account.namespace, name: boundName({ name: request.name, turn }) }
      : request.account;
  return {
    grant: request.grant,
    cluster: request.cluster,
    account,
    bound: request.bound,
    access: request.access ?? [],
    // Annotations cost time on every write, so nothing in them is long.
    holder: shownHolder(request.holder),
    ...(request.idempotencyHash === undefined
      ? { subjectHash: undefined, idempotencyHash: undefined }
      : { subjectHash: checkHash(request.subjectHash), idempotencyHash: checkHash(request.idempotencyHash) }),
    renewedAt: request.now,
    // A Lease counts whole seconds, and at least one.
    endsAt: request.now + Math.max(1, Math.ceil((request.endsAt - request.now) / 1000)) * 1000,
    turn,
    state: 'active' as const,
    why: undefined,
    nonce: randomBytes(9).toString('base64url'),
  };
}

/** A subject token that is not single-use may come again at any time: nothing is to be remembered of it. */
function keepUntil({ subjectExpiresAt, endsAt, singleUse }: LeaseRequest): number {
  return Math.min(lastMinute, Math.ceil((Math.max(endsAt, singleUse ? subjectExpiresAt : 0) + keepFor) / 60_000));
}

export function isLeaseName(text: string): boolean {
  return /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text);
}

function checkName(name: string): string {
  if (!isLeaseName(name)) throw new Error('the name of a lease is malformed');
  return name;
}

function checkHash(hash: string): string {
  if (!/^[\w-]{16,64}$/.test(hash)) throw new Error('a hash of a lease is malformed');
  return hash;
}

/**
 * What becomes of a request whose lease is there already. `take`: minting failed for certain before, so nothing of the
 * subject token was used up. `retry`: the request that made the lease, sent again, where the token that it got can be
 * ended. Anything else is a replay.
 */
export function judge(lease: Lease, request: LeaseRequest): 'take' | 'retry' | 'replayed' {
  const before = lease.earlier.map(({ access }) => access);
  if (lease.turn >= lastTurnWith(request.access ?? [], lease.access, ...before)) return 'replayed';
  if (lease.state === 'free') {
    const moved = !isDeepStrictEqual(placementOf(lease), requestedPlacement(request));
    return moved && lease.earlier.length + 1 >= mostPlacements ? 'replayed' : 'take';
  }
  if (lease.state === 'revoked' || lease.state === 'revoking') return 'replayed';
  const age = request.now - lease.acquiredAt;
  const same =
    lease.idempotencyHash !== undefined &&
    lease.idempotencyHash === request.idempotencyHash &&
    // One `jti`, two tokens: an issuer may do that, and the second is no less used up than the first.
    lease.subjectHash === request.subjectHash &&
    lease.grant === request.grant &&
    // A configuration that came between them made it another grant of the same name.
    isDeepStrictEqual(placementOf(lease), requestedPlacement(request)) &&
    // Of what nothing can end, a second token would live beside the first.
    lease.bound !== 'none' &&
    lease.turn < mostRetries;
  // Clocks of replicas differ a little, so the age may be negative.
  return same && Math.abs(age) <= retryWindow ? 'retry' : 'replayed';
}
