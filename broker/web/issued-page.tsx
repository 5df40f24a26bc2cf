import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import type { Answer } from '../http/answer.ts';
import type { Trail } from '../http/trail.ts';
import { heldBy, ownHolder } from '../leases/holder.ts';
import { type LeaseRow, rowOf } from '../leases/overview.ts';
import { type ShownState, stateOf } from '../leases/overview-page.ts';
import { revokeLease } from '../leases/revocation.ts';
import type { Recent } from '../service/recent.ts';
import { Badge, EmptyState, Notice, Outside, Time, type Tone } from './view/components.tsx';
import { Confirm } from './view/forms.tsx';
import { type Column, Table } from './view/table.tsx';
import { texts } from './view/texts.ts';
import type { FormVisit, PersonVisit } from './view/visit.ts';

const path = '/ui/issued';
const mostShown = 100;
/** Milliseconds that a page waits for a list of all leases to be read; some of it is there before. */
const patience = 3_000;
/** Leases that are asked for one by one. */
const mostAsked = 20;

/** `GET /ui/issued`: the tokens of who is signed in, the latest first. */
export async function issuedPage(visit: PersonVisit): Promise<Answer> {
  const { services, session, page } = visit;
  const { issued } = texts;
  if (ownHolder(session.subject) === undefined) {
    return page({ title: issued.title, body: <Notice tone="warn">{issued.cut}</Notice> });
  }
  const { rows, at, whole, fault } = await services.overview.look(patience);
  const listed = rows.filter(heldBy(session.subject));
  const exchanges = exchangesOf(services.recent);
  const mine = [...listed, ...(await issuedSince(at, listed, exchanges, visit))];
  const shown = mine.toSorted((one, other) => other.acquiredAt - one.acquiredAt).slice(0, mostShown);
  return page({
    title: issued.title,
    lead: issued.lead,
    body: (
      <>
        <Outcome visit={visit} />
        {shown.length === 0 ? (
          <EmptyState title={issued.empty}>
            <p class="soft">{issued.emptyWhy}</p>
          </EmptyState>
        ) : (
          <Table
            label={issued.title}
            columns={columnsOf(visit, addressesOf(exchanges))}
            rows={shown}
            keyOf={({ name }) => name}
          />
        )}
        {fault !== undefined && <Notice tone="warn">{issued.fault}</Notice>}
        {fault === undefined && !(whole && shown.length === mine.length) && <p class="soft">{issued.more}</p>}
      </>
    ),
  });
}

/** `POST /ui/issued/revoke`: one that is theirs. What is not theirs is not there. */
export async function revokeOwn({ form, services, session, redirect }: FormVisit, trail: Trail): Promise<Answer> {
  const id = form.get('lease') ?? '';
  trail.add({ lease: clean(id, 80) });
  const found = await services.leases.store.get(id);
  if (found === undefined || !heldBy(session.subject)(found)) {
    throw new KleisError('lease_unknown', 'You have no such token.', { hint: 'See what was issued to you.' });
  }
  const { outcome, deadWithin, lease } = await revokeLease(services.leases, id, 'revoked by its holder');
  trail.add({ grant: lease?.grant, cluster: lease?.cluster });
  trail.conclude('done', outcome);
  return redirect(path, { done: outcome, within: Math.ceil(deadWithin) });
}

/** What the last form came to; the address can say no more than which of these texts it is. */
function Outcome({ visit: { query } }: { readonly visit: PersonVisit }) {
  const { issued } = texts;
  const done = query('done', 20);
  const within = Math.max(0, Number.parseInt(query('within', 6) ?? '', 10) || 0);
  const told: Partial<Record<string, readonly [Tone, string]>> = {
    revoked: ['good', issued.done(within)],
    already: ['good', issued.done(within)],
    expired: ['info', issued.over],
    not_revocable: ['warn', issued.notRevocable],
  };
  const [tone, text] = (done !== undefined && Object.hasOwn(told, done) && told[done]) || [];
  return text === undefined ? null : (
    <Notice tone={tone ?? 'info'} live>
      {text}
    </Notice>
  );
}

