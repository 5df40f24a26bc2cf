import { KleisError } from '../../../shared/errors.ts';
import { shorten } from '../../../shared/text.ts';
import { settle } from '../../http/audited.ts';
import type { Form } from '../../http/form.ts';
import { subjectOf } from '../../leases/holder.ts';
import type { Lease } from '../../leases/lease.ts';
import { eachMatching, type MatchingResult, type Wanted } from '../../leases/matching.ts';
import type { Revocation } from '../../leases/revocation.ts';
import { revokeForAdmin } from '../../routes/leases.ts';
import { Back, stateDown } from './revoke-page.tsx';
import { Facts, Notice } from '../view/components.tsx';
import { ActionForm } from '../view/forms.tsx';
import { isEmpty, readWanted } from './lease-search.ts';
import { adminTexts } from './texts.ts';
import type { Action, Page, PersonVisit } from '../view/visit.ts';

const texts = adminTexts.revokeAll;

/** Milliseconds of one request: proxies wait a minute, and a replica that ends 20 s. */
const bounds = { budget: 12_000, counting: 4_000 };
const mostShown = 10;

/** All leases of a grant, of a subject: how many there are now, and whether they are to be revoked. */
export const revokeAllPage: Page = {
  who: 'admin',
  event: 'leases',
  async work(visit, trail) {
    const wanted = readWanted(visit);
    if (isEmpty(wanted)) return visit.redirect('/ui/admin/leases');
    trail.add(factsOf(wanted));
    const shown: Lease[] = [];
    const note = async (lease: Lease): Promise<void> => {
      if (shown.length < mostShown) shown.push(lease);
    };
    // Counted as the store has them now, whatever a list said before.
    const { tried: count, counted } = await eachMatching(visit.services.leases.store, wanted, note, {
      budget: bounds.counting,
      counting: 0,
    }).catch(stateDown);
    return visit.page({
      title: texts.title,
      body: (
        <section class="card">
          <p>{count === 0 ? texts.none : texts.count(count, counted)}</p>
          <WantedFacts wanted={wanted} />
          {shown.length > 0 && <Shown leases={shown} more={count - shown.length} />}
          {count > 0 ? (
            <RevokeForm visit={visit} wanted={wanted} label={texts.doIt} />
          ) : (
            <div class="row">
              <Back visit={visit} />
            </div>
          )}
        </section>
      ),
    });
  },
};

/** Revokes as many as there is time for, each with an event of its own, and says how many are left. */
export const revokeAllAction: Action = {
  who: 'admin',
  event: 'leases',
  async work(visit, trail) {
    const { call, services, session, form } = visit;
    const wanted = readForm(form);
    const outcomes = new Map<Revocation['outcome'], number>();
    const result = await eachMatching(
      services.leases.store,
      wanted,
      async ({ name }) => {
        const { outcome } = await settle('revoke', call, services, async (own) => {
          own.addSubject(session.subject);
          return revokeForAdmin(name, services, own);
        });
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      },
      bounds,
    ).catch(stateDown);
    trail.add(factsOf(wanted, result));
    const { failed, left, counted } = result;
    const isWhole = failed === 0 && left === 0 && counted;
    return visit.page({
      title: isWhole ? texts.doneTitle : texts.partlyTitle,
      body: (
        <section class="card">
          <Outcomes outcomes={outcomes} result={result} />
          <WantedFacts wanted={wanted} />
          {isWhole ? (
            <div class="row">
              <Back visit={visit} />
            </div>
          ) : (
            <RevokeForm visit={visit} wanted={wanted} label={texts.goOn} />
          )}
        </section>
      ),
    });
  },
};

/** What the page put into the form. Throws `request_malformed` for what no page of ours makes. */
function readForm(form: Form): Wanted {
  const part = (name: string): string | undefined => {
    const text = form.get(name);
    if (text !== undefined && text.length > 2048) throw new KleisError('request_malformed', texts.malformed);
    return text;
  };
  const wanted = { grant: part('grant'), cluster: part('cluster'), issuer: part('issuer'), subject: part('subject') };
  if (isEmpty(wanted)) throw new KleisError('request_malformed', texts.malformed);
  return wanted;
}

function factsOf({ grant, subject }: Wanted, result?: MatchingResult) {
  const parts = [
    ...(subject === undefined ? [] : [`of the subject ${shorten(subject, 200)}`]),
    ...(result === undefined ? [] : [`revoked ${result.tried - result.failed}, left ${result.left + result.failed}`]),
  ];
  return {
    ...(grant !== undefined && { grant: shorten(grant, 80) }),
    ...(parts.length > 0 && { detail: parts.join('; ') }),
  };
}

function RevokeForm({ visit, wanted, label }: { visit: PersonVisit; wanted: Wanted; label: string }) {
  const given = Object.entries(wanted).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return (
    <ActionForm visit={visit} path="/ui/admin/leases/revoke-all" fields={Object.fromEntries(given)}>
      <div class="stack">
        <p>{texts.consequence}</p>
        <div class="row">
          <button class="button button-danger" type="submit">
            {label}
          </button>
          <Back visit={visit} />
        </div>
      </div>
    </ActionForm>
  );
}

function WantedFacts({ wanted: { grant, cluster, issuer, subject } }: { wanted: Wanted }) {
  const { facts } = texts;
  const all = [
    [facts.grant, grant],
    [facts.subject, subject],
    [facts.issuer, issuer],
    [facts.cluster, cluster],
  ] as const;
  return (
    <>
      <Facts wide facts={all.filter(([, value]) => value !== undefined)} />
      {subject !== undefined && <p class="soft small">{texts.subjectRule}</p>}
    </>
  );
}

function Shown({ leases, more }: { leases: readonly Lease[]; more: number }) {
  return (
    <ul class="list">
      {leases.map(({ name, holder, grant }) => (
        <li key={name}>
          {subjectOf(holder)} <span class="soft small">{grant}</span>
        </li>
      ))}
      {more > 0 && <li>{texts.more(more)}</li>}
    </ul>
  );
}

function Outcomes({
  outcomes,
  result: { failed, fault, left, counted },
}: {
  outcomes: ReadonlyMap<Revocation['outcome'], number>;
  result: MatchingResult;
}) {
  const count = (...names: readonly Revocation['outcome'][]) =>
    names.reduce((sum, name) => sum + (outcomes.get(name) ?? 0), 0);
  const [dead, ended, living] = [count('revoked', 'already'), count('expired', 'unknown'), count('not_revocable')];
  return (
    <>
      <Notice tone="good" live>
        {texts.revoked(dead)}
      </Notice>
      {ended > 0 && <p>{texts.ended(ended)}</p>}
      {living > 0 && <Notice tone="warn">{texts.living(living)}</Notice>}
      {failed > 0 && <Notice tone="bad">{texts.failed(failed, fault === undefined ? '' : faultOf(fault))}</Notice>}
      {(left > 0 || !counted) && <Notice tone="warn">{texts.left(left, counted)}</Notice>}
    </>
  );
}

/** An admin may know what a cluster said. */
function faultOf(fault: Error): string {
  return shorten((fault instanceof KleisError ? fault.detail : undefined) ?? fault.message, 300);
}
