import { clean } from '../../../shared/text.ts';
import type { Cluster } from '../../cluster/clusters.ts';
import type { KeyHealth } from '../../issuers/key-source.ts';
import type { Health, HealthCheck } from '../../service/health.ts';
import { Badge, EmptyState, Notice, Time, type Tone, Two, Words } from '../view/components.tsx';
import { type Column, Table } from '../view/table.tsx';
import { adminTexts } from './texts.ts';
import type { Page, PersonVisit } from '../view/visit.ts';

const texts = adminTexts.health;
const mostMissing = 10;

/** What is well with this replica, its issuers and its clusters. */
export const healthPage: Page = {
  who: 'admin',
  event: 'none',
  work(visit) {
    const health = visit.health();
    return visit.page({
      title: texts.title,
      body: (
        <>
          <Summary health={health} />
          <Issuers visit={visit} />
          <Clusters visit={visit} />
        </>
      ),
    });
  },
};

function Summary({ health: { ready, checks } }: { readonly health: Health }) {
  const faults = checks.filter(({ ok }) => !ok);
  const columns: Column<HealthCheck>[] = [
    { label: texts.heads.check, head: true, cell: ({ name }) => name },
    {
      label: texts.heads.state,
      cell: ({ pending, critical }) => (
        <Two
          first={
            <Badge tone={toneOf(false, pending === true)}>{pending === true ? texts.unknown : texts.failing}</Badge>
          }
          second={critical ? texts.critical : undefined}
        />
      ),
    },
    { label: texts.heads.why, cell: ({ message = '' }) => <Words text={clean(message, 1000)} /> },
  ];
  return (
    <section class="stack" aria-labelledby="checks">
      <Notice tone={!ready ? 'bad' : faults.length > 0 ? 'warn' : 'good'} live>
        <strong>{!ready ? texts.notReady : faults.length > 0 ? texts.readyWithFaults : texts.ready}</strong>
        {faults.length === 0 && <p>{texts.allWell}</p>}
      </Notice>
      {faults.length > 0 && (
        <>
          <h2 id="checks">{texts.checks}</h2>
          <Table label={texts.checks} columns={columns} rows={faults} keyOf={({ name }) => name} />
        </>
      )}
    </section>
  );
}

interface IssuerRow {
  readonly name: string;
  readonly url: string | undefined;
  readonly health: KeyHealth;
}

function Issuers({ visit }: { readonly visit: PersonVisit }) {
  const { issuers, clock } = visit.services;
  const now = clock.now();
  const urls = issuers.urls();
  const rows = Object.entries(issuers.health()).map(([name, health]): IssuerRow => ({ name, url: urls[name], health }));
  const { heads } = texts;
  const columns: Column<IssuerRow>[] = [
    { label: heads.issuer, head: true, cell: ({ name, url }) => <Two first={name} second={url ?? texts.noUrl} /> },
    {
      label: heads.state,
      cell: ({ health: { ok, lastError } }) => (
        <Two
          first={
            <Badge tone={toneOf(ok, lastError === undefined)}>
              {ok ? texts.ok : lastError === undefined ? texts.unknown : texts.failing}
            </Badge>
          }
          second={lastError === undefined ? undefined : clean(lastError, 400)}
        />
      ),
    },
    {
      label: heads.keys,
      cell: ({ health: { ok, keys } }) => (
        <Two first={texts.keys(keys)} second={!ok && keys > 0 ? texts.keptKeys : undefined} />
      ),
    },
    {
      label: heads.fetched,
      cell: ({ health: { lastFetched } }) =>
        lastFetched === undefined ? texts.never : <Time at={lastFetched} now={now} />,
    },
  ];
  return (
    <section class="stack" aria-labelledby="issuers">
      <h2 id="issuers">{texts.issuers}</h2>
      {rows.length === 0 ? (
        <EmptyState title={texts.noIssuers} />
      ) : (
        <Table label={texts.issuers} columns={columns} rows={rows} keyOf={({ name }) => name} />
      )}
    </section>
  );
}

function Clusters({ visit }: { readonly visit: PersonVisit }) {
  const { leases, clock } = visit.services;
  const now = clock.now();
  const { heads } = texts;
  const columns: Column<Cluster>[] = [
    {
      label: heads.cluster,
      head: true,
      cell: ({ name, config }) => <Two first={name} second={config.server} />,
    },
    {
      label: heads.state,
      cell: (cluster) => {
        const { reachable, problem, probedAt, missing } = cluster.health();
        const pending = probedAt === undefined;
        return (
          <div class="stack-tight">
            <div>
              <Badge tone={toneOf(reachable && missing.length === 0, pending)}>
                {pending
                  ? texts.unknown
                  : !reachable
                    ? texts.unreachable
                    : missing.length > 0
                      ? texts.lacking
                      : texts.ok}
              </Badge>
            </div>
            {!pending && problem !== undefined && (
              <div class="soft small">
                <Words text={clean(problem, 400)} />
              </div>
            )}
            {missing.length > 0 && (
              <div class="soft small">
                {texts.missing(missing.slice(0, mostMissing), Math.max(0, missing.length - mostMissing))}
              </div>
            )}
          </div>
        );
      },
    },
    { label: heads.policy, cell: (cluster) => <Policy cluster={cluster} /> },
    { label: heads.clock, cell: (cluster) => clockOf(cluster) },
    {
      label: heads.credential,
      cell: ({ kube }) => {
        const lifetime = kube.lifetime();
        return lifetime === undefined ? (
          texts.noEnd
        ) : (
          <>
            {texts.ends} <Time at={lifetime.until} now={now} />
          </>
        );
      },
    },
    {
      label: heads.asked,
      cell: (cluster) => {
        const { probedAt } = cluster.health();
        return probedAt === undefined ? texts.never : <Time at={probedAt} now={now} />;
      },
    },
  ];
  return (
    <section class="stack" aria-labelledby="clusters">
      <h2 id="clusters">{texts.clusters}</h2>
      <Table label={texts.clusters} columns={columns} rows={leases.clusters.all()} keyOf={({ name }) => name} />
    </section>
  );
}

function Policy({ cluster }: { readonly cluster: Cluster }) {
  const { policy } = cluster.health();
  const tone: Tone = policy === 'in_force' ? 'good' : policy === 'missing' ? 'warn' : 'plain';
  return <Badge tone={tone}>{texts.policies[policy]}</Badge>;
}

function clockOf(cluster: Cluster): string {
  const { skew, probedAt } = cluster.health();
  if (skew === undefined) return probedAt === undefined ? texts.unknown : texts.noClock;
  if (skew === 0) return texts.noSkew;
  const seconds = Math.abs(skew) / 1000;
  return skew > 0 ? texts.ahead(seconds) : texts.behind(seconds);
}

function toneOf(ok: boolean, pending: boolean): Tone {
  return ok ? 'good' : pending ? 'plain' : 'bad';
}
