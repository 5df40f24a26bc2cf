import type { ComponentChildren } from 'preact';
import type { WellKnownCluster, WellKnownGrant } from '../../shared/protocol.ts';
import { contextNames } from '../../shared/kube/broker-entries.ts';
import { pageOf } from '../../shared/paging.ts';
import type { Answer } from '../http/answer.ts';
import { kubeconfigOf } from '../routes/kubeconfig.ts';
import { accessOf, describeGrant } from '../routes/well-known.ts';
import { Badge, Card, Command, EmptyState, Facts, Outside, Tabs } from './view/components.tsx';
import { Field, FilterForm } from './view/forms.tsx';
import { Pager, readPage } from './view/table.tsx';
import { noAccessContent } from './no-access.tsx';
import { duration, rangeOf, texts } from './view/texts.ts';
import type { PersonVisit } from './view/visit.ts';

/** Grants on one page; each is a card. */
const pageSize = 48;
/** From so many on somebody looks for one. */
const worthFinding = 7;

const path = '/ui/access';

interface Mine extends WellKnownGrant {
  readonly context: string;
  readonly at: WellKnownCluster | undefined;
}

/** `GET /ui/access`: the clusters and grants of who is signed in, and how to get kubectl there. */
export async function accessPage(visit: PersonVisit): Promise<Answer> {
  const { services, session, page, query } = visit;
  const { grants, clusters } = await accessOf(session.subject, services);
  if (grants.length === 0) return page(noAccessContent(visit));
  const contexts = contextNames(grants);
  const mine = grants.map(describeGrant).map((grant) => ({
    ...grant,
    context: contexts.get(grant.name) ?? grant.name,
    at: clusters.find(({ name }) => name === grant.cluster),
  }));
  const search = query('q');
  const found = search === undefined ? mine : mine.filter((grant) => has(grant, search));
  return page({
    title: texts.access.title,
    lead: texts.access.lead(mine.length, new Set(mine.map(({ cluster }) => cluster)).size),
    body: (
      <>
        <Connect visit={visit} />
        <section class="stack" aria-labelledby="grants">
          <div class="row apart">
            <h2 id="grants">{texts.access.grants}</h2>
            <a href={visit.href('/ui/issued')}>{texts.access.issued}</a>
          </div>
          {mine.length >= worthFinding && <Find visit={visit} search={search} live={mine.length <= pageSize} />}
          <Grants visit={visit} found={found} search={search} />
        </section>
      </>
    ),
  });
}

/** `GET /ui/kubeconfig?platform=`: as a file. */
export async function kubeconfigFile({ call, services, session }: PersonVisit): Promise<Answer> {
  const answer = await kubeconfigOf(session.subject, call.query, services);
  return { ...answer, headers: { 'Content-Disposition': 'attachment; filename="kleis.yaml"' } };
}

function Connect({ visit }: { readonly visit: PersonVisit }) {
  const { access } = texts;
  const { publicUrl } = visit.services.loaded.config;
  const system = systemOf(visit);
  const tab = (id: keyof typeof access.systems, platform: 'posix' | 'windows') => ({
    id,
    label: access.systems[id],
    content: (
      <div class="two">
        <ol class="steps">
          <Step text={access.install}>
            <Command id={`install-${id}`} text="npm install --global kleis" label={access.install} />
          </Step>
          <Step text={access.add}>
            <Command id={`add-${id}`} text={`kleis kubeconfig add --from ${publicUrl}`} label={access.add} />
          </Step>
          <Step text={access.use}>
            <Command id={`use-${id}`} text="kubectl get pods" label={access.use} />
          </Step>
        </ol>
        <div class="stack-tight">
          <h3>{access.instead}</h3>
          <p class="soft">{access.insteadWhy}</p>
          <div>
            <a class="button button-plain" href={visit.href('/ui/kubeconfig', { platform })}>
              {access.download} <span class="visually-hidden">{access.systems[id]}</span>
            </a>
          </div>
          <Command id={`file-${id}`} text={access.useFile} label={access.instead} />
        </div>
      </div>
    ),
  });
  return (
    <Card title={access.connect}>
      <Tabs
        name="system"
        legend={access.system}
        selected={system}
        tabs={[tab('linux', 'posix'), tab('mac', 'posix'), tab('windows', 'windows')]}
      />
    </Card>
  );
}

