import type { ComponentChildren } from 'preact';
import { KleisError } from '../../../shared/errors.ts';
import type { ExplainResponse } from '../../../shared/protocol.ts';
import { clean } from '../../../shared/text.ts';
import { failureOf } from '../../http/trail.ts';
import { denialWords } from '../../policy/denial.ts';
import { Line } from '../view/choice.tsx';
import { Badge, Card, Notice, Words } from '../view/components.tsx';
import { ActionForm, Field } from '../view/forms.tsx';
import { type Column, Table } from '../view/table.tsx';
import { type Judgement, judge } from './judge.ts';
import { PlaceChoices } from './places.tsx';
import { adminTexts } from './texts.ts';
import type { Action, Page, PersonVisit } from '../view/visit.ts';

const texts = adminTexts.explain;
const path = '/ui/admin/explain';

interface Asked {
  readonly grant?: string | undefined;
  readonly issuer?: string | undefined;
  readonly cluster?: string | undefined;
  readonly expiresIn?: string | undefined;
}

/** The form: a token or claims, and what they would be exchanged for. */
export const explainPage: Page = {
  who: 'admin',
  event: 'none',
  work: (visit) => answer(visit, { grant: visit.query('grant', 80) }),
};

/** What was pasted goes no further than this request. */
export const explainAction: Action = {
  who: 'admin',
  event: 'explain',
  async work(visit, trail) {
    const { form, session, services } = visit;
    const part = (name: string) => clean(form.get(name) ?? '', 253) || undefined;
    const asked = {
      grant: part('grant'),
      issuer: part('issuer'),
      cluster: part('cluster'),
      expiresIn: part('expires_in'),
    };
    try {
      const judgement = await judge(form, session.subject, services, trail);
      return answer(visit, asked, { above: <Verdict judgement={judgement} /> });
    } catch (error) {
      // Whoever mistyped something has the form at hand; the broker's own faults are pages of their own.
      if (!(error instanceof KleisError) || error.status >= 500) throw error;
      const { outcome, code, detail } = failureOf(error);
      trail.add({ code, detail });
      trail.conclude(outcome, code);
      return answer(visit, asked, { above: <Refused error={error} />, status: 400 });
    }
  },
};

function answer(
  visit: PersonVisit,
  asked: Asked,
  { above, status = 200 }: { readonly above?: ComponentChildren; readonly status?: number } = {},
) {
  return visit.page({
    title: texts.title,
    lead: texts.lead,
    status,
    body: (
      <>
        {above}
        <Form visit={visit} asked={asked} />
      </>
    ),
  });
}

function Refused({ error: { message, hint } }: { readonly error: KleisError }) {
  return (
    <Notice tone="bad" live>
      <strong>{message}</strong>
      <p>
        <Words text={hint} />
      </p>
    </Notice>
  );
}

function Form({ visit, asked }: { readonly visit: PersonVisit; readonly asked: Asked }) {
  return (
    <Card>
      <ActionForm visit={visit} path={path}>
        <div class="stack">
          <Line name="grant" label={texts.grant} value={asked.grant} required />
          <Field id="write-subject" label={texts.subject} hint={texts.subjectHint}>
            <textarea
              id="write-subject"
              name="subject"
              rows={8}
              required
              autoComplete="off"
              autoCapitalize="none"
              spellcheck={false}
              aria-describedby="write-subject-hint"
            />
          </Field>
          <div class="fields">
            <PlaceChoices visit={visit} chosen={asked} words={texts} />
            <Line name="expires_in" label={texts.expiresIn} value={asked.expiresIn} placeholder={texts.usual} numeric />
          </div>
          <div class="row">
            <button class="button" type="submit">
              {texts.judge}
            </button>
          </div>
        </div>
      </ActionForm>
    </Card>
  );
}

type Condition = NonNullable<ExplainResponse['conditions']>[number];

function Verdict({ judgement: { explained, issuer, verified } }: { readonly judgement: Judgement }) {
  const { allowed, grant, reason = '', cluster = '', expires_in: seconds = 0, conditions = [] } = explained;
  const columns: Column<Condition>[] = [
    { label: texts.heads.claim, head: true, cell: ({ claim }) => claim },
    {
      label: texts.heads.fits,
      cell: ({ ok }) => <Badge tone={ok ? 'good' : 'bad'}>{ok ? texts.fits : texts.fails}</Badge>,
    },
    { label: texts.heads.seen, cell: ({ seen }) => <code>{seen}</code> },
    { label: texts.heads.expected, cell: ({ expected = '' }) => <code>{expected}</code> },
  ];
  return (
    <section class="stack" aria-label={texts.verdict}>
      <Notice tone={allowed ? 'good' : 'bad'} live>
        <strong>
          {allowed
            ? texts.allowed(clean(grant, 80), cluster, seconds)
            : texts.denied(clean(grant, 80), denialWords[reason] ?? reason)}
        </strong>
        <p>{verified ? texts.verified(issuer) : texts.believed(issuer)}</p>
      </Notice>
      {conditions.length > 0 && (
        <Table label={texts.conditions} columns={columns} rows={conditions} keyOf={({ claim }) => claim} />
      )}
    </section>
  );
}
