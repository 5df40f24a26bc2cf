import { claimOf } from '../../shared/jwt.ts';
import { asText, clean } from '../../shared/text.ts';
import { Card, Command, Notice } from './view/components.tsx';
import { texts } from './view/texts.ts';
import type { Content, PersonVisit } from './view/visit.ts';

/** For somebody whom no grant is for: whom to ask, and what to tell them. */
export function noAccessContent({ session, services }: PersonVisit): Content {
  const { noAccess } = texts;
  const { contact } = services.loaded.config.web!;
  return {
    title: noAccess.title,
    lead: noAccess.lead,
    body: (
      <>
        <Notice tone="info">
          <h2>{contact === undefined ? noAccess.askAdmin : noAccess.ask}</h2>
          {contact !== undefined && (
            <p>
              <Contact text={contact} />
            </p>
          )}
          <p class="soft">{noAccess.again}</p>
        </Notice>
        <Card title={noAccess.send}>
          <Command id="who" text={whoInWords(session)} label={noAccess.send} />
        </Card>
      </>
    ),
  };
}

/** A URL becomes a link; anything else stays the text that it is. */
function Contact({ text }: { readonly text: string }) {
  const isLink = /^(?:https:\/\/|mailto:)/i.test(text) && URL.canParse(text);
  return isLink ? <a href={text}>{text.replace(/^mailto:/i, '')}</a> : <>{text}</>;
}

const mostGroups = 40;

/** As the provider says it, by which an administrator finds them. */
function whoInWords({ subject: { issuer, claims }, name }: PersonVisit['session']): string {
  const { noAccess } = texts;
  const found = claimOf(claims, 'groups');
  const groups = (Array.isArray(found) ? found : found === undefined ? [] : [found]).map((group) =>
    clean(asText(group), 120),
  );
  const more = groups.length > mostGroups ? ` (+${groups.length - mostGroups})` : '';
  return [
    `${noAccess.issuer}: ${issuer}`,
    `${noAccess.person}: ${name}`,
    `${noAccess.subject}: ${clean(claimOf(claims, 'sub'))}`,
    groups.length === 0 ? noAccess.noGroups : `${noAccess.groups}: ${groups.slice(0, mostGroups).join(', ')}${more}`,
  ].join('\n');
}