function Step({ text, children }: { readonly text: string; readonly children: ComponentChildren }) {
  return (
    <li>
      <div>
        <p>{text}</p>
        {children}
      </div>
    </li>
  );
}

/** A guess, which a click corrects. */
function systemOf({ call }: PersonVisit): 'linux' | 'mac' | 'windows' {
  const agent = `${call.header('sec-ch-ua-platform') ?? ''} ${call.header('user-agent') ?? ''}`;
  if (/Windows/.test(agent)) return 'windows';
  return /mac ?OS|Macintosh/i.test(agent) ? 'mac' : 'linux';
}

function Find({
  visit,
  search,
  live,
}: {
  readonly visit: PersonVisit;
  readonly search: string | undefined;
  readonly live: boolean;
}) {
  return (
    <FilterForm visit={visit} path={path} clear={search !== undefined}>
      <Field id="q" label={texts.access.find}>
        <input
          id="q"
          name="q"
          type="search"
          value={search}
          maxLength={200}
          autocomplete="off"
          data-filters={live ? 'my-grants' : undefined}
        />
      </Field>
    </FilterForm>
  );
}

function Grants({
  visit,
  found,
  search,
}: {
  readonly visit: PersonVisit;
  readonly found: readonly Mine[];
  readonly search: string | undefined;
}) {
  if (found.length === 0) return <EmptyState title={texts.access.nothingFound} />;
  const { rows: shown, page: number, pages: last } = pageOf(found, readPage(visit.query('page')), pageSize);
  const from = (number - 1) * pageSize;
  const at = (page: number) => visit.href(path, { q: search, page: page === 1 ? undefined : page });
  return (
    <>
      <ul class="cards" id="my-grants">
        {shown.map((grant) => (
          <li key={grant.name} data-item>
            <GrantCard grant={grant} />
          </li>
        ))}
      </ul>
      <p id="my-grants-none" class="soft" hidden role="status">
        {texts.access.nothingFound}
      </p>
      {last > 1 && (
        <Pager
          label={texts.access.grants}
          status={rangeOf(from + 1, from + shown.length, found.length)}
          previous={number > 1 ? at(number - 1) : undefined}
          next={number < last ? at(number + 1) : undefined}
        />
      )}
    </>
  );
}

function GrantCard({ grant }: { readonly grant: Mine }) {
  const { access } = texts;
  const { context, cluster, name, at, access: rights, revocable } = grant;
  const usual = duration(grant.expires_in * 1000);
  const most = duration(grant.max_expires_in * 1000);
  return (
    <Card
      level={3}
      title={<Outside text={context} />}
      aside={<Badge tone={revocable ? 'good' : 'plain'}>{revocable ? access.revocable : access.notRevocable}</Badge>}
    >
      {rights === undefined ? (
        <p class="soft">{access.unsaid}</p>
      ) : (
        <div class="stack-tight">
          <p class="soft small">{access.may}</p>
          <ul class="list">
            {rights.map((right) => (
              <li key={right}>
                <Outside text={right} max={200} />
              </li>
            ))}
          </ul>
        </div>
      )}
      <Facts
        facts={[
          [texts.issued.grant, <Outside text={name} />],
          [texts.issued.cluster, <Outside text={cluster} />],
          [access.server, at === undefined ? <span class="soft">{access.unreachable}</span> : <code>{at.server}</code>],
          [access.lasts, access.upTo(usual, most)],
        ]}
      />
    </Card>
  );
}

function has({ name, cluster, context, access = [], at }: Mine, search: string): boolean {
  const text = [name, cluster, context, at?.server ?? '', ...access].join(' ').toLowerCase();
  return search
    .toLowerCase()
    .split(' ')
    .every((word) => text.includes(word));
}
