import { KleisError } from '../../shared/errors.ts';
import type { TokenResponse } from '../../shared/protocol.ts';
import { ClusterFault } from '../cluster/fault.ts';
import type { Cluster } from '../cluster/clusters.ts';
import { mint, type Minted, type MintRequest } from '../cluster/mint.ts';
import { type Answer, json } from '../http/answer.ts';
import { translate } from '../http/faults.ts';
import { type ExchangeForm, hashIdempotencyKey, parseTokenForm } from '../http/form.ts';
import { countSubject } from '../http/limits.ts';
import { type Call, sampledTrace } from '../http/request.ts';
import type { Facts, Trail } from '../http/trail.ts';
import type { Subject } from '../issuers/issuers.ts';
import type { MintTarget } from '../leases/bound-objects.ts';
import { holderOf } from '../leases/holder.ts';
import { leaseNameFor, type Lease } from '../leases/lease.ts';
import { freeLease, leaseTime, openLease, withdrawLease } from '../leases/lifecycle.ts';
import { isNamespaced } from '../policy/access.ts';
import type { CompiledGrant } from '../policy/compile.ts';
import { isStranger } from '../policy/decide.ts';
import { Denial } from '../policy/denial.ts';
import { fitCluster } from '../service/fit-cluster.ts';
import type { Services } from '../service/services.ts';
import { decideEvenly } from './decide-evenly.ts';

/** API servers work by their own clock, and some seconds after us: a ceiling must not be too low. Milliseconds. */
const ceilingSlack = 60_000;

/**
 * `POST /token`, RFC 8693: a subject token and the name of a grant against a token for the grant's service account. Throws
 * what `translate` knows.
 */
export async function exchange(call: Call, services: Services, trail: Trail): Promise<Answer> {
  const { issuers, audit } = services;
  const form = parseTokenForm(await call.form());
  const idempotencyHash = hashIdempotencyKey((name) => call.header(name));
  trail.addQuestion(form);

  const subject = await call.step('verify', async () => issuers.verify(form.subjectToken.reveal()));
  trail.addSubject(subject);

  const decision = call.step('decide', () => decideEvenly(call, services, subject, form));
  countSubject(services, subject, isStranger(decision));
  trail.addDecision(decision);
  if (!decision.allowed) throw new Denial(decision);
  const { grant, ttl } = decision;

  // Stop here if the outcome could not be recorded, or if nobody waits for it.
  audit.assertWritable();
  assertCallerThere(call);
  const cluster = await fitCluster(services, grant);
  const opened = await call.step('lease', async () => takeLease(services, { subject, grant, ttl, idempotencyHash }));
  trail.addLease(opened);

  const minted = await mintFor(cluster, opened, { grant, ttl, call, services });
  trail.addMinted(minted);
  // If the caller never gets this token, it must not live on.
  call.unlessDelivered('withdraw', async () => withdraw(services, trail.facts, opened.lease, minted));
  assertCallerThere(call);
  assertInForce(services, grant);
  return json(tokenResponse(form, grant, opened.lease, minted));
}

interface Opened {
  readonly lease: Lease | undefined;
  readonly target: Pick<MintTarget, 'account'> & Pick<MintRequest, 'boundSecret'>;
  /** The same request came before, and its answer was lost. */
  readonly retry: boolean;
}

/** A lease where one is needed: to revoke the token by, to remove its account by, or to use up the subject token. */
async function takeLease(
  services: Services,
  request: {
    readonly subject: Subject;
    readonly grant: CompiledGrant;
    readonly ttl: number;
    readonly idempotencyHash: string | undefined;
  },
): Promise<Opened> {
  const { subject, grant, ttl, idempotencyHash } = request;
  const { account, access = [], revocable, killSwitch } = grant.config;
  const ephemeral = account.kind === 'ephemeral';
  const place = { namespace: account.namespace, name: ephemeral ? '' : account.name };
  const shared = killSwitch === undefined ? {} : { boundSecret: { name: killSwitch } };
  if (!ephemeral && !revocable && !subject.singleUse) {
    return { lease: undefined, target: { account: place, ...shared }, retry: false };
  }
  const now = await leaseTime(services.leases);
  const { singleUse, replayKey, tokenHash: subjectHash } = subject;
  const opened = await openLease(
    services.leases,
    {
      name: leaseNameFor({ singleUse, replayKey, grant: grant.name, subjectHash, idempotencyHash }),
      grant: grant.name,
      cluster: grant.cluster,
      account: place,
      bound: ephemeral ? 'account' : revocable ? 'secret' : 'none',
      holder: holderOf(subject),
      subjectHash,
      idempotencyHash,
      subjectExpiresAt: subject.expiresAt,
      endsAt: now + ttl * 1000 + ceilingSlack,
      singleUse,
      now,
    },
    ephemeral ? access.filter(isNamespaced) : [],
  );
  if (opened.kind === 'replayed') {
    throw new KleisError('subject_replayed', 'The subject token was used already, and may be used once.', {
      detail: `lease ${opened.lease?.name ?? '(foreign)'}`,
    });
  }
  return { lease: opened.lease, target: { ...opened.target, ...shared }, retry: opened.kind === 'retry' };
}