function columnsOf(visit: PersonVisit, from: ReadonlyMap<string, string>): readonly Column<LeaseRow>[] {
  const { issued } = texts;
  const now = visit.services.clock.now();
  return [
    { label: issued.grant, head: true, cell: ({ grant }) => <Outside text={grant} /> },
    { label: issued.cluster, cell: ({ cluster }) => <Outside text={cluster} /> },
    { label: issued.when, cell: ({ acquiredAt }) => <Time at={acquiredAt} now={now} /> },
    { label: issued.from, cell: ({ name }) => <From address={from.get(name)} /> },
    { label: issued.ends, cell: ({ endsAt }) => <Time at={endsAt} now={now} /> },
    { label: issued.state, cell: (lease) => <State lease={lease} now={now} /> },
    { label: issued.act, kind: 'action', cell: (lease) => <Revoke visit={visit} lease={lease} now={now} /> },
  ];
}

/** Leases of this replica that the list is too old for: whoever has just used kubectl looks for what they got. */
async function issuedSince(
  at: number,
  listed: readonly LeaseRow[],
  exchanges: readonly Exchange[],
  { services, session: { subject } }: PersonVisit,
): Promise<LeaseRow[]> {
  const isOwn = heldBy(subject);
  const known = new Set(listed.map(({ name }) => name));
  const names = exchanges
    .filter(({ issuer, subject: sub }) => issuer === subject.issuer && sub === subject.claims['sub'])
    // Older ones are in the list, or gone: a look is not to ask the cluster for those each time.
    .filter(({ time }) => typeof time === 'string' && Date.parse(time) >= at)
    .map(({ lease }) => clean(lease, 80))
    .filter((name) => !known.has(name))
    .slice(0, mostAsked);
  const found = await Promise.all(names.map(async (name) => services.leases.store.get(name).catch(() => undefined)));
  return found.flatMap((lease) => (lease !== undefined && isOwn(lease) ? [rowOf(lease)] : []));
}

type Exchange = ReturnType<Recent['decisions']>[number];

function exchangesOf(recent: Recent): readonly Exchange[] {
  return recent.decisions().filter(({ event, outcome }) => event === 'exchange' && outcome === 'allowed');
}

/** By lease, as far as this replica remembers who asked. */
function addressesOf(exchanges: readonly Exchange[]): ReadonlyMap<string, string> {
  return new Map(exchanges.map(({ lease, address }) => [clean(lease, 80), clean(address, 60)]));
}

function From({ address }: { readonly address: string | undefined }) {
  return address === undefined ? <span class="soft">{texts.issued.fromUnknown}</span> : <>{address}</>;
}

const tones: Readonly<Record<ShownState, Tone>> = {
  live: 'good',
  ended: 'plain',
  free: 'plain',
  revoked: 'plain',
  withdrawing: 'plain',
  withdrawn: 'plain',
  revoking: 'warn',
};

function State({ lease, now }: { readonly lease: LeaseRow; readonly now: number }) {
  const state = stateOf(lease, now);
  return <Badge tone={tones[state]}>{texts.issued.states[state]}</Badge>;
}

function Revoke({
  visit,
  lease,
  now,
}: {
  readonly visit: PersonVisit;
  readonly lease: LeaseRow;
  readonly now: number;
}) {
  const { issued } = texts;
  if (stateOf(lease, now) !== 'live') return null;
  if (!lease.revocable) return <span class="soft small">{issued.fixed}</span>;
  return (
    <Confirm
      visit={visit}
      path={`${path}/revoke`}
      fields={{ lease: lease.name }}
      ask={issued.revoke}
      why={issued.sure}
      yes={issued.revokeYes}
      about={`${lease.grant}, ${lease.cluster}`}
    />
  );
}
