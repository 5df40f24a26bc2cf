import type { Answer } from '../http/answer.ts';
import { Card } from './view/components.tsx';
import { texts } from './view/texts.ts';
import type { OpenVisit } from './view/visit.ts';

/** `GET /`: what this is, and where one signs in. */
export function landingPage({ href, page, redirect, session, services }: OpenVisit): Answer {
  if (session !== undefined) return redirect('/ui/access');
  const { landing } = texts;
  const { web, issuers } = services.loaded.config;
  return page({
    title: landing.title,
    lead: landing.lead,
    body: (
      <>
        <div class="stack-tight">
          <div>
            <a class="button button-large" href={href('/ui/sign-in')}>
              {landing.signIn}
            </a>
          </div>
          <p class="soft small">{landing.at(new URL(issuers[web!.issuer]!.url!).host)}</p>
        </div>
        <ul class="cards points">
          {landing.points.map(([title, text]) => (
            <li key={title}>
              <Card title={title}>
                <p class="soft">{text}</p>
              </Card>
            </li>
          ))}
        </ul>
      </>
    ),
  });
}
