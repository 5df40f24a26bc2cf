import { KleisError } from '../../../shared/errors.ts';
import { ClusterFault } from '../../cluster/fault.ts';
import { issuerOf, subjectOf } from '../../leases/holder.ts';
import type { Lease } from '../../leases/lease.ts';
import { stateOf } from '../../leases/overview-page.ts';
import type { Revocation } from '../../leases/revocation.ts';
import { revokeForAdmin } from '../../routes/leases.ts';
import type { Services } from '../../service/services.ts';
import { StateBadge } from './state-badge.tsx';
import { Facts, Notice, Time } from '../view/components.tsx';
import { ActionForm } from '../view/forms.tsx';
import { adminTexts } from './texts.ts';
import type { Action, Page, PersonVisit } from '../view/visit.ts';

const texts = adminTexts.revoke;

/** One lease, and whether it is to be revoked. */
export const revokePage: Page = {
  who: 'admin',
  event: 'leases',
  async work(visit, trail) {
    const id = visit.query('id', 80) ?? '';
    trail.add({ lease: id });
    const lease = await visit.services.leases.store.get(id).catch(stateDown);
    if (lease === undefined) throw gone();
    const isOver = lease.state === 'revoked' || lease.state === 'revoking';
    return visit.page({
      title: isOver ? texts.shownTitle : texts.title,
      body: (
        <section class="card">
          <LeaseFacts lease={lease} services={visit.services} />
          {isOver ? (
            <Links visit={visit} lease={lease} />
          ) : (
            <ActionForm visit={visit} path="/ui/admin/leases/revoke" fields={{ id: lease.name }}>
              <div class="stack">
                <p>{lease.bound === 'none' ? texts.notRevocable : texts.consequence}</p>
                <div class="row">
                  <button class="button button-danger" type="submit">
                    {texts.doIt}
                  </button>
                  <Back visit={visit} />
                </div>
              </div>
            </ActionForm>
          )}
        </section>
      ),
    });
  },
};

export const revokeAction: Action = {
  who: 'admin',
  event: 'revoke',
  async work(visit, trail) {
    const { services, form } = visit;
    const id = form.get('id') ?? '';
    const revocation = await revokeForAdmin(id, services, trail).catch(async (error: unknown) => {
      if (error instanceof KleisError && error.code === 'lease_unknown') throw gone();
      throw error instanceof ClusterFault ? await whatIsLeft(error, id, services) : error;
    });
    const { lease, outcome } = revocation;
    return visit.page({
      title: texts.doneTitle,
      body: (
        <section class="card">
          <Notice tone={outcome === 'not_revocable' ? 'warn' : 'good'} live>
            {describe(revocation)}
          </Notice>
          {lease !== undefined && <LeaseFacts lease={lease} services={services} />}
          <Links visit={visit} lease={lease} />
        </section>
      ),
    });
  },
};

function gone(): KleisError {
  return new KleisError('lease_unknown', texts.unknown, { hint: texts.unknownHint });
}

/** Throws `cluster_unavailable` where the leases could not be read, and whatever else it is given. */
export function stateDown(error: unknown): never {
  if (!(error instanceof ClusterFault)) throw error;
  const { cluster, reason, message, retryAfter = 5 } = error;
  throw new KleisError('cluster_unavailable', texts.stateDown, {
    hint: texts.notMarkedHint,
    detail: `cluster ${cluster}, ${reason}: ${message}`,
    cause: error,
    retryAfter,
  });
}

/** A cluster did not do it: whoever asked for it must know whether it will come. */
async function whatIsLeft(fault: ClusterFault, id: string, { leases }: Services): Promise<KleisError> {
  const lease = await leases.store.get(id).catch(() => undefined);
  const isMarked = lease?.state === 'revoking' || lease?.state === 'revoked';
  return new KleisError('cluster_unavailable', isMarked ? texts.marked : texts.notMarked, {
    hint: isMarked ? texts.markedHint : texts.notMarkedHint,
    detail: `cluster ${fault.cluster}, ${fault.reason}: ${fault.message}`,
    cause: fault,
    retryAfter: fault.retryAfter ?? 5,
  });
}

function describe({ outcome, deadWithin }: Revocation): string {
  if (outcome === 'expired') return texts.outcomes.expired;
  if (outcome === 'not_revocable') return texts.outcomes.notRevocable(deadWithin);
  return outcome === 'already' ? texts.outcomes.already(deadWithin) : texts.outcomes.revoked(deadWithin);
}

function LeaseFacts({ lease, services }: { readonly lease: Lease; readonly services: Services }) {
  const { name, grant, cluster, account, holder, acquiredAt, endsAt, why } = lease;
  const { facts } = texts;
  const now = services.clock.now();
  return (
    <Facts
      wide
      facts={[
        [facts.subject, subjectOf(holder)],
        [facts.issuer, issuerOf(holder)],
        [facts.grant, grant],
        [facts.cluster, cluster],
        [facts.account, `${account.namespace}/${account.name}`],
        [facts.created, <Time at={acquiredAt} now={now} />],
        [facts.expires, <Time at={endsAt} now={now} />],
        [facts.state, <StateBadge state={stateOf(lease, now)} />],
        ...(why === undefined ? [] : [[facts.why, why] as const]),
        [facts.id, <code>{name}</code>],
      ]}
    />
  );
}

function Links({ visit, lease }: { readonly visit: PersonVisit; readonly lease: Lease | undefined }) {
  return (
    <div class="row">
      <Back visit={visit} />
      {lease !== undefined && (
        <a
          class="button button-plain"
          href={visit.href('/ui/admin/leases', { subject: subjectOf(lease.holder), issuer: issuerOf(lease.holder) })}
        >
          {texts.othersOfSubject}
        </a>
      )}
    </div>
  );
}

export function Back({ visit }: { readonly visit: PersonVisit }) {
  return (
    <a class="button button-plain" href={visit.href('/ui/admin/leases')}>
      {texts.back}
    </a>
  );
}
