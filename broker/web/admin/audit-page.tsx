import { clean } from '../../../shared/text.ts';
import type { Anchor } from '../../audit/anchors.ts';
import type { Services } from '../../service/services.ts';
import { Badge, Card, EmptyState, Facts, Notice, Time, Words } from '../view/components.tsx';
import { type Column, Table } from '../view/table.tsx';
import { adminTexts } from './texts.ts';
import type { Page } from '../view/visit.ts';

const texts = adminTexts.audit;
/** Each start of a replica has one, and they are kept for a year. */
const mostShown = 50;

interface Anchors {
  readonly list: readonly Anchor[];
  readonly fault: string | undefined;
}

/** How the audit of this replica stands, and what the state cluster holds of all of them. */
export const auditPage: Page = {
  who: 'admin',
  event: 'none',
  async work(visit) {
    const { services } = visit;
    const anchors = await readAnchors(services);
    return visit.page({
      title: texts.title,
      lead: texts.lead,
      body: (
        <>
          <State services={services} />
          <section class="stack" aria-labelledby="anchors">
            <div class="stack-tight">
              <h2 id="anchors">{texts.anchors}</h2>
              <p class="soft">
                <Words text={texts.anchorsLead} />
              </p>
            </div>
            {anchors === undefined ? (
              <EmptyState title={texts.noAnchors} />
            ) : (
              <AnchorTable anchors={anchors} services={services} />
            )}
          </section>
        </>
      ),
    });
  },
};

async function readAnchors({ anchoring }: Services): Promise<Anchors | undefined> {
  if (anchoring === undefined) return undefined;
  try {
    const list = await anchoring.list();
    return { list: list.toSorted((one, other) => (one.time < other.time ? 1 : -1)), fault: undefined };
  } catch (error) {
    return { list: [], fault: clean(error instanceof Error ? error.message : error, 400) };
  }
}

function State({ services: { audit, anchoring, loaded, clock } }: { readonly services: Services }) {
  const { health, head } = audit;
  const { ok, lost, truncations, lastError, lines } = health;
  const { facts } = texts;
  const { file } = loaded.config.audit;
  const at = anchoring?.health.at;
  return (
    <Card title={texts.here}>
      <Notice tone={ok ? 'good' : 'bad'} live>
        {ok ? texts.ok : texts.failing(clean(lastError ?? '', 400))}
      </Notice>
      {lost > 0 && <Notice tone="bad">{texts.lost(lost)}</Notice>}
      {truncations > 0 && <Notice tone="bad">{texts.truncated(truncations)}</Notice>}
      {anchoring?.health.lastError !== undefined && (
        <Notice tone="warn">{texts.anchorFault(clean(anchoring.health.lastError, 400))}</Notice>
      )}
      <Facts
        wide
        facts={[
          [facts.file, file === '-' ? texts.facts.stdout : <code>{file}</code>],
          [facts.chain, <code>{head.chain}</code>],
          [facts.lines, adminTexts.number(lines)],
          [facts.anchored, at === undefined ? texts.never : <Time at={at} now={clock.now()} />],
          [facts.hash, <code>{head.hash}</code>],
          [facts.policy, <code>{loaded.hash}</code>],
        ]}
      />
    </Card>
  );
}

function AnchorTable({
  anchors: { list, fault },
  services: { audit, clock },
}: {
  readonly anchors: Anchors;
  readonly services: Services;
}) {
  const { heads } = texts;
  const now = clock.now();
  const columns: Column<Anchor>[] = [
    {
      label: heads.chain,
      head: true,
      cell: ({ chain }) => (
        <div class="row">
          <code>{chain}</code>
          {chain === audit.head.chain && <Badge tone="info">{texts.thisOne}</Badge>}
        </div>
      ),
    },
    { label: heads.line, kind: 'number', cell: ({ seq }) => adminTexts.number(seq) },
    {
      label: heads.moved,
      cell: ({ time }) => {
        const at = Date.parse(time);
        return Number.isNaN(at) ? time : <Time at={at} now={now} />;
      },
    },
    { label: heads.hash, cell: ({ hash }) => <code>{hash}</code> },
  ];
  return (
    <>
      {fault !== undefined && (
        <Notice tone="bad" live>
          {texts.anchorsUnread(fault)}
        </Notice>
      )}
      {list.length > mostShown && <p class="soft small">{texts.cut(mostShown, list.length)}</p>}
      {list.length > 0 && (
        <Table label={texts.anchors} columns={columns} rows={list.slice(0, mostShown)} keyOf={({ chain }) => chain} />
      )}
    </>
  );
}