async function mintFor(
  cluster: Cluster,
  { lease, target, retry }: Opened,
  {
    grant,
    ttl,
    call,
    services,
  }: {
    readonly grant: CompiledGrant;
    readonly ttl: number;
    readonly call: Call;
    readonly services: Services;
  },
): Promise<Minted> {
  const startedAt = performance.now();
  const seconds = () => (performance.now() - startedAt) / 1000;
  try {
    const account = { ...target.account, readable: grant.config.account.kind === 'elsewhere' };
    const minted = await call.step(
      'mint',
      async (trace) =>
        mint(cluster, { account, ttl, boundSecret: target.boundSecret, ...(trace && { headers: trace.headers }) }),
      { 'k8s.cluster.name': cluster.name, 'k8s.namespace.name': account.namespace },
    );
    services.telemetry.minted(cluster.name, 'ok', seconds(), sampledTrace(call));
    return minted;
  } catch (error) {
    services.telemetry.minted(cluster.name, 'failed', seconds(), sampledTrace(call));
    if (lease !== undefined) await undo(services, lease, retry, error);
    throw error;
  }
}

/**
 * Where a token may have been made, its lease is withdrawn, and only the same request may come again. Where certainly none
 * was made, the lease is free again before the caller has its answer, since it may try again at once.
 */
async function undo({ leases, background }: Services, lease: Lease, retry: boolean, error: unknown): Promise<void> {
  if (error instanceof ClusterFault && !error.ambiguous) {
    await background.run('free the lease', async () => freeLease(leases, { kind: retry ? 'retry' : 'new', lease }));
  } else {
    void background.run('withdraw', async () => withdrawLease(leases, lease, 'the outcome of minting is unknown'));
  }
}

function tokenResponse(
  { issuedTokenType }: ExchangeForm,
  grant: CompiledGrant,
  lease: Lease | undefined,
  minted: Minted,
): TokenResponse {
  return {
    access_token: minted.token.reveal(),
    issued_token_type: issuedTokenType,
    token_type: 'Bearer',
    expires_in: minted.lifetime,
    scope: grant.name,
    ...(lease && { lease: lease.name }),
    revocable: lease !== undefined && lease.bound !== 'none',
    cluster: grant.cluster,
    ...(minted.warnings.length > 0 && { warnings: minted.warnings }),
  };
}

/** Takes the token back as far as that is possible, and says so in the audit. */
async function withdraw(
  { leases, audit }: Services,
  { requestId, traceId, grant, cluster, account }: Facts,
  lease: Lease | undefined,
  minted: Minted,
): Promise<void> {
  const expires = new Date(minted.expiresAt).toISOString();
  const facts = { requestId, traceId, grant, cluster, account, lease: lease?.name, jti: minted.jti, expires };
  let dead: boolean;
  try {
    dead = lease !== undefined && (await withdrawLease(leases, lease, 'its caller never got it'));
  } catch (error) {
    await audit.record({ event: 'withdrawn', outcome: 'failed', detail: translate(error).detail, ...facts });
    throw error;
  }
  const reason = dead ? undefined : 'not_revocable';
  await audit.record({ event: 'withdrawn', outcome: dead ? 'done' : 'failed', reason, ...facts });
}

function assertCallerThere({ gone }: Call): void {
  if (gone) throw new KleisError('caller_gone', 'The caller went away before it had an answer.');
}

/** The revocation of a dropped grant may have listed the leases before this one was there. */
function assertInForce({ dropped }: Services, { name }: CompiledGrant): void {
  if (!dropped.has(name)) return;
  throw new KleisError('broker_not_ready', 'The configuration has just changed.', {
    detail: `grant ${name} was dropped while its token was minted`,
    retryAfter: 2,
  });
}
